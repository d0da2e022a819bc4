/* SPDX-License-Identifier: MIT
 *
 * Rule L2: where workers run. */
#include "support/tasks.h"
#include "support/test.h"

#include <sched.h>

TestSuite(pool_placement, .timeout = 200);

struct place {
    struct gate *gate;
    cpu_set_t set;
};

static void *see_affinity(void *argument) {
    struct place *place = argument;
    cr_assert_eq(sched_getaffinity(0, sizeof place->set, &place->set), 0);
    return gate_pass(place->gate);
}

enum { worker_count = 4 };

/* Each worker is on one CPU, and they take turns. */
Test(pool_placement, pinned_workers_share_the_cpus_out) {
    struct gate gate = GATE_CLOSED;
    struct place places[worker_count];
    cpu_set_t mine;
    at_pool *pool = NULL;
    cr_assert_eq(sched_getaffinity(0, sizeof mine, &mine), 0);
    at_pool_options options = {.thread_count = worker_count, .pins_threads = true};
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    for (int i = 0; i < worker_count; i++) {
        places[i].gate = &gate;
        cr_assert_eq(at_pool_start(pool, see_affinity, &places[i]), AT_OK);
    }
    gate_await(&gate, worker_count);
    gate_open(&gate);
    destroy_pool(pool);
    int used = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        int here = 0;
        for (int i = 0; i < worker_count; i++)
            here += CPU_ISSET((size_t)cpu, &places[i].set) != 0;
        used += here > 0;
        cr_expect(here == 0 || CPU_ISSET((size_t)cpu, &mine));
    }
    for (int i = 0; i < worker_count; i++)
        cr_expect_eq(CPU_COUNT(&places[i].set), 1);
    cr_expect_eq(used, CPU_COUNT(&mine) < worker_count ? CPU_COUNT(&mine) : worker_count);
}

/* What is stolen in the order of nearness is all that there is. */
Test(pool_placement, pinned_workers_steal) {
    struct tally tally = {0};
    at_pool *pool = NULL;
    at_pool_options options = {.thread_count = worker_count, .pins_threads = true};
    cr_assert_eq(at_pool_create(&pool, &options), AT_OK);
    for (int i = 0; i < 10000; i++)
        cr_assert_eq(at_pool_start(pool, tally_run, &tally), AT_OK);
    destroy_pool(pool);
    cr_expect_eq(tally_runs(&tally), 10000);
}
