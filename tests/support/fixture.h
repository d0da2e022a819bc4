/* SPDX-License-Identifier: MIT
 *
 * What the tests of a suite begin and end with: a pool whose audit is checked (rule S5), and
 * nothing is left behind. For files with FAULT_INSTALL. */
#ifndef TEST_SUPPORT_FIXTURE_H
#define TEST_SUPPORT_FIXTURE_H

#include "support/tasks.h"

/* Of the running test; one thread, unless the test asks for more. */
extern at_pool *pool;

/* `.init`: the pool; or the pool on a virtual clock, which is bound to the test's thread. */
void begin_with_pool(void);
void begin_with_clock(void);

/* Takes another pool, of that many threads. */
void change_pool(int64_t thread_count);

/* Destroys the pool before the end of the test, which looks at its audit. */
at_pool_audit_result end_pool(void);

/* `.fini` of both. */
void end_with_pool(void);

#endif
