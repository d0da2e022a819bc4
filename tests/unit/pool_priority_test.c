/* SPDX-License-Identifier: MIT
 *
 * Rules L3 and S4: high, normal and low priority. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/error.h>
#include <asynctools/parallel.h>
#include <asynctools/sleep.h>

#include "pool/pool.h"

#include <sched.h>
#include <string.h>

TestSuite(pool_priority, .timeout = 200);

enum { record_max = 2048 };

/* What ran, in order. One worker writes it. */
static struct {
    char kinds[record_max];
    int count;
} record;

static void *note(void *kind) {
    if (record.count < record_max)
        record.kinds[record.count++] = *(char *)kind;
    return NULL;
}

static char high = 'h', normal = 'n', low = 'l';

static void start(at_pool *pool, char *kind, int count) {
    at_task_options options = {.run = note,
                               .argument = kind,
                               .priority = kind == &high  ? AT_PRIORITY_HIGH
                                           : kind == &low ? AT_PRIORITY_LOW
                                                          : AT_PRIORITY_NORMAL};
    for (int i = 0; i < count; i++)
        cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
}

static int position(char kind, int from) {
    for (int i = from; i < record.count; i++)
        if (record.kinds[i] == kind)
            return i;
    return record_max;
}

/* What waits behind a gate runs by its priority, whatever the order in which it came. */
Test(pool_priority, higher_ones_run_first) {
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(1);
    record.count = 0;
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    start(pool, &low, 5);
    start(pool, &normal, 5);
    start(pool, &high, 5);
    gate_open(&gate);
    destroy_pool(pool);
    cr_assert_eq(record.count, 15);
    record.kinds[15] = 0;
    cr_expect_str_eq(record.kinds, "hhhhhnnnnnlllll");
}

/* Rule L3: at every 61st pick the lower queues come first. */
Test(pool_priority, lower_ones_are_not_starved) {
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(1);
    record.count = 0;
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    start(pool, &low, 3);
    start(pool, &normal, 3);
    start(pool, &high, 600);
    gate_open(&gate);
    destroy_pool(pool);
    int before = 0;
    for (int i = 0; i < 3; i++) {
        int seen = position('l', before);
        cr_expect_leq(seen - before, 62);
        before = seen + 1;
    }
    before = 0;
    for (int i = 0; i < 3; i++) {
        int seen = position('n', before);
        cr_expect_leq(seen - before, 62);
        before = seen + 1;
    }
}

static void *start_child(void *pool) {
    cr_assert_eq(at_pool_start(pool, note, &high), AT_OK); /* inherits */
    return NULL;
}

/* Rule S4: a task inherits the priority of the one that starts it, after a wait too. */
static void *start_child_after_sleep(void *pool) {
    cr_assert_eq(at_sleep(AT_MILLISECONDS(1)), AT_OK);
    return start_child(pool);
}

static void expect_child_before_normal_ones(at_run_fn parent) {
    struct gate gate = GATE_CLOSED;
    at_pool *pool = create_pool(1);
    record.count = 0;
    at_task_options options = {.run = parent, .argument = pool, .priority = AT_PRIORITY_HIGH};
    at_task_options wall = {.run = gate_pass, .argument = &gate};
    cr_assert_eq(at_pool_start_with(pool, &wall), AT_OK);
    gate_await(&gate, 1);
    cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
    start(pool, &normal, 20);
    gate_open(&gate);
    destroy_pool(pool);
    cr_assert_eq(record.count, 21);
    if (parent == start_child)
        cr_expect_eq(record.kinds[0], 'h');
}

Test(pool_priority, is_inherited) {
    expect_child_before_normal_ones(start_child);
    expect_child_before_normal_ones(start_child_after_sleep);
}

