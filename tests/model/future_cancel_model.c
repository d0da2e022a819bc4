/* SPDX-License-Identifier: MIT
 *
 * at_future_cancel against all that may happen at the same time: a future completes once, it runs
 * or it is cancelled and its argument dropped, a source in which nobody is interested any more is
 * cancelled, nobody sleeps on a future that is done, who is asked to stop learns of it, and nothing
 * is kept in the end. */
#include "model.h"

/* One look at a locked future before the sleep: leaves the loop. */
#define ati_cpu_relax() break
#include <sched.h>
#define sched_yield() model_yield()
#include "future/cancel.c"
#define is_asked is_asked_to_stop
#include "future/completion.c"
#include "future/continuation.c"
#include "future/cycle.c"
#include "future/future.c"
#define future_of future_of_promise
#include "future/promise.c"
#undef future_of
static void cancel_unless_forgotten(at_future *future);
#define at_future_cancel cancel_unless_forgotten
#include "future/task.c"
#undef at_future_cancel

/* -- What the futures call --------------------------------------------------------------------- */

#include "future_cancel_stubs.h"

/* -- What the threads share -------------------------------------------------------------------- */

typedef struct shared_state {
    ati_registration waiting; /* of who waits for the source */
    ati_worker workers[MODEL_THREADS];
    int value; /* written by the task */
} shared_state;

static shared_state *shared;
static at_future *source;
static at_future *derived;
static at_future *other;
static at_future *next; /* that the source goes on with */
static at_promise *promise;
static ati_context *own;
static bool saw_asked;
static bool forgets;
static int run_count, drop_count, end_count, value_drop_count, set_call_count, set_count;

/* A mutant: who goes on with another future does not look whether it was asked to stop meanwhile.
 */
static void cancel_unless_forgotten(at_future *future) {
    if (!forgets)
        at_future_cancel(future);
}

static void *give_value(void *argument) {
    model_check(argument == shared);
    run_count++;
    shared->value = 7;
    return &shared->value;
}

static void *give_next(void *argument) {
    (void)argument;
    run_count++;
    return at_return_future(next);
}

/* As before a wait. */
static void *take_own_operation(void *argument) {
    (void)argument;
    ati_frame *frame = ati_frame_current();
    run_count++;
    frame->own_context(frame, true);
    own = frame->context;
    ati_context_retain(own);
    saw_asked = is_asked(source);
    return &shared->value;
}

static void *add_one(void *value, void *context) {
    model_check(value == &shared->value && context == NULL);
    shared->value++;
    return value;
}

static void note_end(const at_outcome *outcome, void *context) {
    (void)context;
    model_check(outcome->status == AT_OK || outcome->status == AT_ERROR_CANCELLED);
    end_count++;
}

static void drop_argument(void *argument) {
    model_check(argument == shared);
    drop_count++;
}

static void drop_value(void *value) {
    model_check(value == &shared->value);
    value_drop_count++;
}

static void fire_nothing(ati_registration *registration, at_future *of, ati_completions *list) {
    (void)registration;
    (void)of;
    (void)list;
}

static void set_up(void) {
    shared = model_allocate(sizeof *shared, ATI_CACHE_LINE);
    set_up_pool();
    set_up_threads();
    for (int i = 0; i < MODEL_THREADS; i++)
        shared->workers[i].pool = pool;
    source = derived = other = next = NULL;
    promise = NULL;
    own = NULL;
    saw_asked = forgets = false;
    run_count = drop_count = end_count = value_drop_count = set_call_count = set_count = 0;
}

static at_future *make_task(at_run_fn run) {
    at_future *task = ati_future_create(ATI_FUTURE_TASK, &pool->executor, "", NULL);
    task->run.task = run;
    task->argument = shared;
    task->argument_drop = drop_argument;
    atomic_init(&task->references, 1 + ATI_REFERENCE_INSIDE);
    atomic_init(&task->state, ATI_PHASE_QUEUED);
    return task;
}

static void set_up_task(void) {
    set_up();
    source = make_task(give_value);
}

static void set_up_two_references(void) {
    set_up_task();
    at_future_retain(source);
}

static void set_up_own_operation(void) {
    set_up();
    source = make_task(take_own_operation);
}

/* Nobody else knows the source. */
static void set_up_derived(void) {
    set_up_task();
    derived = at_future_then(source, add_one, NULL);
}

static void set_up_derived_and_waiter(void) {
    set_up_derived();
    at_future_retain(derived);
}

static void set_up_finally(void) {
    set_up_task();
    derived = at_future_finally(source, note_end, NULL);
}

static void set_up_two_derived(void) {
    set_up_two_references();
    at_future_retain(source);
    derived = at_future_then(source, add_one, NULL);
    other = at_future_then(source, add_one, NULL);
}

