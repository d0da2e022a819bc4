/* SPDX-License-Identifier: MIT
 *
 * What the process has of structured work stays the same when it is repeated, stacks and the
 * caches of the library's own allocation included. */
#include "support/tasks.h"
#include "support/test.h"
#include "support/work_parts.h"

#include <stdio.h>
#include <unistd.h>

TestSuite(resident_memory, .timeout = 200);

enum {
    warm_up = 50,
    repetitions = 100,
    growth_limit = 1 << 20, /* bytes: malloc's own leftovers */
};

static int64_t resident_bytes(void) {
    long long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert(file && fscanf(file, "%lld %lld", &total, &resident) == 2);
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

static void repeat(at_pool *pool, int times) {
    static void (*const parts[])(at_pool *) = {
        part_manager,
        part_manager_without_outcomes,
        part_submitted_children,
        part_sleeping_children,
        part_gather,
        part_map,
        part_cancelled_scope,
        part_tokens,
        part_timeouts,
        part_futures,
        part_strands,
        part_keyed_executor,
        part_task_pool,
        part_loop_executor,
    };
    for (int i = 0; i < times; i++)
        for (size_t part = 0; part < sizeof parts / sizeof *parts; part++)
            parts[part](pool);
}

Test(resident_memory, all_parts) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    cr_skip_test("a sanitizer keeps what was freed");
#endif
    at_pool *pool = create_pool(3);
    repeat(pool, warm_up);
    int64_t before = resident_bytes();
    repeat(pool, repetitions);
    int64_t after = resident_bytes();
    cr_expect_lt(after, before + growth_limit, "%lld bytes, %lld before", (long long)after,
                 (long long)before);
    destroy_pool(pool);
}