/* Low ones never hold every worker. */
Test(pool_priority, low_ones_leave_a_worker) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_pool *pool = create_pool(3);
    at_task_options options = {.run = gate_pass, .argument = &gate, .priority = AT_PRIORITY_LOW};
    for (int i = 0; i < 10; i++)
        cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
    gate_await(&gate, 2);
    at_future *future = at_pool_submit(pool, tally_run, &tally);
    wait_value(future);
    at_future_release(future);
    cr_expect_eq(tally_runs(&tally), 1);
    cr_expect_eq(gate.entered, 2);
    gate_open(&gate);
    at_pool_audit_result audit = destroy_pool(pool);
    cr_expect_eq(audit.succeeded, 11);
}

static void *wait_low(void *future) {
    AT_TRY(at_future_wait(future, PATIENCE, NULL));
    return NULL;
}

/* One that waits holds no worker, so it does not count. */
Test(pool_priority, waiting_low_ones_make_room) {
    struct tally tally = {0};
    at_future *future;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &future);
    at_task_options waiting = {.run = wait_low, .argument = future, .priority = AT_PRIORITY_LOW};
    at_task_options last = {.run = tally_run, .argument = &tally, .priority = AT_PRIORITY_LOW};
    for (int i = 0; i < 10; i++)
        cr_assert_eq(at_pool_start_with(pool, &waiting), AT_OK);
    at_future *done = at_pool_submit_with(pool, &last);
    wait_value(done);
    at_future_release(done);
    cr_expect_eq(tally_runs(&tally), 1);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
    destroy_pool(pool);
    at_future_release(future);
}

struct crowd {
    at_future *future;
    struct tally entered;
    struct tally ended;
    int ended_before; /* the task of normal priority */
};

static void *wait_in_crowd(void *argument) {
    struct crowd *crowd = argument;
    tally_run(&crowd->entered);
    AT_TRY(at_future_wait(crowd->future, AT_FOREVER, NULL));
    return tally_run(&crowd->ended);
}

static void *note_ended(void *argument) {
    struct crowd *crowd = argument;
    crowd->ended_before = tally_runs(&crowd->ended);
    return NULL;
}

static void hold_worker(at_pool *pool, struct gate *gate, at_priority priority) {
    at_task_options options = {.run = gate_pass, .argument = gate, .priority = priority};
    cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
    gate_await(gate, 1);
}

/* Many on one worker go on together while another runs on the second: they do not hold both. */
Test(pool_priority, low_ones_that_go_on_let_others_run) {
    enum { count = 50 };
    struct gate first = GATE_CLOSED, second = GATE_CLOSED, gate = GATE_CLOSED;
    struct crowd crowd = {.ended_before = count};
    at_pool *pool = create_pool(2);
    at_promise *promise = create_promise(pool, &crowd.future);
    at_task_options options = {
        .run = wait_in_crowd, .argument = &crowd, .priority = AT_PRIORITY_LOW};
    hold_worker(pool, &first, AT_PRIORITY_NORMAL);
    for (int i = 0; i < count; i++)
        cr_assert_eq(at_pool_start_with(pool, &options), AT_OK);
    while (tally_runs(&crowd.entered) < count)
        sched_yield();
    hold_worker(pool, &second, AT_PRIORITY_NORMAL); /* that of the crowd */
    gate_open(&first);
    hold_worker(pool, &gate, AT_PRIORITY_LOW);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_future *normal_one = at_pool_submit(pool, note_ended, &crowd);
    gate_open(&second);
    wait_value(normal_one);
    cr_expect_leq(crowd.ended_before, 2, "%d", crowd.ended_before);
    gate_open(&gate);
    at_future_release(normal_one);
    at_promise_destroy(promise);
    destroy_pool(pool);
    at_future_release(crowd.future);
    cr_expect_eq(tally_runs(&crowd.ended), count);
}

static void *note_value(void *value, void *context) {
    (void)value;
    return note(context);
}

