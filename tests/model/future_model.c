/* SPDX-License-Identifier: MIT
 *
 * lib/future: a future completes once, whoever sees it done sees its outcome, each registration is
 * fired once or was detached, in the order in which they were attached, nobody sleeps on a future
 * that is done, and the last reference, whoever has it, frees it. */
#include "model.h"

/* One look at a locked future before the sleep: leaves the loop. */
#define ati_cpu_relax() break
#include "future/completion.c"
#include "future/continuation.c"
#include "future/cycle.c"
#include "future/future.c"
#define future_of future_of_promise
#include "future/promise.c"
#undef future_of
#include "future/task.c"

/* -- What the futures call --------------------------------------------------------------------- */

#include "future_stubs.h"

void ati_context_retain(ati_context *context) {
    model_check(!context);
}

void ati_context_release(ati_context *context) {
    model_check(!context);
}

void at_error_release(at_error *error) {
    model_check(!error);
}

/* Nothing fails here. */
at_error *ati_error_static(at_status status) {
    model_fail("an error: %d", status);
}

at_error *ati_error_create(const char *site, at_error *cause, at_status status, const char *format,
                           ...) {
    (void)cause;
    model_fail("%s: an error: %d: %s", site, status, format);
}

at_error *at_error_retain(const at_error *error) {
    (void)error;
    model_fail("an error");
}

at_error *at_error_take(void) {
    model_fail("an error");
}

at_status at_error_status(const at_error *error) {
    (void)error;
    model_fail("an error");
}

const char *at_status_text(at_status status) {
    model_fail("an error: %d", status);
}

bool ati_error_mark_read(at_error *error) {
    (void)error;
    model_fail("an error");
}

void ati_error_set_task(at_error *error, const char *name, bool copy_name, const char *site) {
    (void)error;
    (void)copy_name;
    model_fail("%s: %s: an error", site, name);
}

void ati_report_dropped_error(at_error *error) {
    (void)error;
    model_fail("an error");
}

/* Nothing is cancelled here. */

void at_future_cancel(at_future *future) {
    (void)future;
    model_fail("a future is cancelled");
}

void ati_completions_stop(ati_completions *list) {
    model_check(!list->stopping);
}

void ati_future_prepare_cancel(ati_frame *frame) {
    (void)frame;
}

void ati_fire_indifferent(ati_registration *registration, at_future *source,
                          ati_completions *list) {
    (void)registration;
    (void)source;
    (void)list;
    model_fail("there are no combinators");
}

bool ati_is_cancelled(ati_context *context) {
    (void)context;
    return false;
}

void ati_frame_exchange_slot(ati_frame_slot slot) {
    (void)slot;
    model_fail("an error");
}

static void check_end(at_status status) {
    model_check(status == AT_OK);
}

/* -- What the threads share -------------------------------------------------------------------- */

enum { recorder_max = 3 };

/* A registration that notes when it was fired, and with which value. */
typedef struct recorder {
    ati_registration registration;
    int value;
} recorder;

typedef struct shared_state {
    recorder recorders[recorder_max];
    ati_worker workers[MODEL_THREADS];
    int value; /* written by the task */
} shared_state;

static shared_state *shared;
static at_future *source;
static at_future *derived;
static at_promise *promise;
static int fired[recorder_max];
static int fired_count;
static bool detached;
static int set_count;
static int run_count;

/* What a task gives, and what a continuation makes of it, are reads and writes of plain memory. */
static void *give_value(void *argument) {
    (void)argument;
    run_count++;
    shared->value = 7;
    return &shared->value;
}

static void *add_one(void *value, void *context) {
    (void)context;
    model_check(value == &shared->value);
    run_count++;
    shared->value++;
    return value;
}

static void record(ati_registration *registration, at_future *of, ati_completions *list) {
    (void)list;
    recorder *fires = (recorder *)registration;
    fires->value = *(int *)ati_future_value(of);
    fired[fired_count++] = (int)(fires - shared->recorders);
}

