/* SPDX-License-Identifier: MIT
 *
 * Rule W2: in a cycle of waits one gets AT_ERROR_DEADLOCK, and a report names all. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/log.h>
#include <asynctools/operation.h>
#include <asynctools/sleep.h>
#include <asynctools/virtual_clock.h>

#include "future/future.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The library's lines are kept in memory. */
static void begin_log(void) {
    at_logger *logger = NULL;
    at_logger_options options = {.memory_bytes = 1 << 20};
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    at_logger_set_default(logger);
}

static void end_log(void) {
    at_logger_destroy(at_logger_default());
}

TestSuite(deadlock, .init = begin_log, .fini = end_log, .timeout = 200);

/* Whether the report names a task. */
static bool names(const char *lines, const char *name) {
    size_t length = strlen(name);
    for (const char *at = lines; (at = strstr(at, name)); at++)
        if ((at[-1] == '"' || at[-1] == ' ') && (at[length] == '"' || at[length] == ' '))
            return true;
    return false;
}

static char *take_lines(void) {
    char *lines = NULL;
    cr_assert_eq(at_logger_flush(at_logger_default(), PATIENCE), AT_OK);
    cr_assert_eq(at_logger_memory_lines(at_logger_default(), &lines), AT_OK);
    at_logger_memory_clear(at_logger_default());
    return lines;
}

/* The report of one cycle with all members. */
static void expect_report(int count) {
    char *lines = take_lines();
    cr_expect_not_null(strstr(lines, "\"event\":\"task.deadlock\""));
    for (int i = 0; i < count; i++) {
        char name[24];
        snprintf(name, sizeof name, "member %d", i);
        cr_expect(names(lines, name), "%s is not named", name);
    }
    at_logger_memory_release(lines);
}

#if defined(__SANITIZE_THREAD__)
enum { many = 300 };
#else
enum { many = 1000 };
#endif

/* One of the tasks that wait in a circle: for `next`, once all are there. */
struct member {
    struct circle *circle;
    char name[24];
    at_future *future;
    at_future *next;
    at_status status;
};

struct circle {
    int count;
    struct member *members;
    at_future *told; /* a promise: all futures are known */
};

static void *wait_for_next(void *argument) {
    struct member *member = argument;
    AT_TRY(at_future_wait(member->circle->told, AT_FOREVER, NULL));
    member->status = at_future_wait(member->next, AT_FOREVER, NULL);
    at_error_clear();
    return member;
}

static at_future *submit_named(at_pool *pool, at_run_fn run, void *argument, const char *name) {
    at_task_options options = {.run = run, .argument = argument, .name = name};
    return at_pool_submit_with(pool, &options);
}

/* How many of them were told of a deadlock. */
static int count_deadlocks(const struct circle *circle) {
    int count = 0;
    for (int i = 0; i < circle->count; i++) {
        at_status status = circle->members[i].status;
        count += status == AT_ERROR_DEADLOCK;
        cr_expect(status == AT_OK || status == AT_ERROR_DEADLOCK);
    }
    return count;
}

static void *pass(void *value, void *context) {
    (void)context;
    return value;
}

/* Member i runs on one of the pools, and waits for member i + 1, or for what follows from it. */
static void run_circle(at_pool *even, at_pool *odd, int count, bool through_then) {
    struct circle circle = {.count = count,
                            .members = calloc((size_t)count, sizeof(struct member))};
    at_promise *promise = create_promise(even, &circle.told);
    for (int i = 0; i < count; i++) {
        struct member *member = &circle.members[i];
        member->circle = &circle;
        snprintf(member->name, sizeof member->name, "member %d", i);
        member->future = submit_named(i % 2 ? odd : even, wait_for_next, member, member->name);
    }
    for (int i = 0; i < count; i++) {
        at_future *next = circle.members[(i + 1) % count].future;
        circle.members[i].next = through_then ? at_future_then(at_future_retain(next), pass, NULL)
                                              : at_future_retain(next);
    }
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    for (int i = 0; i < count; i++) {
        wait_value(circle.members[i].future);
        at_future_release(circle.members[i].future);
    }
    cr_expect_eq(count_deadlocks(&circle), 1, "%d of %d", count_deadlocks(&circle), count);
    expect_report(count);
    for (int i = 0; i < count; i++)
        at_future_release(circle.members[i].next);
    at_future_release(circle.told);
    at_promise_destroy(promise);
    free(circle.members);
}

static void run_circles(int workers, int count) {
    at_pool *pool = create_pool(workers);
    run_circle(pool, pool, count, false);
    run_circle(pool, pool, count, true);
    destroy_pool(pool);
}

Test(deadlock, of_two) {
    run_circles(1, 2);
    run_circles(2, 2);
}

Test(deadlock, of_five) {
    run_circles(1, 5);
    run_circles(2, 5);
}

Test(deadlock, of_very_many) {
    run_circles(1, many);
    run_circles(2, many);
}

