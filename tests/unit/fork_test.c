/* SPDX-License-Identifier: MIT
 *
 * Fork and join: values, errors and what a fork may do (rule L6), how others get at the calls
 * (rule L5), and where there is no worker or no memory. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include "base/barrier.h"
#include "pool/pool.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static void *fibonacci(void *argument) {
    intptr_t n = (intptr_t)argument;
    if (n < 2)
        return argument;
    at_fork left;
    at_fork_start(&left, fibonacci, (void *)(n - 1));
    intptr_t right = (intptr_t)fibonacci((void *)(n - 2));
    return (void *)(right + (intptr_t)at_fork_join(&left, fibonacci));
}

static void *run(at_pool *pool, at_run_fn function, void *argument) {
    at_future *future = at_pool_submit(pool, function, argument);
    void *value = wait_value(future);
    at_future_release(future);
    return value;
}

Test(fork, gives_the_values) {
    for (int threads = 1; threads <= 4; threads++) {
        at_pool *pool = create_pool(threads);
        cr_expect_eq((intptr_t)run(pool, fibonacci, (void *)20), 6765);
        cr_expect_eq(destroy_pool(pool).accepted, 1, "forks are not tasks");
    }
}

Test(fork, plain_thread_calls_at_the_join, .description = "L6") {
    cr_expect_eq((intptr_t)fibonacci((void *)15), 610);
}

/* -- Handles in memory, many at once, joined by another function of the task -- */

enum { many = 1000 };

static void *count_up(void *count) {
    atomic_fetch_add_explicit((_Atomic int *)count, 1, memory_order_relaxed);
    return count;
}

static void join_backwards(at_fork *forks, int count) {
    while (count > 0)
        at_fork_join(&forks[--count], count_up);
}

static void *fork_many(void *count) {
    at_fork forks[many];
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < many; i++)
            at_fork_start(&forks[i], count_up, count);
        join_backwards(forks, many);
    }
    return NULL;
}

Test(fork, many_at_once) {
    for (int threads = 1; threads <= 3; threads++) {
        _Atomic int count = 0;
        at_pool *pool = create_pool(threads);
        run(pool, fork_many, &count);
        cr_expect_eq(count, 20 * many);
        destroy_pool(pool);
    }
}

/* -- More than the array holds -- */

static void *overfill(void *count) {
    size_t length = 40000;
    at_fork *forks = calloc(length, sizeof *forks);
    for (size_t i = 0; i < length; i++)
        at_fork_start(&forks[i], count_up, count);
    join_backwards(forks, (int)length);
    free(forks);
    return NULL;
}

Test(fork, more_than_have_a_place_are_called_at_their_join) {
    _Atomic int count = 0;
    at_pool *pool = create_pool(2);
    run(pool, overfill, &count);
    cr_expect_eq(count, 40000);
    destroy_pool(pool);
}

/* -- Taken by another worker: the task does not go on before its fork has been entered -- */

struct meeting {
    _Atomic bool entered;
    _Atomic bool left;
    ati_worker *worker;    /* that makes the call */
    ati_context *context;  /* that it runs under */
    void *(*run)(void *);  /* what it does then, or NULL */
    const at_error *error; /* that the task saw after the join */
    at_status status;      /* of that error */
    void *value;           /* what the join gave */
};

static void *meet(void *argument) {
    struct meeting *meeting = argument;
    meeting->worker = ati_worker_current;
    meeting->context = ati_context_current();
    atomic_store(&meeting->entered, true);
    return meeting->run ? meeting->run(meeting) : meeting;
}

/* Spins: this worker does not call the library. */
static void *fork_and_spin(void *argument) {
    struct meeting *meeting = argument;
    at_fork fork;
    at_fork_start(&fork, meet, meeting);
    while (!atomic_load(&meeting->entered))
        ;
    meeting->value = at_fork_join(&fork, meet);
    meeting->error = at_error_last();
    if (meeting->error)
        meeting->status = at_error_status(meeting->error);
    at_error_clear();
    return ati_worker_current;
}

static void *meet_elsewhere(at_pool *pool, struct meeting *meeting) {
    ati_worker *owner = run(pool, fork_and_spin, meeting);
    cr_expect_neq(meeting->worker, owner);
    return meeting->value;
}

Test(fork, taken_from_an_owner_that_does_not_answer, .description = "L5") {
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 200; i++) {
        struct meeting meeting = {0};
        cr_expect_eq(meet_elsewhere(pool, &meeting), &meeting);
    }
    destroy_pool(pool);
}

/* The first fork of a task is handed out when it starts. From then on calls are the owner's, until
 * a thief that asks for one in vain takes it. */
