/* SPDX-License-Identifier: MIT
 *
 * Rule B1: many blocking calls, short and long ones, and sections, while other tasks wait. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/blocking.h>
#include <asynctools/sleep.h>

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(blocking_stress, .timeout = 200);

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { call_count = 2000 };
#else
enum { call_count = 40000 };
#endif

static void *compute(void *argument) {
    return (char *)argument + 1;
}

static void *call_some(void *argument) {
    char *value = argument;
    for (int i = 0; i < 4; i++) {
        value = at_blocking_call(compute, value);
        if (i % 2)
            at_yield();
    }
    return value == (char *)argument + 4 ? NULL : AT_FAILED;
}

Test(blocking_stress, many_short_calls) {
    for (int workers = 1; workers <= 4; workers *= 2) {
        at_pool *pool = create_pool(workers);
        for (int i = 0; i < call_count / 4; i++)
            cr_assert_eq(at_pool_start(pool, call_some, NULL), AT_OK);
        cr_expect_eq(destroy_pool(pool).succeeded, call_count / 4);
    }
}

/* Each reads what the one before it has written, in a call; the pipes hang in a row. */
struct stage {
    int in;
    int out;
};

static void *pass_byte(void *argument) {
    struct stage *stage = argument;
    char byte;
    return read(stage->in, &byte, 1) == 1 && write(stage->out, &byte, 1) == 1 ? stage : NULL;
}

static void *call_pass_byte(void *stage) {
    return at_blocking_call(pass_byte, stage) == stage ? NULL : AT_FAILED;
}

Test(blocking_stress, a_row_of_pipes) {
    enum { count = 24 };
    struct stage stages[count];
    int ends[count + 1][2];
    for (int i = 0; i <= count; i++)
        cr_assert_eq(pipe(ends[i]), 0);
    at_pool *pool = create_pool(1);
    for (int i = count - 1; i >= 0; i--) {
        stages[i] = (struct stage){ends[i][0], ends[i + 1][1]};
        cr_assert_eq(at_pool_start(pool, call_pass_byte, &stages[i]), AT_OK);
    }
    char byte = 'x';
    cr_assert_eq(write(ends[0][1], &byte, 1), 1);
    byte = 0;
    cr_assert_eq(read(ends[count][0], &byte, 1), 1);
    cr_expect_eq(byte, 'x');
    cr_expect_eq(destroy_pool(pool).succeeded, count);
    for (int i = 0; i <= count; i++) {
        close(ends[i][0]);
        close(ends[i][1]);
    }
}

/* Sections, calls, sleeps and yields all at once. */
static void *mix(void *argument) {
    uintptr_t kind = (uintptr_t)argument;
    for (int i = 0; i < 20; i++) {
        switch ((kind + (uintptr_t)i) % 5) {
        case 0:
            (void)at_blocking_call(compute, argument);
            break;
        case 1:
            at_blocking_begin();
            sched_yield();
            at_yield();
            at_blocking_end();
            break;
        case 2:
            AT_TRY(at_sleep(AT_MICROSECONDS(10)));
            break;
        default:
            at_yield();
        }
    }
    return NULL;
}

Test(blocking_stress, sections_and_calls) {
    for (int workers = 1; workers <= 2; workers++) {
        enum { count = call_count / 40 };
        at_pool *pool = create_pool(workers);
        for (int i = 0; i < count; i++)
            cr_assert_eq(at_pool_start(pool, mix, (void *)(intptr_t)i), AT_OK);
        cr_expect_eq(destroy_pool(pool).succeeded, count);
    }
}