/* Rule W2: the report says in which operation each is. */
Test(deadlock, in_an_operation) {
    at_pool *pool = create_pool(2);
    struct circle circle = {.count = 2, .members = calloc(2, sizeof(struct member))};
    at_promise *promise = create_promise(pool, &circle.told);
    char wanted[2][64];
    for (int i = 0; i < 2; i++) {
        struct member *member = &circle.members[i];
        member->circle = &circle;
        snprintf(member->name, sizeof member->name, "member %d", i);
        AT_OPERATION(operation, i ? "bake" : "buy") {
            snprintf(wanted[i], sizeof wanted[i], "member %d (%s %016llx)", i,
                     at_operation_name(operation), (unsigned long long)at_operation_id(operation));
            member->future = submit_named(pool, wait_for_next, member, member->name);
        }
    }
    circle.members[0].next = circle.members[1].future;
    circle.members[1].next = circle.members[0].future;
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    wait_value(circle.members[0].future);
    wait_value(circle.members[1].future);
    at_future_release(circle.members[0].future);
    at_future_release(circle.members[1].future);
    char *lines = take_lines();
    cr_expect_not_null(strstr(lines, wanted[0]), "%s: %s", wanted[0], lines);
    cr_expect_not_null(strstr(lines, wanted[1]), "%s: %s", wanted[1], lines);
    at_logger_memory_release(lines);
    at_future_release(circle.told);
    at_promise_destroy(promise);
    free(circle.members);
    destroy_pool(pool);
}

/* The waits of one cycle are spread over two pools. */
Test(deadlock, across_pools) {
    for (int i = 0; i < 20; i++) {
        at_pool *even = create_pool(1);
        at_pool *odd = create_pool(1 + i % 2);
        run_circle(even, odd, 2 + i, i % 3 == 0);
        destroy_pool(even);
        destroy_pool(odd);
    }
}

/* -- In a pool that does not come to rest -- */

struct busy {
    _Atomic bool stops;
};

static void *compute(void *argument) {
    struct busy *busy = argument;
    while (!atomic_load(&busy->stops))
        at_yield();
    return NULL;
}

/* Each worker always has something else to do: the waits are searched when they have lasted. */
Test(deadlock, while_others_compute) {
    struct busy busy = {.stops = false};
    at_pool *pool = create_pool(2);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(at_pool_start(pool, compute, &busy), AT_OK);
    run_circle(pool, pool, 2, false);
    run_circle(pool, pool, 7, true);
    atomic_store(&busy.stops, true);
    destroy_pool(pool);
}

/* The search neither drives a virtual clock nor waits for it. */
Test(deadlock, on_a_virtual_clock) {
    at_clock *clock = NULL;
    at_pool *pool = NULL;
    cr_assert_eq(at_virtual_clock_create(&clock), AT_OK);
    int64_t began = at_clock_now(clock);
    at_pool_options options = {.thread_count = 2, .clock = clock};
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    run_circle(pool, pool, 5, false);
    run_circle(pool, pool, 5, true);
    cr_expect_eq(at_clock_now(clock), began);
    destroy_pool(pool);
    at_virtual_clock_destroy(clock);
}

/* -- Through combinators and nested tasks -- */

struct pair {
    at_future *first;
    at_future *second;
    at_future *told;
    at_status statuses[3];
};

static void *wait_for_all(void *argument) {
    struct pair *pair = argument;
    AT_TRY(at_future_wait(pair->told, AT_FOREVER, NULL));
    at_future *sources[] = {at_pool_submit(at_pool_current(), compute, &(struct busy){true}),
                            at_future_retain(pair->second)};
    at_future *all = at_future_all(sources, 2);
    pair->statuses[0] = at_future_wait(all, AT_FOREVER, NULL);
    at_future_release(all);
    at_error_clear();
    return NULL;
}

static void *wait_for_first(void *argument) {
    struct pair *pair = argument;
    AT_TRY(at_future_wait(pair->told, AT_FOREVER, NULL));
    pair->statuses[1] = at_future_wait(pair->first, AT_FOREVER, NULL);
    at_error_clear();
    return NULL;
}

/* A waits for a task, in place unless another worker has it, that waits for B, which waits for A.
 */
static void *wait_in_nested(void *argument) {
    struct pair *pair = argument;
    AT_TRY(at_future_wait(pair->told, AT_FOREVER, NULL));
    pair->statuses[0] = at_future_wait(pair->second, AT_FOREVER, NULL);
    at_error_clear();
    return NULL;
}

static void *run_nested(void *argument) {
    at_future *nested = at_pool_submit(at_pool_current(), wait_in_nested, argument);
    ((struct pair *)argument)->statuses[2] = at_future_wait(nested, AT_FOREVER, NULL);
    at_future_release(nested);
    at_error_clear();
    return NULL;
}

static void run_pair(at_run_fn first, at_run_fn second) {
    for (int workers = 1; workers <= 2; workers++) {
        struct pair pair = {0};
        at_pool *pool = create_pool(workers);
        at_promise *promise = create_promise(pool, &pair.told);
        pair.first = at_pool_submit(pool, first, &pair);
        pair.second = at_pool_submit(pool, second, &pair);
        cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
        wait_value(pair.first);
        wait_value(pair.second);
        destroy_pool(pool);
        int told = 0; /* whoever waits last */
        for (int i = 0; i < 3; i++)
            told += pair.statuses[i] == AT_ERROR_DEADLOCK;
        cr_expect_eq(told, 1);
        at_future_release(pair.first);
        at_future_release(pair.second);
        at_future_release(pair.told);
        at_promise_destroy(promise);
    }
}

