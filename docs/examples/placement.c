/* SPDX-License-Identifier: MIT */
/* Where the workers run: on a set of CPUs, each on one of its own. */
#define _GNU_SOURCE
#include <asynctools/asynctools.h>

#include <sched.h>
#include <stdio.h>

static void *see_cpus(void *unused) {
    (void)unused;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return at_fail(AT_ERROR_SYSTEM, "sched_getaffinity");
    return (void *)(long)CPU_COUNT(&set);
}

int main(void) {
    int here = sched_getcpu();
    if (here < 0)
        return 1;
    at_pool_options options = {
        .thread_count = 2,
        .cpus = &here, /* copied */
        .cpu_count = 1,
        .pins_threads = true, /* each keeps to one CPU, and steals from near ones first */
    };
    at_pool *pool;
    if (at_pool_create(&pool, &options) != AT_OK) {
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
        return 1;
    }
    at_future *future = at_pool_submit(pool, see_cpus, NULL);
    void *count = NULL;
    at_status status = at_future_wait(future, AT_FOREVER, &count);
    at_future_release(future);
    at_pool_destroy(pool);
    return status == AT_OK && count == (void *)1L ? 0 : 1;
}
