/* SPDX-License-Identifier: MIT
 *
 * Each part of structured work once, in a pool: small enough to be repeated, and leaving nothing
 * behind. */
#ifndef TEST_SUPPORT_WORK_PARTS_H
#define TEST_SUPPORT_WORK_PARTS_H

#include <asynctools/pool.h>

/* Called by the thread that runs the test; all that they start has ended when they return. */
void part_manager(at_pool *pool);                  /* a limit, outcomes that are gathered */
void part_manager_without_outcomes(at_pool *pool); /* children that start children */
void part_submitted_children(at_pool *pool);       /* cancelled alone, or by the first failure */
void part_sleeping_children(at_pool *pool);
void part_gather(at_pool *pool); /* a tree of errors */
void part_map(at_pool *pool);    /* progress, failures, a deadline */
void part_cancelled_scope(at_pool *pool);
void part_tokens(at_pool *pool);   /* callbacks, scopes with two parents */
void part_timeouts(at_pool *pool); /* futures and scopes, in time and late */
void part_futures(at_pool *pool);  /* continuations and combinators of what goes on for long */
void part_strands(at_pool *pool);
void part_keyed_executor(at_pool *pool);
void part_task_pool(at_pool *pool); /* with each policy */
void part_loop_executor(at_pool *pool);

#endif