static void *fork_twice_and_spin(void *argument) {
    struct meeting *meetings = argument;
    at_fork forks[3];
    for (int i = 0; i < 3; i++)
        at_fork_start(&forks[i], meet, &meetings[i]);
    for (int i = 0; i < 3; i++)
        while (!atomic_load(&meetings[i].entered))
            ;
    for (int i = 3; i-- > 0;)
        at_fork_join(&forks[i], meet);
    return NULL;
}

static uint64_t sum_forced(at_pool *pool) {
    uint64_t sum = 0;
    for (int64_t i = 0; i < at_pool_thread_count(pool); i++)
        sum += ati_counter_read(&pool->workers[i]->forks.forced);
    return sum;
}

Test(fork, taken_by_force, .description = "L5") {
    at_pool *pool = create_pool(3);
    for (int i = 0; i < 50; i++) {
        struct meeting meetings[3] = {0};
        run(pool, fork_twice_and_spin, meetings);
    }
    if (ati_barrier_is_unequal())
        cr_expect_gt(sum_forced(pool), 0);
    destroy_pool(pool);
}

/* -- Errors (L6) -- */

static void *fail(void *argument) {
    (void)argument;
    return at_fail(AT_ERROR_IO, "the fork failed");
}

static void *fail_quietly(void *argument) {
    (void)at_fail(AT_ERROR_IO, "somebody looked at this");
    at_error_clear();
    return argument;
}

Test(fork, error_of_a_taken_call_is_in_the_slot_of_the_task, .description = "L6") {
    at_pool *pool = create_pool(2);
    struct meeting meeting = {.run = fail};
    cr_expect_eq(meet_elsewhere(pool, &meeting), AT_FAILED);
    cr_expect_eq(meeting.status, AT_ERROR_IO);
    struct meeting quiet = {.run = fail_quietly};
    cr_expect_eq(meet_elsewhere(pool, &quiet), &quiet);
    cr_expect_null(quiet.error);
    cr_expect_eq(destroy_pool(pool).succeeded, 2);
}

static void *fork_that_fails(void *unused) {
    at_fork fork;
    at_fork_start(&fork, fail, unused);
    return at_fork_join(&fork, fail);
}

static void *fork_whose_failure_is_ignored(void *value) {
    return fork_that_fails(NULL) == AT_FAILED ? value : NULL;
}

Test(fork, failure_is_a_value_until_the_task_returns_it, .description = "L6") {
    for (int threads = 1; threads <= 2; threads++) {
        at_pool *pool = create_pool(threads);
        at_future *future = at_pool_submit(pool, fork_that_fails, NULL);
        expect_outcome(future, AT_ERROR_IO);
        at_future_release(future);
        cr_expect_eq(run(pool, fork_whose_failure_is_ignored, pool), pool);
        at_pool_audit_result audit = destroy_pool(pool);
        cr_expect_eq(audit.failed, 1);
        cr_expect_eq(audit.succeeded, 1);
    }
    cr_expect_eq(fork_that_fails(NULL), AT_FAILED);
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_IO);
    at_error_clear();
}

/* -- What a taken call leaves behind for its task: a value with its drop, a future -- */

static void *return_with_drop(void *meeting) {
    (void)meeting;
    return at_return(strdup("owned"), free);
}

static void *return_what_the_fork_returned(void *argument) {
    struct meeting *meeting = argument;
    fork_and_spin(meeting);
    return meeting->value;
}

Test(fork, value_of_a_taken_call_keeps_its_drop) {
    at_pool *pool = create_pool(2);
    struct meeting meeting = {.run = return_with_drop};
    at_future *future = at_pool_submit(pool, return_what_the_fork_returned, &meeting);
    cr_expect_str_eq(wait_value(future), "owned");
    at_future_release(future);
    destroy_pool(pool);
}

static void *give(void *argument) {
    return argument;
}

static void *return_a_future(void *meeting) {
    (void)meeting;
    return at_return_future(at_pool_submit(at_pool_current(), give, meeting));
}

static void *continue_in_a_fork(void *argument) {
    return return_what_the_fork_returned(argument);
}

Test(fork, task_continues_with_the_future_of_a_taken_call) {
    at_pool *pool = create_pool(2);
    struct meeting meeting = {.run = return_a_future};
    cr_expect_eq(run(pool, continue_in_a_fork, &meeting), &meeting);
    destroy_pool(pool);
}

/* -- Context (L6) -- */

static void *fork_under_a_context(void *argument) {
    ati_context *context = ati_context_create(NULL, "operation", AT_FOREVER, NULL, 0);
    ati_context *outer = ati_context_exchange(context);
    fork_and_spin(argument);
    (void)ati_context_exchange(outer);
    bool same = ((struct meeting *)argument)->context == context;
    ati_context_release(context);
    return same ? argument : NULL;
}