/* What a task of high priority attaches runs so too, whoever completes the source. */
static void *attach(void *source) {
    at_future_release(at_future_then(at_future_retain(source), note_value, &high));
    return NULL;
}

Test(pool_priority, continuations_have_that_of_their_maker) {
    struct gate gate = GATE_CLOSED;
    at_future *source;
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &source);
    at_task_options options = {.run = attach, .argument = source, .priority = AT_PRIORITY_HIGH};
    record.count = 0;
    at_future *attached = at_pool_submit_with(pool, &options);
    wait_value(attached);
    at_future_release(attached);
    cr_assert_eq(at_pool_start(pool, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    start(pool, &normal, 10);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    gate_open(&gate);
    at_promise_destroy(promise);
    destroy_pool(pool);
    at_future_release(source);
    cr_assert_eq(record.count, 11);
    cr_expect_eq(record.kinds[0], 'h');
}

static void *inherit(void *pool) {
    cr_assert_eq(at_pool_start(pool, note, &low), AT_OK); /* inherits */
    return NULL;
}

static void *inherit_after_sleep(void *pool) {
    cr_assert_eq(at_sleep(AT_MILLISECONDS(1)), AT_OK);
    return inherit(pool);
}

/* A task of high priority that waits for queued ones of low priority, and so runs them itself. */
static void *run_low_ones(void *pool) {
    const at_run_fn runs[] = {inherit, inherit_after_sleep};
    for (size_t i = 0; i < 2; i++) {
        at_task_options options = {.run = runs[i], .argument = pool, .priority = AT_PRIORITY_LOW};
        at_future *future = at_pool_submit_with(pool, &options);
        AT_TRY(at_future_wait(future, AT_FOREVER, NULL));
        at_future_release(future);
    }
    cr_assert_eq(at_pool_start(pool, note, &high), AT_OK); /* as before */
    start(pool, &normal, 5);
    return pool;
}

/* Rule S4: what a task starts has its priority, also if a wait of another one runs it. */
Test(pool_priority, of_a_task_that_a_wait_runs) {
    at_pool *pool = create_pool(1);
    record.count = 0;
    at_task_options options = {.run = run_low_ones, .argument = pool, .priority = AT_PRIORITY_HIGH};
    at_future *future = at_pool_submit_with(pool, &options);
    cr_expect_eq(wait_value(future), pool);
    at_future_release(future);
    struct gate gate = GATE_CLOSED;
    at_task_options last = {.run = gate_pass, .argument = &gate, .priority = AT_PRIORITY_LOW};
    cr_assert_eq(at_pool_start_with(pool, &last), AT_OK);
    gate_await(&gate, 1);
    cr_expect_eq(pool->low_count, 1, "the ones run in place took no place among the low ones");
    gate_open(&gate);
    destroy_pool(pool);
    cr_assert_eq(record.count, 8);
    record.kinds[8] = 0;
    cr_expect(position('l', 0) < record_max);
    cr_expect_lt(position('h', 0), position('n', 0));
    cr_expect_eq(record.kinds[7], 'l');
}

Test(pool_priority, unknown_ones_are_refused) {
    at_pool *pool = create_pool(1);
    at_task_options options = {.run = note, .argument = &low, .priority = (at_priority)4};
    cr_expect_eq(at_pool_start_with(pool, &options), AT_ERROR_INVALID);
    cr_expect_not_null(strstr(at_error_text(at_error_last()), "priority"));
    at_future *future = at_pool_submit_with(pool, &options);
    expect_outcome(future, AT_ERROR_INVALID);
    cr_expect_not_null(strstr(at_error_text(at_future_error(future)), "priority"));
    at_future_release(future);
    destroy_pool(pool);
}

/* -- Forks are of the priority of their task (S4, L6) -- */

static at_future *start_low(at_pool *pool, at_run_fn function, void *argument) {
    at_task_options options = {.run = function, .argument = argument, .priority = AT_PRIORITY_LOW};
    return at_pool_submit_with(pool, &options);
}

static void *pass_gate(int64_t index, void *gate) {
    (void)index;
    return gate_pass(gate);
}

static void *loop_through_gate(void *gate) {
    at_parallel_options options = {.grain = 1};
    AT_TRY(at_parallel_for(at_pool_current(), 0, 4, pass_gate, gate, &options));
    return gate;
}

static int read_entered(struct gate *gate) {
    pthread_mutex_lock(&gate->mutex);
    int entered = gate->entered;
    pthread_mutex_unlock(&gate->mutex);
    return entered;
}

/* The sleep gives forks the time to be taken that should not be. */
Test(pool_priority, forks_of_low_ones_leave_a_worker) {
    struct gate gate = GATE_CLOSED;
    struct tally tally = {0};
    at_pool *pool = create_pool(2);
    at_future *loop = start_low(pool, loop_through_gate, &gate);
    gate_await(&gate, 1);
    at_sleep(AT_MILLISECONDS(20));
    cr_expect_eq(read_entered(&gate), 1);
    at_future *future = at_pool_submit(pool, tally_run, &tally);
    if (read_entered(&gate) == 1)
        wait_value(future);
    gate_open(&gate);
    wait_value(loop);
    at_future_release(future);
    at_future_release(loop);
    destroy_pool(pool);
}

struct low_fork {
    _Atomic bool entered;
    ati_lane lane; /* that the call runs in */
};

static void *enter_fork(void *argument) {
    struct low_fork *low_fork = argument;
    low_fork->lane = ati_worker_current->lane;
    atomic_store(&low_fork->entered, true);
    return argument;
}

static void *fork_and_spin(void *argument) {
    struct low_fork *low_fork = argument;
    at_fork fork;
    at_fork_start(&fork, enter_fork, argument);
    while (!atomic_load(&low_fork->entered))
        ;
    return at_fork_join(&fork, enter_fork);
}

Test(pool_priority, taken_forks_inherit) {
    at_pool *pool = create_pool(3);
    for (int i = 0; i < 50; i++) {
        struct low_fork low_fork = {0};
        at_future *future = start_low(pool, fork_and_spin, &low_fork);
        wait_value(future);
        at_future_release(future);
        cr_expect_eq(low_fork.lane, ATI_LANE_LOW);
    }
    cr_expect_eq(at_pool_shutdown(pool, AT_FOREVER), AT_OK); /* nobody is on the way out of one */
    cr_expect_eq(atomic_load(&pool->low_count), 0);
    destroy_pool(pool);
}

static void *set_promise(void *promise) {
    cr_expect_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    return promise;
}

/* Waits for what only its fork does. */
static void *fork_and_wait(void *promise) {
    at_future *future = at_promise_future(promise);
    at_fork fork;
    at_fork_start(&fork, set_promise, promise);
    at_status status = at_future_wait(future, AT_FOREVER, NULL);
    at_fork_join(&fork, set_promise);
    at_future_release(future);
    AT_TRY(status);
    return promise;
}

static void *yield_often(void *unused) {
    for (int i = 0; i < 10; i++)
        at_yield();
    return unused;
}

/* Others take the place of the one that waits: its fork comes after them. */
Test(pool_priority, fork_without_a_place_waits_for_one) {
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 300; i++) {
        at_future *unused;
        at_promise *promise = create_promise(pool, &unused);
        at_future *future = start_low(pool, fork_and_wait, promise);
        at_task_options others = {.run = yield_often, .priority = AT_PRIORITY_LOW};
        for (int j = 0; j < 3; j++)
            cr_assert_eq(at_pool_start_with(pool, &others), AT_OK);
        wait_value(future);
        at_future_release(future);
        at_future_release(unused);
        at_promise_destroy(promise);
    }
    destroy_pool(pool);
}

