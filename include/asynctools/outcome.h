/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_OUTCOME_H
#define ASYNCTOOLS_OUTCOME_H

#include <asynctools/attributes.h>
#include <asynctools/error.h>
#include <asynctools/task.h>

#include <stddef.h>

AT_DECLARATIONS_BEGIN

/* How something ended: a value (AT_OK), an error, or cancelled (AT_ERROR_CANCELLED). The only form
 * of a result in the library. Value and error are borrowed from what gave the outcome, but where a
 * call fills an array of outcomes that its caller owns. */
typedef struct at_outcome {
    at_status status;
    void *value;           /* when status is AT_OK; may be NULL */
    const at_error *error; /* when it is not */
    at_drop_fn drop;       /* of a value that is owned; NULL: nothing to drop */
} at_outcome;

/** Drops the values and errors of outcomes that a call has filled in for its caller to own, and
 *  leaves successes without a value. To keep a value, set `drop` of its outcome to NULL before.
 *  Threads:   any, one at a time for one array.      Blocks: never.
 *  Ownership: takes what is in the outcomes; the array is the caller's. NULL is allowed for none.
 */
AT_API void at_outcomes_release(at_outcome *outcomes, size_t count);

AT_DECLARATIONS_END

#endif