Test(fork, taken_call_runs_under_the_context_of_its_task, .description = "L6") {
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 20; i++) {
        struct meeting meeting = {0};
        cr_expect_eq(run(pool, fork_under_a_context, &meeting), &meeting);
    }
    destroy_pool(pool);
}

/* -- A taken call is a part of its task -- */

struct own_wait {
    struct meeting meeting;
    at_future *future; /* of the task that forks */
    at_future *target; /* what the taken call waits for */
    at_status status;  /* that its wait gave */
    char *name;        /* of the running task, as the pool shows it */
    struct gate gate;  /* holds the other worker until `future` is written */
};

#define OWN_WAIT(function)                                                                         \
    { .meeting.run = function, .gate = GATE_CLOSED }

static void *wait_in_the_call(void *argument) {
    struct own_wait *own = argument;
    own->name = strdup(ati_task_name_of(ati_frame_current()));
    own->status = at_future_wait(own->future, AT_FOREVER, NULL);
    at_error_clear();
    return NULL;
}

static void fork_elsewhere(at_pool *pool, struct own_wait *own) {
    at_task_options options = {.run = fork_and_spin, .argument = own, .name = "parent"};
    cr_assert_eq(at_pool_start(pool, gate_pass, &own->gate), AT_OK);
    gate_await(&own->gate, 1);
    own->future = at_pool_submit_with(pool, &options);
    gate_open(&own->gate);
    (void)wait_value(own->future);
}

Test(fork, taken_call_does_not_wait_for_its_own_task, .description = "W2") {
    at_pool *pool = create_pool(2);
    struct own_wait own = OWN_WAIT(wait_in_the_call);
    fork_elsewhere(pool, &own);
    cr_expect_eq(own.status, AT_ERROR_DEADLOCK);
    cr_expect_str_eq(own.name, "parent");
    free(own.name);
    at_future_release(own.future);
    destroy_pool(pool);
}

static void *wait_for_parent(void *argument) {
    struct own_wait *own = argument;
    at_status status = at_future_wait(own->future, AT_FOREVER, NULL);
    at_error_clear();
    return (void *)(intptr_t)status;
}

static void *wait_for_one_that_waits(void *argument) {
    struct own_wait *own = argument;
    own->target = at_pool_submit(at_pool_current(), wait_for_parent, own);
    own->status = at_future_wait(own->target, at_after(AT_SECONDS(40)), NULL);
    at_error_clear();
    return NULL;
}

Test(fork, cycle_of_waits_through_a_taken_call_is_found, .description = "W2") {
    at_pool *pool = create_pool(2);
    struct own_wait own = OWN_WAIT(wait_for_one_that_waits);
    fork_elsewhere(pool, &own);
    intptr_t other = (intptr_t)wait_value(own.target);
    cr_expect((own.status == AT_ERROR_DEADLOCK) != (other == AT_ERROR_DEADLOCK));
    at_future_release(own.target);
    at_future_release(own.future);
    destroy_pool(pool);
}

/* -- A value is dropped: the forks of the task stay its own, and the drop may fork too -- */

static ptrdiff_t count_private(void) {
    ati_forks *forks = &ati_worker_current->forks;
    return forks->line.head - atomic_load(&forks->split);
}

static void drop_with_forks(void *sum) {
    *(intptr_t *)sum += (intptr_t)fibonacci((void *)10);
}

static void *return_sum(void *sum) {
    return at_return(sum, drop_with_forks);
}

static void *drop_above_forks(void *sum) {
    at_future *future = at_pool_submit(at_pool_current(), return_sum, sum);
    AT_TRY(at_future_wait(future, AT_FOREVER, NULL));
    at_fork forks[3];
    for (int i = 0; i < 3; i++)
        at_fork_start(&forks[i], fibonacci, (void *)10);
    ptrdiff_t before = count_private();
    at_future_release(future);
    cr_expect_gt(before, 0);
    cr_expect_eq(count_private(), before);
    for (int i = 3; i-- > 0;)
        *(intptr_t *)sum += (intptr_t)at_fork_join(&forks[i], fibonacci);
    return sum;
}

Test(fork, drop_leaves_the_forks_of_the_task) {
    intptr_t sum = 0;
    at_pool *pool = create_pool(1);
    (void)run(pool, drop_above_forks, &sum);
    cr_expect_eq(sum, 4 * 55);
    destroy_pool(pool);
}

/* -- Waiting with unjoined forks: they are handed out, and the task comes back to them -- */