static void set_up(void) {
    shared = model_allocate(sizeof *shared, ATI_CACHE_LINE);
    set_up_pool();
    for (int i = 0; i < recorder_max; i++)
        shared->recorders[i].registration.fire = record;
    for (int i = 0; i < MODEL_THREADS; i++)
        shared->workers[i].pool = pool;
    set_up_threads();
    fired_count = set_count = run_count = 0;
    detached = false;
    source = derived = NULL;
}

static at_future *make_task(void) {
    at_future *task = ati_future_create(ATI_FUTURE_TASK, &pool->executor, "", NULL);
    task->run.task = give_value;
    atomic_init(&task->references, 1 + ATI_REFERENCE_INSIDE);
    atomic_init(&task->state, ATI_PHASE_QUEUED);
    return task;
}

static void set_up_task(void) {
    set_up();
    source = make_task();
}

static void set_up_two_references(void) {
    set_up_task();
    at_future_retain(source);
}

/* A chain of two behind the task; the end is `derived`. */
static void set_up_chain(void) {
    set_up_task();
    derived = at_future_then(at_future_then(source, add_one, NULL), add_one, NULL);
}

static void set_up_promise(void) {
    set_up();
    model_check(at_promise_create(&promise, &pool->executor) == AT_OK);
    source = at_promise_future(promise);
}

/* -- What the threads do ----------------------------------------------------------------------- */

static void run_task(void) {
    ati_worker_current = &shared->workers[model_thread_number()];
    run_queued(source);
}

/* A waiter of a task claims it, as the worker may; the task then stays in its queue. */
static void run_in_place(void) {
    if (ati_future_claim(source, 0))
        ati_future_run(source);
}

static void attach_number(int index) {
    ati_completions list = {0};
    ati_future_attach(source, &shared->recorders[index].registration, &list);
    ati_completions_run(&list);
}

static void attach_one(void) {
    attach_number(0);
}

static void attach_two(void) {
    attach_number(0);
    attach_number(1);
}

static void attach_another(void) {
    attach_number(2);
}

static void attach_and_detach(void) {
    attach_number(0);
    detached = ati_future_detach(source, &shared->recorders[0].registration);
}

static void attach_two_and_detach(void) {
    attach_number(0);
    attach_number(1);
    detached = ati_future_detach(source, &shared->recorders[0].registration);
}

static void wait_and_release(void) {
    sleep_until_done(source);
    model_check(*(int *)ati_future_value(source) == 7);
    at_future_release(source);
}

static void release_source(void) {
    at_future_release(source);
}

static void derive(void) {
    derived = at_future_then(source, add_one, NULL);
}

static void derive_twice(void) {
    derived = at_future_then(at_future_then(source, add_one, NULL), add_one, NULL);
}

static void derive_and_release(void) {
    at_future_release(at_future_then(source, add_one, NULL));
}

static void wait_for_derived(void) {
    sleep_until_done(derived);
    model_check(*(int *)ati_future_value(derived) == 9);
    at_future_release(derived);
    derived = NULL;
}

static void attach_to_derived(void) {
    ati_completions list = {0};
    ati_future_attach(derived, &shared->recorders[0].registration, &list);
    ati_completions_run(&list);
}

static void set_promise(void) {
    if (at_promise_set(promise, &shared->value, NULL) == AT_OK)
        set_count++;
}

/* -- What has to hold -------------------------------------------------------------------------- */

static void check_recorded(int expected) {
    model_check(fired_count + detached == expected);
    for (int i = 0; i + 1 < fired_count; i++) /* 0 before 1, by one thread */
        model_check(!(fired[i] == 1 && fired[i + 1] == 0));
    for (int i = 0; i < fired_count; i++)
        model_check(shared->recorders[fired[i]].value == shared->value);
    model_check(atomic_load_explicit(&source->state, memory_order_relaxed) == ATI_PHASE_VALUE);
}

static void check_nothing_kept(void) {
    model_check(kept_count == 0);
}

