/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "messages.h"
#include "suspend.h"

#include "pool/switch.h"
#include "pool/waiter.h"

#include <asynctools/future.h>
#include <asynctools/pool.h>
#include <asynctools/promise.h>
#include <asynctools/sleep.h>
#include <asynctools/timer.h>

#include <limits.h>
#include <stdlib.h>

/* The library itself: one worker, since its peers have one thread. */

static void expect(at_status status) {
    if (status != AT_OK)
        give_up("%s", at_error_message(at_error_last()));
}

static at_pool *create_pool(void) {
    at_pool *pool;
    expect(at_pool_create(
        &pool, &(at_pool_options){.thread_count = 1, .stack_bytes = SUSPEND_STACK_BYTES}));
    return pool;
}

/* Runs both as tasks and waits for their ends. */
static void run_two(at_pool *pool, at_run_fn run, void *first, void *second) {
    at_future *left = at_pool_submit(pool, run, first);
    at_future *right = at_pool_submit(pool, run, second);
    expect(at_future_wait(left, AT_FOREVER, NULL));
    expect(at_future_wait(right, AT_FOREVER, NULL));
    at_future_release(left);
    at_future_release(right);
}

/* The bare switch, which programs have no call for. */

static ati_switch_point own_point, other_point;

/* Both stacks come through this call, as tasks that wait do: see switch.S. */
static void change_stacks(ati_switch_point *from, ati_switch_point *to, long count) {
    for (; count > 0; count--)
        ati_switch(from, to);
}

/* Keeps the compiler from making one copy of it for each side. */
static void (*volatile change)(ati_switch_point *from, ati_switch_point *to,
                               long count) = change_stacks;

static void run_other(ati_switch_point *point) {
    (void)point;
    change(&other_point, &own_point, LONG_MAX);
}

static uint64_t switch_stacks(long count) {
    char *stack = aligned_alloc(64, SUSPEND_STACK_BYTES);
    if (!stack)
        give_up("there is no memory for a stack");
    ati_switch_init(&own_point);
    ati_switch_prepare(&other_point, &own_point, stack, SUSPEND_STACK_BYTES, run_other);
    uint64_t start = now_ns();
    change(&own_point, &other_point, count / 2);
    uint64_t time = now_ns() - start;
    free(stack);
    return time;
}

static void *take_turns(void *argument) {
    for (long left = *(const long *)argument; left > 0; left--)
        at_yield();
    return NULL;
}

static uint64_t yield(long count) {
    long turns = count / 2;
    at_pool *pool = create_pool();
    uint64_t start = now_ns();
    run_two(pool, take_turns, &turns, &turns);
    uint64_t time = now_ns() - start;
    at_pool_destroy(pool);
    return time;
}

struct checks {
    long count;
    at_duration until_timer; /* 0: there is none */
};

static void *check_often(void *argument) {
    const struct checks *checks = argument;
    at_timer timer;
    at_timer_init(&timer, at_pool_current(), take_turns, NULL);
    if (checks->until_timer > 0)
        expect(at_timer_start(&timer, at_after(checks->until_timer)));
    for (long left = checks->count; left > 0; left--)
        expect(at_check());
    at_timer_unregister(&timer);
    return NULL;
}

static uint64_t run_checks(struct checks checks) {
    at_pool *pool = create_pool();
    uint64_t start = now_ns();
    at_future *checked = at_pool_submit(pool, check_often, &checks);
    expect(at_future_wait(checked, AT_FOREVER, NULL));
    uint64_t time = now_ns() - start;
    at_future_release(checked);
    at_pool_destroy(pool);
    return time;
}

static uint64_t check(long count) {
    return run_checks((struct checks){.count = count});
}

/* There is no other worker to keep the time. */
static uint64_t check_and_look(long count) {
    return run_checks((struct checks){.count = count, .until_timer = AT_SECONDS(1000)});
}

/* Who waits for its turn; NULL: nobody does. */
static ati_waiter *waits_for_turn;

/* What every wait of the library comes down to: the waiter is found by who wakes it. */
static void *wake_other(void *argument) {
    for (long left = *(const long *)argument; left > 0; left--) {
        ati_waiter waiter, *other = waits_for_turn;
        ati_waiter_init(&waiter, "at-bench", NULL);
        waits_for_turn = &waiter;
        if (other)
            ati_waiter_wake(other);
        (void)ati_waiter_wait(&waiter, AT_FOREVER);
    }
    if (waits_for_turn)
        ati_waiter_wake(waits_for_turn);
    waits_for_turn = NULL;
    return NULL;
}

static uint64_t suspend(long count) {
    long turns = count / 2;
    at_pool *pool = create_pool();
    uint64_t start = now_ns();
    run_two(pool, wake_other, &turns, &turns);
    uint64_t time = now_ns() - start;
    at_pool_destroy(pool);
    return time;
}

