/* SPDX-License-Identifier: MIT
 *
 * Random trees of structured work, begun by tasks and by threads outside, on far more workers than
 * CPUs. After each round all tasks are accounted for (rule S5), each argument has been run or
 * dropped once (S1), each value dropped once (C0), and the library holds what it held before.
 *
 * STRESS_SECONDS in the environment says for how long; default: two rounds. */
#include "support/fault.h"
#include "support/random_work.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/log.h>

#include <stdlib.h>

FAULT_INSTALL;

TestSuite(structured_work);

enum {
    worker_count = 64,
    thread_count = 6,
#ifdef __SANITIZE_THREAD__
    nodes_per_round = 3000,
#else
    nodes_per_round = 12000,
#endif
};

static void *run_outside(void *argument) {
    uint64_t seed = (uintptr_t)argument;
    while (atomic_load_explicit(&random_work.nodes_left, memory_order_relaxed) > 0)
        random_work_run(&seed);
    at_error_clear();
    return NULL;
}

static void run_round(int round) {
    struct fault_usage before = fault_usage();
    pthread_t threads[thread_count];
    random_work.pool = create_pool(round % 4 == 3 ? 2 : worker_count);
    atomic_store(&random_work.nodes_left, nodes_per_round);
    cr_assert_eq(at_keyed_executor_create(&random_work.keyed, random_work.pool, NULL), AT_OK);
    for (int i = 0; i < thread_count; i++) {
        uintptr_t seed = (uintptr_t)(round * thread_count + i);
        cr_assert_eq(pthread_create(&threads[i], NULL, run_outside, (void *)seed), 0);
    }
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(at_pool_shutdown(random_work.pool, PATIENCE), AT_OK, "round %d", round);
    random_work_end();
    cr_assert_eq(at_keyed_executor_key_count(random_work.keyed), 0);
    at_keyed_executor_destroy(random_work.keyed);
    destroy_pool(random_work.pool);
    cr_assert_eq(random_work.wrong, 0, "round %d", round);
    cr_assert_eq(random_work.live_nodes, 0, "round %d", round);
    cr_assert_eq(random_work.live_values, 0, "round %d", round);
    fault_check_leaks(before);
}

Test(structured_work, s5_random_trees) {
    const char *text = getenv("STRESS_SECONDS");
    at_deadline end = at_after(AT_SECONDS(text ? atoi(text) : 0));
    at_logger *logger; /* errors that nobody reads, on purpose */
    at_logger_options options = {.level = AT_LOG_OFF, .memory_bytes = 1 << 16};
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    at_logger_set_default(logger);
    for (int round = 0; round < 2 || at_after(0) < end; round++)
        run_round(round);
    at_logger_destroy(logger);
}