static void set_up_derived_and_wait(void) {
    set_up_two_references();
    derived = at_future_then(source, add_one, NULL);
    shared->waiting.fire = fire_nothing;
    ati_completions list = {0};
    ati_future_attach(source, &shared->waiting, &list);
}

static void make_promise(void) {
    model_check(at_promise_create(&promise, &pool->executor) == AT_OK);
}

static void set_up_promise(void) {
    set_up();
    make_promise();
    source = at_promise_future(promise);
}

static void set_up_promise_and_derived(void) {
    set_up_promise();
    derived = at_future_then(source, add_one, NULL);
}

static void set_up_next(void) {
    set_up();
    make_promise();
    next = at_promise_future(promise);
    source = make_task(give_next);
}

static void set_up_forgetting(void) {
    set_up_next();
    forgets = true;
}

/* -- What the threads do ----------------------------------------------------------------------- */

static void run_task(void) {
    ati_worker_current = &shared->workers[model_thread_number()];
    run_queued(source);
}

static void cancel_source(void) {
    at_future_cancel(source);
}

static void cancel_derived(void) {
    at_future_cancel(derived);
}

static void cancel_and_release_derived(void) {
    at_future_cancel(derived);
    at_future_release(derived);
    derived = NULL;
}

static void cancel_other(void) {
    at_future_cancel(other);
}

static void derive(void) {
    derived = at_future_then(source, add_one, NULL);
}

/* As a wait that is cancelled. */
static void stop_waiting(void) {
    bool is_unwanted;
    if (ati_future_leave(source, &shared->waiting, &is_unwanted) && is_unwanted)
        at_future_cancel(source);
}

static void wait_for_source(void) {
    sleep_until_done(source);
    at_future_release(source);
}

static void wait_for_derived(void) {
    sleep_until_done(derived);
    at_future_release(derived);
}

static void set_promise(void) {
    set_call_count++;
    if (at_promise_set(promise, &shared->value, drop_value) == AT_OK)
        set_count++;
}

/* -- What has to hold -------------------------------------------------------------------------- */

/* Done, and cancelled if it is no success; gives whether it is one. */
static bool check_done(at_future *future) {
    uint32_t phase = atomic_load_explicit(&future->state, memory_order_relaxed);
    model_check(phase == ATI_PHASE_VALUE || phase == ATI_PHASE_CANCELLED);
    model_check((phase == ATI_PHASE_VALUE) == (future->error == NULL));
    return phase == ATI_PHASE_VALUE;
}

/* A task of which the argument is run or dropped. */
static void check_run_or_dropped(void) {
    model_check(run_count + drop_count == 1);
}

static void check_nothing_kept(void) {
    model_check(kept_count == 0);
}

static void check_task(void) {
    check_run_or_dropped();
    model_check(check_done(source) == (run_count == 1));
    at_future_release(source);
    check_nothing_kept();
}

static void check_waited(void) {
    check_run_or_dropped();
    at_future_release(source);
    check_nothing_kept();
}

/* A continuation that was cancelled, perhaps in time; its source is its own. */
static void check_derived(void) {
    check_run_or_dropped();
    if (derived) {
        bool has_run = check_done(derived);
        model_check(!has_run || (run_count == 1 && shared->value == 8));
        at_future_release(derived);
    }
    check_nothing_kept();
}

static void check_finally(void) {
    check_run_or_dropped();
    model_check(end_count == 1);
    (void)check_done(derived);
    at_future_release(derived);
    check_nothing_kept();
}

/* Nobody is interested in the source, which was never run. */
static void check_unwanted(void) {
    model_check(!check_done(source) && !check_done(derived));
    model_check(run_count == 0 && drop_count == 1);
    if (other)
        model_check(!check_done(other));
    ati_worker_current = &shared->workers[0];
    run_queued(source); /* a tombstone */
    at_future_release(other);
    at_future_release(derived);
    at_future_release(source);
    check_nothing_kept();
}

/* The same with somebody who runs it. */
static void check_unwanted_or_run(void) {
    check_run_or_dropped();
    model_check(check_done(source) == (run_count == 1));
    (void)check_done(derived);
    (void)check_done(other);
    at_future_release(other);
    at_future_release(derived);
    at_future_release(source);
    check_nothing_kept();
}

static void check_derived_late(void) {
    check_run_or_dropped();
    (void)check_done(derived);
    at_future_release(derived);
    at_future_release(source);
    check_nothing_kept();
}