/* The promises that one task sets and the other waits for. */
struct handover {
    at_promise **promises;
    at_future **futures;
};

struct side {
    const struct handover *waits;
    const struct handover *sets;
    bool sets_first;
    uint64_t began_ns;
    uint64_t ended_ns;
};

static void create_handover(struct handover *handover, at_pool *pool, long count) {
    handover->promises = malloc((size_t)count * sizeof(*handover->promises));
    handover->futures = malloc((size_t)count * sizeof(*handover->futures));
    if (!handover->promises || !handover->futures)
        give_up("there is no memory for %ld promises", count);
    for (long i = 0; i < count; i++) {
        expect(at_promise_create(&handover->promises[i], at_pool_executor(pool)));
        handover->futures[i] = at_promise_future(handover->promises[i]);
    }
}

static void destroy_handover(struct handover *handover, long count) {
    for (long i = 0; i < count; i++) {
        at_future_release(handover->futures[i]);
        at_promise_destroy(handover->promises[i]);
    }
    free(handover->promises);
    free(handover->futures);
}

static void *hand_over(void *argument) {
    struct side *side = argument;
    side->began_ns = now_ns();
    for (long i = 0; i < SUSPEND_PROMISES; i++) {
        if (side->sets_first)
            at_promise_set(side->sets->promises[i], NULL, NULL);
        expect(at_future_wait(side->waits->futures[i], AT_FOREVER, NULL));
        if (!side->sets_first)
            at_promise_set(side->sets->promises[i], NULL, NULL);
    }
    side->ended_ns = now_ns();
    return NULL;
}

/* Lets two tasks set and wait; `alone`: each for itself, one after the other. */
static uint64_t hand_over_all(long count, bool alone) {
    uint64_t time = 0;
    at_pool *pool = create_pool();
    for (; count > 0; count -= 2 * SUSPEND_PROMISES) {
        struct handover there, back;
        create_handover(&there, pool, SUSPEND_PROMISES);
        create_handover(&back, pool, SUSPEND_PROMISES);
        struct side first = {.waits = &there, .sets = alone ? &there : &back, .sets_first = alone};
        struct side second = {.waits = &back, .sets = alone ? &back : &there, .sets_first = true};
        run_two(pool, hand_over, &first, &second);
        time += second.ended_ns - first.began_ns;
        destroy_handover(&there, SUSPEND_PROMISES);
        destroy_handover(&back, SUSPEND_PROMISES);
    }
    at_pool_destroy(pool);
    return time;
}

static uint64_t wait_in_turns(long count) {
    return hand_over_all(count, false);
}

static uint64_t wait_alone(long count) {
    return hand_over_all(count, true);
}

/* Tasks that wait for `gate`. All run on the one worker, so plain numbers count them; promises
 * tell the thread that looks on. */
static struct {
    at_pool *pool;
    long count;
    long left; /* until all wait, then until all have ended */
    at_promise *gate;
    at_future *opened;
    at_promise *are_suspended;
    at_promise *have_ended;
} held;

static void wait_for(at_promise *promise) {
    at_future *future = at_promise_future(promise);
    expect(at_future_wait(future, AT_FOREVER, NULL));
    at_future_release(future);
}

static void count_down(at_promise *last) {
    if (--held.left > 0)
        return;
    held.left = held.count;
    at_promise_set(last, NULL, NULL);
}

static void *wait_at_gate(void *argument) {
    count_down(held.are_suspended);
    expect(at_future_wait(held.opened, AT_FOREVER, NULL));
    count_down(held.have_ended);
    return argument;
}

static void *start_all(void *argument) {
    for (long i = 0; i < held.count; i++)
        expect(at_pool_start(held.pool, wait_at_gate, NULL));
    return argument;
}

static void hold(long count) {
    if (!held.pool)
        held.pool = create_pool();
    at_executor *executor = at_pool_executor(held.pool);
    held.count = held.left = count;
    expect(at_promise_create(&held.gate, executor));
    expect(at_promise_create(&held.are_suspended, executor));
    expect(at_promise_create(&held.have_ended, executor));
    held.opened = at_promise_future(held.gate);
    expect(at_pool_start(held.pool, start_all, NULL));
    wait_for(held.are_suspended);
}

static void release(void) {
    at_promise_set(held.gate, NULL, NULL);
    wait_for(held.have_ended);
    at_future_release(held.opened);
    at_promise_destroy(held.gate);
    at_promise_destroy(held.are_suspended);
    at_promise_destroy(held.have_ended);
}

const struct suspend_peer suspend_library = {
    .name = "asynctools",
    .is_library = true,
    .switch_stacks = switch_stacks,
    .yield = yield,
    .suspend = suspend,
    .wait = wait_in_turns,
    .wait_over = wait_alone,
    .check = check,
    .check_and_look = check_and_look,
    .hold = hold,
    .release = release,
};
