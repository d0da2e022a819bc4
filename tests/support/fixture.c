/* SPDX-License-Identifier: MIT */
#include "support/fixture.h"

#include "support/fault.h"
#include "support/test.h"

at_pool *pool;
static at_clock *bound;
static struct fault_usage before;

void begin_with_pool(void) {
    before = fault_usage();
    pool = create_pool(1);
}

void begin_with_clock(void) {
    before = fault_usage();
    bound = bind_virtual_clock();
    pool = create_pool(1);
}

void change_pool(int64_t thread_count) {
    (void)end_pool();
    pool = create_pool(thread_count);
}

at_pool_audit_result end_pool(void) {
    at_pool_audit_result audit = destroy_pool(pool);
    pool = NULL;
    return audit;
}

void end_with_pool(void) {
    if (pool)
        (void)end_pool();
    if (bound)
        unbind_virtual_clock(bound);
    bound = NULL;
    fault_check_leaks(before);
}
