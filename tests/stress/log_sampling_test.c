/* SPDX-License-Identifier: MIT
 *
 * Many threads and one table of counts (rule J4): of the lines of an event in an interval exactly
 * as many are written as the rule says. */
#include "support/test.h"

#include "log/sampling.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

enum {
    thread_count = 8,
    event_count = 40,
    interval_count = 20,
    first = 5,
    every = 7,
#if defined(__SANITIZE_THREAD__)
    line_count = 30,
#else
    line_count = 500,
#endif
};

typedef struct worker {
    pthread_t thread;
    ati_sampling *sampling;
    pthread_barrier_t *barrier;
    uint64_t taken[interval_count][event_count];
} worker;

/* All threads are in one interval at a time, each with all events. */
static void *count_lines(void *argument) {
    worker *self = argument;
    for (int interval = 0; interval < interval_count; interval++) {
        pthread_barrier_wait(self->barrier);
        for (int i = 0; i < line_count; i++)
            for (int event = 0; event < event_count; event++) {
                char name[24];
                snprintf(name, sizeof name, "event %d", event);
                self->taken[interval][event] +=
                    ati_sampling_take(self->sampling, name, AT_LOG_INFO, AT_SECONDS(interval) + i);
            }
        pthread_barrier_wait(self->barrier);
    }
    return NULL;
}

Test(log_sampling, each_line_has_a_number_of_its_own) {
    static worker workers[thread_count];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, thread_count);
    const ati_sampling_rule rule = {first, every, AT_SECONDS(1)};
    ati_sampling *sampling = ati_sampling_create(&rule, 0);
    for (int i = 0; i < thread_count; i++) {
        workers[i].sampling = sampling;
        workers[i].barrier = &barrier;
        cr_assert_eq(pthread_create(&workers[i].thread, NULL, count_lines, &workers[i]), 0);
    }
    for (int i = 0; i < thread_count; i++)
        pthread_join(workers[i].thread, NULL);
    for (int interval = 0; interval < interval_count; interval++)
        for (int event = 0; event < event_count; event++) {
            uint64_t taken = 0;
            for (int i = 0; i < thread_count; i++)
                taken += workers[i].taken[interval][event];
            cr_expect_eq(taken, first + (thread_count * line_count - first) / every, "%d %d",
                         interval, event);
        }
    ati_sampling_destroy(sampling);
    pthread_barrier_destroy(&barrier);
}

/* Threads that are in different intervals, with more events than there are slots: lines may be
 * counted wrongly, but each is written or not, and the memory is sound. */
static void *count_anything(void *argument) {
    worker *self = argument;
    for (int i = 0; i < 200 * line_count; i++) {
        char name[24];
        snprintf(name, sizeof name, "event %d", i * 7 % (3 * ATI_SAMPLING_EVENTS));
        self->taken[0][0] +=
            ati_sampling_take(self->sampling, name, AT_LOG_DEBUG, AT_MILLISECONDS(i));
        if (i % 1000 == 0) {
            const ati_sampling_rule rule = {i % 3, i % 3 ? i % 5 : 0, AT_MILLISECONDS(10 + i % 90)};
            ati_sampling_set(self->sampling, &rule);
        }
    }
    return NULL;
}

Test(log_sampling, slots_are_taken_from_each_other) {
    static worker workers[thread_count];
    const ati_sampling_rule rule = {first, every, AT_SECONDS(1)};
    ati_sampling *sampling = ati_sampling_create(&rule, 0);
    for (int i = 0; i < thread_count; i++) {
        workers[i].sampling = sampling;
        cr_assert_eq(pthread_create(&workers[i].thread, NULL, count_anything, &workers[i]), 0);
    }
    for (int i = 0; i < thread_count; i++) {
        pthread_join(workers[i].thread, NULL);
        cr_expect_gt(workers[i].taken[0][0], 0);
        cr_expect_leq(workers[i].taken[0][0], 200 * line_count);
    }
    ati_sampling_destroy(sampling);
}
