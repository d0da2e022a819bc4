/* SPDX-License-Identifier: MIT
 *
 * Rule W2: many cycles at once lose one wait each; waits that only look like one lose none. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/log.h>
#include <asynctools/sleep.h>

#include <stdint.h>
#include <stdlib.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { rounds = 8, scale = 10 };
#else
enum { rounds = 60, scale = 1 };
#endif

/* The reports are in unit/deadlock_test.c. */
static void be_quiet(void) {
    at_logger *logger = NULL;
    at_logger_options options = {.memory_bytes = 1 << 16, .level = AT_LOG_FATAL};
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    at_logger_set_default(logger);
}

static void end_quiet(void) {
    at_logger_destroy(at_logger_default());
}

TestSuite(deadlock_stress, .init = be_quiet, .fini = end_quiet, .timeout = 200);

struct member {
    at_future *told;
    at_future *future;
    at_future *next;
    at_status status;
};

static void *wait_for_next(void *argument) {
    struct member *member = argument;
    AT_TRY(at_future_wait(member->told, AT_FOREVER, NULL));
    member->status = at_future_wait(member->next, AT_FOREVER, NULL);
    at_error_clear();
    return member;
}

/* Cycles of 2 to 9 tasks, spread over three pools, all closed at the same moment. */
Test(deadlock_stress, many_cycles_at_once) {
    enum { count = 2000 / scale, longest = 9 };
    static struct member members[count][longest];
    for (int round = 0; round < rounds / 6 + 1; round++) {
        at_pool *pools[3] = {create_pool(1), create_pool(2), create_pool(2)};
        at_future *told;
        at_promise *promise = create_promise(pools[0], &told);
        for (int i = 0; i < count; i++)
            for (int j = 0; j < 2 + i % 8; j++) {
                members[i][j].told = told;
                members[i][j].future =
                    at_pool_submit(pools[(i + j) % 3], wait_for_next, &members[i][j]);
            }
        for (int i = 0; i < count; i++)
            for (int j = 0; j < 2 + i % 8; j++)
                members[i][j].next = members[i][(j + 1) % (2 + i % 8)].future;
        cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
        for (int i = 0; i < 3; i++)
            cr_assert_eq(at_pool_shutdown(pools[i], PATIENCE), AT_OK);
        for (int i = 0; i < count; i++) {
            int deadlocks = 0;
            for (int j = 0; j < 2 + i % 8; j++) {
                deadlocks += members[i][j].status == AT_ERROR_DEADLOCK;
                at_future_release(members[i][j].future);
            }
            cr_assert_eq(deadlocks, 1, "%d in cycle %d", deadlocks, i);
        }
        for (int i = 0; i < 3; i++)
            destroy_pool(pools[i]);
        at_future_release(told);
        at_promise_destroy(promise);
    }
}

/* -- No false report -- */

enum { web_count = 400 };

struct web {
    at_future *told;
    at_future *futures[web_count];
    struct strand {
        struct web *web;
        int index;
        uint64_t random;
    } strands[web_count];
    _Atomic int deadlocks;
};

static uint64_t draw(struct strand *strand) {
    strand->random = strand->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return strand->random >> 33;
}

/* Waits for some of those before it, mostly not for long; so there is no cycle, but many ways. */
static void *wait_for_earlier(void *argument) {
    struct strand *strand = argument;
    struct web *web = strand->web;
    AT_TRY(at_future_wait(web->told, AT_FOREVER, NULL));
    for (int i = 0; i < 8 && strand->index > 0; i++) {
        at_future *earlier = web->futures[draw(strand) % (uint64_t)strand->index];
        at_deadline deadline =
            draw(strand) % 4 == 0 ? AT_FOREVER : at_after(AT_MICROSECONDS(draw(strand) % 300));
        at_status status = at_future_wait(earlier, deadline, NULL);
        if (status == AT_ERROR_DEADLOCK)
            atomic_fetch_add(&web->deadlocks, 1);
        at_error_clear();
        if (draw(strand) % 8 == 0)
            AT_TRY(at_sleep(AT_MICROSECONDS(50)));
    }
    return NULL;
}

Test(deadlock_stress, a_web_without_a_cycle) {
    static struct web web;
    for (int round = 0; round < rounds; round++) {
        at_pool *pools[2] = {create_pool(1), create_pool(2)};
        at_promise *promise = create_promise(pools[0], &web.told);
        for (int i = 0; i < web_count; i++) {
            web.strands[i] = (struct strand){&web, i, (uint64_t)(round * web_count + i)};
            web.futures[i] = at_pool_submit(pools[i % 2], wait_for_earlier, &web.strands[i]);
        }
        cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
        for (int i = 0; i < 2; i++)
            cr_assert_eq(at_pool_shutdown(pools[i], PATIENCE), AT_OK);
        for (int i = 0; i < web_count; i++)
            at_future_release(web.futures[i]);
        for (int i = 0; i < 2; i++)
            destroy_pool(pools[i]);
        at_future_release(web.told);
        at_promise_destroy(promise);
    }
    cr_expect_eq(web.deadlocks, 0);
}

/* Two that wait for each other in turns, never at the same time: each takes the token first. */
struct turns {
    pthread_mutex_t token;
    at_future *futures[2];
    at_future *told;
    _Atomic int others; /* deadlocks, and everything else that is not a passed deadline */
};

static void wait_with_token(struct turns *turns, int other) {
    for (int i = 0; i < 200 / scale; i++) {
        if (pthread_mutex_trylock(&turns->token) == 0) {
            at_status status =
                at_future_wait(turns->futures[other], at_after(AT_MICROSECONDS(30)), NULL);
            if (status != AT_ERROR_TIMED_OUT && status != AT_OK)
                atomic_fetch_add(&turns->others, 1);
            at_error_clear();
            pthread_mutex_unlock(&turns->token);
        }
        at_yield();
    }
}

static void *wait_for_second(void *argument) {
    struct turns *turns = argument;
    AT_TRY(at_future_wait(turns->told, AT_FOREVER, NULL));
    wait_with_token(turns, 1);
    return NULL;
}

static void *wait_for_first(void *argument) {
    struct turns *turns = argument;
    AT_TRY(at_future_wait(turns->told, AT_FOREVER, NULL));
    wait_with_token(turns, 0);
    return NULL;
}

Test(deadlock_stress, waits_that_take_turns) {
    for (int round = 0; round < rounds; round++) {
        struct turns turns = {.token = PTHREAD_MUTEX_INITIALIZER};
        at_pool *pools[2] = {create_pool(1), create_pool(1)};
        at_promise *promise = create_promise(pools[0], &turns.told);
        turns.futures[0] = at_pool_submit(pools[0], wait_for_second, &turns);
        turns.futures[1] = at_pool_submit(pools[1], wait_for_first, &turns);
        cr_assert_eq(at_promise_set(promise, NULL, NULL), AT_OK);
        for (int i = 0; i < 2; i++)
            cr_assert_eq(at_pool_shutdown(pools[i], PATIENCE), AT_OK);
        for (int i = 0; i < 2; i++) {
            destroy_pool(pools[i]);
            at_future_release(turns.futures[i]);
        }
        at_future_release(turns.told);
        at_promise_destroy(promise);
        cr_assert_eq(turns.others, 0);
    }
}