struct shortage {
    struct gate first, third; /* hold a worker each */
    at_future *news;          /* for the task of normal priority */
    at_promise *news_promise;
    at_future *end; /* for the task of low priority that waits */
    at_promise *end_promise;
    _Atomic bool waits, may_wait, has_forked, is_made;
    bool is_late;
};

/* False: nobody has made the call. */
static bool compute_until_made(struct shortage *shortage) {
    at_deadline limit = at_clock_now(at_clock_real()) + AT_SECONDS(10);
    while (!atomic_load(&shortage->is_made))
        if (at_clock_now(at_clock_real()) > limit)
            return false;
    return true;
}

static void *wait_and_compute(void *argument) {
    struct shortage *shortage = argument;
    AT_TRY(at_future_wait(shortage->news, AT_FOREVER, NULL));
    (void)compute_until_made(shortage);
    return shortage;
}

static void *give_place_up(void *argument) {
    struct shortage *shortage = argument;
    atomic_store(&shortage->waits, true);
    while (!atomic_load(&shortage->may_wait))
        ;
    AT_TRY(at_promise_set(shortage->news_promise, NULL, NULL));
    AT_TRY(at_future_wait(shortage->end, AT_FOREVER, NULL));
    return shortage;
}

static void *note_made(void *argument) {
    struct shortage *shortage = argument;
    atomic_store(&shortage->is_made, true);
    return shortage;
}

