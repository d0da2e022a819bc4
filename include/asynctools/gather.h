/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_GATHER_H
#define ASYNCTOOLS_GATHER_H

#include <asynctools/attributes.h>
#include <asynctools/limits.h>
#include <asynctools/outcome.h>
#include <asynctools/pool.h>
#include <asynctools/status.h>
#include <asynctools/task.h>
#include <asynctools/task_manager.h>

#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* Zero is the default for each member; NULL options are all defaults. */
typedef struct at_gather_options {
    int64_t limit;    /* items that are worked on at once; default: AT_UNLIMITED */
    const char *name; /* copied: of the scope that the items run in, for errors and logs; default:
                         "gather" */
    at_task_manager_policy policy; /* default: AT_TASK_MANAGER_ALL */
    uint64_t reserved[4];
} at_gather_options;

/** Runs `run` for each item, with the address of the item, and waits for all: one call of a task
 *  manager. The first failure cancels the rest, unless the policy is another one; so does the scope
 *  of the caller.
 *  Threads:   any, also inside tasks.
 *  Blocks:    until every item has ended.
 *  Ownership: borrows the items for the call. Fills `outcomes`, one for each item in their order,
 *             whatever it returns; the caller owns them (at_outcomes_release). NULL: nobody wants
 *             them.
 *  Ordering:  what the caller did before happens before each `run`, and they before the return.
 *  Errors:    AT_ERROR_INVALID for items without data or size, and for options (names the member);
 *             for more items than there can be it fills nothing;
 *             AT_ERROR_NO_MEMORY, AT_ERROR_FULL, AT_ERROR_CLOSED, AT_ERROR_FORKED: the items that
 *             could not be started have that outcome, the others were cancelled. Else as
 *             at_task_manager_join. No items is success. */
#define at_gather(pool, run, ...) at_gather_at(AT_SITE(#run), pool, run, __VA_ARGS__)
AT_API AT_NODISCARD at_status at_gather_at(const char *site, at_pool *pool, at_run_fn run,
                                           at_items items, at_outcome *outcomes,
                                           const at_gather_options *options);

AT_DECLARATIONS_END

#endif
