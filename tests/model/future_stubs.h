/* SPDX-License-Identifier: MIT
 *
 * What lib/future calls and a model of it does not need: frames, executors, names. After the
 * sources under test. And what models of futures have in common. */
#ifndef MODEL_FUTURE_STUBS_H
#define MODEL_FUTURE_STUBS_H

#include "context_stub.h"

/* How a task may end; defined by the model. */
static void check_end(at_status status);

_Thread_local ati_worker *ati_worker_current;
_Thread_local ati_blocking_caller ati_blocking_caller_current;
char at_failed_object;
char ati_continued_object;
static at_pool *pool;

_Noreturn void ati_caller_abort(const char *call, const char *sentence) {
    model_fail("%s: %s", call, sentence);
}

bool ati_all_zero(const void *bytes, size_t size) {
    (void)bytes;
    (void)size;
    return true;
}

at_status ati_fail_at(const char *site, at_status status, const char *format, ...) {
    (void)site;
    (void)format;
    return status;
}

const char *ati_site_name(const char *site) {
    return site;
}

void ati_view_show_named(ati_worker *worker, const ati_frame *frame) {
    (void)worker;
    (void)frame;
}

ati_lane ati_lane_of(at_priority priority) {
    (void)priority;
    return ATI_LANE_NORMAL;
}

at_pool *at_pool_current(void) {
    return NULL;
}

/* The pool runs what it is given at once. */
at_status ati_pool_start_nodes(at_pool *of, ati_task_node *nodes, size_t count,
                               bool is_continuation) {
    (void)of;
    if (!is_continuation)
        model_fail("%zu tasks are started", count);
    while (count-- > 0) {
        ati_task_node *node = nodes;
        nodes = node->next;
        node->work.run(node->work.argument);
    }
    return AT_OK;
}

at_executor *at_pool_executor(at_pool *of) {
    return &of->executor;
}

_Thread_local ati_frame *ati_frame_top;

ati_frame *ati_frame_of_thread(void) {
    static ati_frame frame;
    return &frame;
}

void ati_task_begin(ati_worker *worker, ati_task_run *run, ati_context *context, const char *site,
                    const char *name) {
    (void)worker;
    run->frame =
        (ati_frame){.outer = ati_frame_current(), .context = context, .site = site, .name = name};
    ati_frame_top = &run->frame;
}

void ati_task_end(ati_worker *worker, ati_task_run *run, at_status status) {
    (void)worker;
    ati_frame_top = run->frame.outer;
    check_end(status);
}

at_status ati_task_outcome(ati_frame *frame, void *returned, const char *site, at_error **error) {
    (void)frame;
    (void)site;
    (void)error;
    model_check(returned != AT_FAILED);
    return AT_OK;
}

void ati_pool_count_claimed_unqueued(at_pool *of) {
    (void)of;
    model_fail("nothing is refused");
}

ati_shield *ati_shield_begin(ati_context *outer) {
    (void)outer;
    model_fail("no operation is cancelled before its task begins");
    return NULL;
}

ati_context *ati_shield_context(const ati_shield *shield) {
    (void)shield;
    return NULL;
}

void ati_shield_end(ati_shield *shield) {
    (void)shield;
}

const at_error *at_error_last(void) {
    return NULL;
}

static int kept_count; /* futures that have not been freed */

static void keep(at_executor *executor) {
    (void)executor;
    kept_count++;
}

static void let_go(at_executor *executor) {
    (void)executor;
    kept_count--;
}

static void set_up_threads(void) {
    ati_worker_current = NULL;
    ati_frame_top = NULL;
    doomed = NULL;
    freeing = false;
    model_thread_local(&ati_worker_current, sizeof ati_worker_current);
    model_thread_local(&ati_frame_top, sizeof ati_frame_top);
    model_thread_local(&doomed, sizeof doomed);
    model_thread_local(&freeing, sizeof freeing);
}

/* Without a timer wheel. */
static void set_up_pool(void) {
    pool = model_allocate(offsetof(at_pool, timers.wheel), _Alignof(at_pool));
    pool->executor = (at_executor){.retain = keep, .release = let_go, .pool = pool};
    kept_count = 0;
}

/* -- What threads do --------------------------------------------------------------------------- */

static void sleep_until_done(at_future *future) {
    for (;;) {
        uint32_t state = atomic_load_explicit(&future->state, memory_order_relaxed);
        if (ati_phase_is_done(state & ATI_PHASE_MASK))
            break;
        if (!(state & ATI_STATE_SLEEPERS) && !atomic_compare_exchange_weak_explicit(
                                                 &future->state, &state, state | ATI_STATE_SLEEPERS,
                                                 memory_order_relaxed, memory_order_relaxed))
            continue;
        ati_futex_wait(&future->state, state | ATI_STATE_SLEEPERS, AT_FOREVER);
    }
    model_check(ati_phase_is_done(ati_future_phase(future)));
}

/* -- Cases ------------------------------------------------------------------------------------- */

#define CASE(text, prepare, checked, ...)                                                          \
    {                                                                                              \
        .name = text, .setup = prepare, .threads = {__VA_ARGS__}, .check = checked,                \
        .preemptions = MODEL_UNBOUNDED, .stale_reads = MODEL_UNBOUNDED                             \
    }

#define BOUNDED(text, prepare, checked, ...)                                                       \
    {                                                                                              \
        .name = text, .setup = prepare, .threads = {__VA_ARGS__}, .check = checked,                \
        .preemptions = 2, .stale_reads = 1                                                         \
    }

/* With one order weaker, which has to be found. */
#define MUTANT(in, operation, object, from, prepare, checked, ...)                                 \
    {                                                                                              \
        .name = "mutant: " operation " " object " in " in ", relaxed", .setup = prepare,           \
        .threads = {__VA_ARGS__}, .check = checked, .preemptions = 2, .stale_reads = 1,            \
        .must_fail = true, .mutant = {                                                             \
            in,                                                                                    \
            operation,                                                                             \
            object,                                                                                \
            memory_order_##from,                                                                   \
            memory_order_relaxed                                                                   \
        }                                                                                          \
    }

#endif