static void *fork_and_compute(void *argument) {
    struct shortage *shortage = argument;
    at_fork fork;
    at_fork_start(&fork, note_made, argument);
    atomic_store(&shortage->has_forked, true);
    shortage->is_late = !compute_until_made(shortage);
    return at_fork_join(&fork, note_made);
}

static void await_true(_Atomic bool *flag) {
    while (!atomic_load(flag))
        sched_yield();
}

/* Until one worker sleeps, without getting up now and then to look for forks. */
static void await_sound_sleep(at_pool *pool) {
    while (ati_idle_sleeping(atomic_load(&pool->idle.counts)) != 1 ||
           atomic_load(&pool->fork_market.has_answer))
        sched_yield();
}

/* Rule L5: a worker sleeps on a fork while as many low tasks run as may; one of these waits, and
 * its worker goes on with something else. */
Test(pool_priority, forks_are_taken_when_there_is_a_place) {
    struct shortage shortage = {.first = GATE_CLOSED, .third = GATE_CLOSED};
    at_pool *pool = create_pool(3);
    shortage.news_promise = create_promise(pool, &shortage.news);
    shortage.end_promise = create_promise(pool, &shortage.end);
    cr_assert_eq(at_pool_start(pool, gate_pass, &shortage.first), AT_OK);
    cr_assert_eq(at_pool_start(pool, gate_pass, &shortage.third), AT_OK);
    gate_await(&shortage.first, 1);
    gate_await(&shortage.third, 1);
    at_future *computing = at_pool_submit(pool, wait_and_compute, &shortage);
    while (!ati_pool_has_suspended(pool))
        sched_yield();
    at_future *waiting = start_low(pool, give_place_up, &shortage);
    await_true(&shortage.waits);
    gate_open(&shortage.first);
    at_future *forking = start_low(pool, fork_and_compute, &shortage);
    await_true(&shortage.has_forked);
    gate_open(&shortage.third);
    await_sound_sleep(pool);
    atomic_store(&shortage.may_wait, true);
    wait_value(forking);
    cr_expect(!shortage.is_late);
    cr_assert_eq(at_promise_set(shortage.end_promise, NULL, NULL), AT_OK);
    wait_value(computing);
    wait_value(waiting);
    at_future *futures[] = {computing, waiting, forking, shortage.news, shortage.end};
    for (int i = 0; i < 5; i++)
        at_future_release(futures[i]);
    at_promise_destroy(shortage.news_promise);
    at_promise_destroy(shortage.end_promise);
    destroy_pool(pool);
}