static void check_one(void) {
    check_recorded(1);
    at_future_release(source);
    check_nothing_kept();
}

static void check_two(void) {
    check_recorded(2);
    at_future_release(source);
    check_nothing_kept();
}

static void check_three(void) {
    check_recorded(3);
    at_future_release(source);
    check_nothing_kept();
}

static void check_promise(void) {
    model_check(set_count == 1);
    check_recorded(1);
    at_promise_destroy(promise);
    at_future_release(source);
    check_nothing_kept();
}

static void check_run_once(void) {
    model_check(run_count == 1);
    at_future_release(source);
}

static void check_chain(void) {
    at_future_release(derived);
    model_check(run_count == 3 && shared->value == 9);
    check_nothing_kept();
}

static void check_branch(void) {
    at_future_release(derived);
    model_check(run_count == 2 && shared->value == 8);
    check_nothing_kept();
}

static void check_short_branch(void) {
    model_check(run_count == 2 && shared->value == 8);
    check_nothing_kept();
}

static void check_recorded_chain(void) {
    model_check(fired_count == 1 && shared->recorders[0].value == 9);
    check_chain();
}

static const model_case cases[] = {
    CASE("one attaches", set_up_task, check_one, run_task, attach_one),
    BOUNDED("one attaches two", set_up_task, check_two, run_task, attach_two),
    BOUNDED("two attach", set_up_task, check_two, run_task, attach_one, attach_another),
    BOUNDED("three are attached", set_up_task, check_three, run_task, attach_two, attach_another),
    BOUNDED("one attaches and detaches", set_up_task, check_one, run_task, attach_and_detach),
    BOUNDED("one of two is detached", set_up_task, check_two, run_task, attach_two_and_detach),
    CASE("worker and waiter claim", set_up_task, check_run_once, run_task, run_in_place),
    CASE("one waits", set_up_task, check_nothing_kept, run_task, wait_and_release),
    BOUNDED("two wait", set_up_two_references, check_nothing_kept, run_task, wait_and_release,
            wait_and_release),
    CASE("two release", set_up_two_references, check_nothing_kept, run_task, release_source,
         release_source),
    CASE("one derives", set_up_task, check_branch, run_task, derive),
    BOUNDED("one derives and forgets", set_up_task, check_short_branch, run_task,
            derive_and_release),
    BOUNDED("one derives twice", set_up_task, check_chain, run_task, derive_twice),
    BOUNDED("a chain, and one waits", set_up_chain, check_nothing_kept, run_task, wait_for_derived),
    BOUNDED("a chain, and one attaches", set_up_chain, check_recorded_chain, run_task,
            attach_to_derived),
    BOUNDED("two set a promise, one attaches", set_up_promise, check_promise, set_promise,
            set_promise, attach_one),
    MUTANT("publish", "compare_exchange", "&future->state", acq_rel, set_up_task, check_one,
           run_task, attach_one),
    MUTANT("ati_future_lock", "compare_exchange", "&future->state", acquire, set_up_task, check_two,
           run_task, attach_one, attach_another),
    MUTANT("unlock", "compare_exchange", "&future->state", release, set_up_task, check_two,
           run_task, attach_one, attach_another),
    MUTANT("ati_future_attach_alone", "compare_exchange", "&source->state", release, set_up_task,
           check_branch, run_task, derive),
    MUTANT("release", "fetch_sub", "&future->references", acq_rel, set_up_two_references,
           check_nothing_kept, run_task, release_source, release_source),
    MUTANT("release", "load", "&future->references", acquire, set_up_two_references,
           check_nothing_kept, run_task, release_source, release_source),
    MUTANT("ati_future_phase", "load", "&((at_future *)future)->state", acquire, set_up_task,
           check_nothing_kept, run_task, wait_and_release),
};

int main(int argument_count, char **arguments) {
    return model_main(argument_count, arguments, cases, sizeof cases / sizeof *cases);
}
