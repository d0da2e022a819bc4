/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_OPERATION_OUTCOME_H
#define ASYNCTOOLS_OPERATION_OUTCOME_H

#include <asynctools/attributes.h>
#include <asynctools/error.h>

AT_DECLARATIONS_BEGIN

/* How an operation ended. */
typedef enum at_operation_outcome {
    AT_OPERATION_OK = 0,
    AT_OPERATION_ERROR,
    AT_OPERATION_TIMEOUT,
    AT_OPERATION_CANCELLED,
    AT_OPERATION_DEGRADED, /* done, but not as well as it should have been */
    AT_OPERATION_REJECTED, /* not begun in earnest: too much to do, or closed */
} at_operation_outcome;

#define AT_OPERATION_OUTCOME_COUNT 6

/** Names an outcome as lines do: "ok"; "unknown" for what is none.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, valid for ever. */
AT_API const char *at_operation_outcome_name(at_operation_outcome outcome);

/** Gives the outcome of what ended by an error: AT_OPERATION_TIMEOUT for AT_ERROR_TIMED_OUT,
 *  AT_OPERATION_CANCELLED for AT_ERROR_CANCELLED, AT_OPERATION_REJECTED where something was full,
 *  closed or expired, else AT_OPERATION_ERROR, also for NULL.
 *  Threads:   any.      Blocks: never.
 *  Ownership: borrows `error`. */
AT_API at_operation_outcome at_operation_outcome_of(const at_error *error);

AT_DECLARATIONS_END

#endif