struct waiting {
    at_future *future;
    _Atomic int calls;
};

static void *count_call(void *argument) {
    struct waiting *waiting = argument;
    atomic_fetch_add_explicit(&waiting->calls, 1, memory_order_relaxed);
    return waiting;
}

static void *fork_and_wait(void *argument) {
    struct waiting *waiting = argument;
    at_fork forks[5];
    for (int i = 0; i < 4; i++)
        at_fork_start(&forks[i], count_call, waiting);
    AT_TRY(at_future_wait(waiting->future, AT_FOREVER, NULL));
    at_fork_start(&forks[4], count_call, waiting);
    for (int i = 5; i-- > 0;)
        at_fork_join(&forks[i], count_call);
    return waiting;
}

Test(fork, task_waits_with_unjoined_forks) {
    enum { tasks = 10 };
    for (int threads = 1; threads <= 3; threads++) {
        at_pool *pool = create_pool(threads);
        at_future *future;
        at_promise *promise = create_promise(pool, &future);
        struct waiting waiting = {.future = future};
        at_future *waiters[tasks];
        for (int i = 0; i < tasks; i++)
            waiters[i] = at_pool_submit(pool, fork_and_wait, &waiting);
        cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
        for (int i = 0; i < tasks; i++) {
            cr_expect_eq(wait_value(waiters[i]), &waiting);
            at_future_release(waiters[i]);
        }
        cr_expect_eq(waiting.calls, 5 * tasks);
        at_promise_destroy(promise);
        at_future_release(future);
        destroy_pool(pool);
    }
}

/* The target of the wait is run in place, above unjoined forks of the waiting task. */
static void *fork_and_run_in_place(void *depth) {
    if (!depth)
        return (void *)1;
    at_fork fork;
    at_fork_start(&fork, fork_and_run_in_place, (char *)depth - 1);
    at_future *nested = at_pool_submit(at_pool_current(), fork_and_run_in_place, (char *)depth - 1);
    void *value;
    at_status status = at_future_wait(nested, AT_FOREVER, &value);
    at_future_release(nested);
    void *forked = at_fork_join(&fork, fork_and_run_in_place);
    AT_TRY(status);
    return (char *)value + (intptr_t)forked;
}

Test(fork, task_runs_in_place_above_unjoined_forks) {
    for (int threads = 1; threads <= 3; threads++) {
        at_pool *pool = create_pool(threads);
        cr_expect_eq((intptr_t)run(pool, fork_and_run_in_place, (void *)8), 1 << 8);
        destroy_pool(pool);
    }
}

/* -- Deep recursion -- */

static void *descend(void *levels) {
    if (!levels)
        return NULL;
    at_fork fork;
    _Atomic int count = 0;
    at_fork_start(&fork, count_up, &count);
    void *below = descend((char *)levels - 1);
    at_fork_join(&fork, count_up);
    return (char *)below + 1;
}

#if defined(__SANITIZE_THREAD__)
enum { levels = 20000 }; /* it follows 65,535 calls at most */
#else
enum { levels = 100000 };
#endif

Test(fork, hundred_thousand_levels) {
    for (int threads = 1; threads <= 2; threads++) {
        at_pool *pool;
        at_pool_options options = {.thread_count = threads, .stack_bytes = 64 * 1024 * 1024};
        cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
        cr_expect_eq((intptr_t)run(pool, descend, (void *)levels), levels);
        destroy_pool(pool);
    }
}

/* -- Without unequal barriers -- */

static void *take_locks_instead(void *unused) {
    ati_forks_deinit(&ati_worker_current->forks);
    ati_forks_init(&ati_worker_current->forks, false);
    return unused;
}

/* Each worker sits in one of the tasks, so each has run one. */
static void *take_locks_and_pass(void *gate) {
    take_locks_instead(NULL);
    return gate_pass(gate);
}

Test(fork, without_unequal_barriers) {
    enum { threads = 3 };
    at_pool *pool = create_pool(threads);
    struct gate gate = GATE_CLOSED;
    for (int i = 0; i < threads; i++)
        cr_assert_eq(at_pool_start(pool, take_locks_and_pass, &gate), AT_OK);
    gate_await(&gate, threads);
    gate_open(&gate);
    cr_expect_eq((intptr_t)run(pool, fibonacci, (void *)20), 6765);
    for (int i = 0; i < 50; i++) {
        struct meeting meeting = {0};
        cr_expect_eq(meet_elsewhere(pool, &meeting), &meeting);
    }
    struct meeting meetings[3] = {0};
    run(pool, fork_twice_and_spin, meetings);
    destroy_pool(pool);
}
