/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_EXECUTOR_H
#define ASYNCTOOLS_EXECUTOR_H

#include <asynctools/attributes.h>
#include <asynctools/pool.h>

AT_DECLARATIONS_BEGIN

/* Where code runs: a pool, a strand of it, a loop, or inline. */
typedef struct at_executor at_executor;

/** Gives the executor that runs code as tasks of `pool`.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, valid as long as the pool; futures and promises made for it keep
 *             what they need of it themselves. */
AT_API at_executor *at_pool_executor(at_pool *pool);

/** Gives the executor that runs a continuation at once, on the thread that completes its source,
 *  or that attaches it if the source is complete. What runs there may not wait: a wait for a
 *  future that is not complete gives AT_ERROR_DEADLOCK, and loops run there without help
 *  (parallel.h). The join of a fork waits even so, holding the thread, if another worker has taken
 *  the call: do not fork there. At most 16 such continuations nest; further ones run when the
 *  outermost has returned.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, valid for ever. */
AT_API at_executor *at_executor_inline(void);

AT_DECLARATIONS_END

#endif