Test(deadlock, through_all) {
    run_pair(wait_for_all, wait_for_first);
}

Test(deadlock, through_a_task_in_place) {
    run_pair(run_nested, wait_for_first);
}

/* -- What follows from oneself -- */

static void *wait_for_follower(void *argument) {
    struct pair *pair = argument;
    AT_TRY(at_future_wait(pair->told, AT_FOREVER, NULL));
    pair->statuses[0] = at_future_wait(pair->second, AT_FOREVER, NULL);
    at_error_clear();
    return NULL;
}

static void *continue_with_follower(void *argument) {
    struct pair *pair = argument;
    AT_TRY(at_future_wait(pair->told, AT_FOREVER, NULL));
    return at_return_future(at_future_retain(pair->second));
}

/* A wait for what follows from the task itself, and going on with it, are told at once. */
Test(deadlock, what_follows_from_oneself) {
    struct pair pair = {0};
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &pair.told);
    pair.first = at_pool_submit(pool, wait_for_follower, &pair);
    pair.second = at_future_then(at_future_retain(pair.first), pass, NULL);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    wait_value(pair.second);
    cr_expect_eq(pair.statuses[0], AT_ERROR_DEADLOCK);
    at_future_release(pair.first);
    at_future_release(pair.second);
    at_future_release(pair.told);
    at_promise_destroy(promise);

    promise = create_promise(pool, &pair.told);
    pair.first = at_pool_submit(pool, continue_with_follower, &pair);
    pair.second = at_future_then(at_future_retain(pair.first), pass, NULL);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    expect_outcome(pair.first, AT_ERROR_DEADLOCK);
    expect_outcome(pair.second, AT_ERROR_DEADLOCK);
    at_future_release(pair.first);
    at_future_release(pair.second);
    at_future_release(pair.told);
    at_promise_destroy(promise);
    destroy_pool(pool);
}

/* -- What is no deadlock -- */

static void *set_later(void *promise) {
    AT_TRY(at_sleep(AT_MILLISECONDS(250)));
    AT_TRY(at_promise_set(promise, NULL, NULL));
    return NULL;
}

static void *wait_for(void *future) {
    AT_TRY(at_future_wait(future, AT_FOREVER, NULL));
    return NULL;
}

/* A long chain of waits that ends in a promise is none, however long it lasts. */
Test(deadlock, a_promise_is_never_proven) {
    enum { count = 200 };
    at_future *chain[count + 1];
    at_pool *pool = create_pool(2);
    at_promise *promise = create_promise(pool, &chain[0]);
    for (int i = 0; i < count; i++)
        chain[i + 1] = at_pool_submit(pool, wait_for, chain[i]);
    cr_assert_eq(at_pool_start(pool, set_later, promise), AT_OK);
    for (int i = count; i > 0; i--) {
        wait_value(chain[i]);
        at_future_release(chain[i]);
    }
    at_future_release(chain[0]);
    destroy_pool(pool);
    at_promise_destroy(promise);
    char *lines = take_lines();
    cr_expect_null(strstr(lines, "task.deadlock"));
    at_logger_memory_release(lines);
}

/* -- The look before a wait -- */

enum { fan = 16 };

static void *pass_on(void *value, void *context) {
    (void)context;
    return value;
}

/* A wait looks at a bounded number of futures, however many follow. */
Test(deadlock, look_has_an_end) {
    at_future *source;
    at_future *followers[fan][fan];
    at_pool *pool = create_pool(1);
    at_promise *promise = create_promise(pool, &source);
    for (int i = 0; i < fan; i++) {
        at_future *follower = at_future_then(at_future_retain(source), pass_on, NULL);
        for (int j = 0; j < fan; j++)
            followers[i][j] = at_future_then(at_future_retain(follower), pass_on, NULL);
        at_future_release(follower);
    }
    at_future *other = at_future_then(at_future_retain(source), pass_on, NULL);
    int looks_left = ATI_LOOK_LIMIT;
    cr_expect_not(ati_future_waits_for(other, source, &looks_left), "one too many to be seen");
    cr_expect_eq(looks_left, 0);
    cr_expect_not(ati_future_waits_for(followers[0][0], source, &looks_left));
    looks_left = ATI_LOOK_LIMIT;
    cr_expect(ati_future_waits_for(followers[0][fan - 1], source, &looks_left));
    cr_expect_eq(looks_left, ATI_LOOK_LIMIT - 2);
    cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
    at_promise_destroy(promise);
    for (int i = 0; i < fan; i++)
        for (int j = 0; j < fan; j++)
            at_future_release(followers[i][j]);
    at_future_release(other);
    at_future_release(source);
    destroy_pool(pool);
}