static void check_promise(void) {
    at_promise_destroy(promise);
    if (source && !derived) {
        model_check(check_done(source) == (set_count == 1));
        model_check(value_drop_count == 1 - set_count);
        at_future_release(source);
    } else {
        (void)check_done(derived);
        at_future_release(derived);
    }
    model_check(value_drop_count == 1);
    check_nothing_kept();
}

static void end_next(void) {
    if (set_call_count == 0)
        set_promise();
    at_promise_destroy(promise);
    if (run_count == 0) /* then the task did not take it */
        at_future_release(next);
    model_check(value_drop_count == 1);
}

/* It goes on with a promise that nobody sets. */
static void check_next(void) {
    check_run_or_dropped();
    model_check(!check_done(source));
    at_future_release(source);
    end_next();
    check_nothing_kept();
}

static void check_next_set(void) {
    check_run_or_dropped();
    bool has_value = check_done(source);
    model_check(!has_value || (run_count == 1 && set_count == 1));
    at_future_release(source);
    end_next();
    check_nothing_kept();
}

static void check_own_operation(void) {
    check_run_or_dropped();
    if (own) {
        bool was_cancelled = atomic_load_explicit(&own->cancelled, memory_order_relaxed) != 0;
        model_check(!saw_asked || was_cancelled);
        model_check(atomic_load_explicit(&own->references, memory_order_relaxed) == 1);
        ati_context_release(own);
    }
    (void)check_done(source);
    at_future_release(source);
    check_nothing_kept();
}

/* Three that do much. */
#define SHORT(text, prepare, checked, ...)                                                         \
    { .name = text, .setup = prepare, .threads = {__VA_ARGS__}, .check = checked, .preemptions = 2 }

static const model_case cases[] = {
    CASE("a task that is started", set_up_task, check_task, run_task, cancel_source),
    BOUNDED("two cancel a task", set_up_task, check_task, run_task, cancel_source, cancel_source),
    BOUNDED("one cancels, one waits", set_up_two_references, check_waited, run_task, cancel_source,
            wait_for_source),
    BOUNDED("a task that gets an operation", set_up_own_operation, check_own_operation, run_task,
            cancel_source),
    BOUNDED("two cancel a task that gets an operation", set_up_own_operation, check_own_operation,
            run_task, cancel_source, cancel_source),
    BOUNDED("a continuation while its source runs", set_up_derived, check_derived, run_task,
            cancel_derived),
    BOUNDED("a continuation that is let go", set_up_derived, check_derived, run_task,
            cancel_and_release_derived),
    BOUNDED("a continuation that one waits for", set_up_derived_and_waiter, check_derived, run_task,
            cancel_derived, wait_for_derived),
    BOUNDED("two cancel a continuation", set_up_derived, check_derived, run_task, cancel_derived,
            cancel_derived),
    BOUNDED("a finally while its source runs", set_up_finally, check_finally, run_task,
            cancel_derived),
    BOUNDED("two lose their interest", set_up_two_derived, check_unwanted, cancel_derived,
            cancel_other),
    SHORT("two lose their interest in what runs", set_up_two_derived, check_unwanted_or_run,
          run_task, cancel_derived, cancel_other),
    BOUNDED("a continuation and a wait lose it", set_up_derived_and_wait, check_unwanted,
            cancel_derived, stop_waiting),
    BOUNDED("one derives, one cancels", set_up_two_references, check_derived_late, run_task,
            cancel_source, derive),
    CASE("a promise that is set", set_up_promise, check_promise, set_promise, cancel_source),
    BOUNDED("what follows a promise", set_up_promise_and_derived, check_promise, set_promise,
            cancel_derived),
    BOUNDED("a task that goes on with another", set_up_next, check_next, run_task, cancel_source),
    SHORT("a task that goes on with what completes", set_up_next, check_next_set, run_task,
          cancel_source, set_promise),
    {.name = "mutant: who goes on with another forgets that it was asked",
     .setup = set_up_forgetting,
     .threads = {run_task, cancel_source},
     .check = check_next,
     .preemptions = 2,
     .stale_reads = 1,
     .must_fail = true},
    MUTANT("ati_future_unlock", "compare_exchange", "&future->state", release, set_up_own_operation,
           check_own_operation, run_task, cancel_source),
    MUTANT("ati_future_lock", "compare_exchange", "&future->state", acquire, set_up_next,
           check_next, run_task, cancel_source),
    MUTANT("unlock", "compare_exchange", "&future->state", release, set_up_derived_and_wait,
           check_unwanted, cancel_derived, stop_waiting),
    MUTANT("release", "fetch_sub", "&future->references", acq_rel, set_up_derived, check_derived,
           run_task, cancel_and_release_derived),
};

int main(int argument_count, char **arguments) {
    return model_main(argument_count, arguments, cases, sizeof cases / sizeof *cases);
}
