/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_OPERATION_OUTCOME_H
#define ASYNCTOOLS_OPERATION_OUTCOME_H

#include <asynctools/attributes.h>

AT_DECLARATIONS_BEGIN

/* How an operation ended. */
typedef enum at_operation_outcome {
    AT_OPERATION_OK = 0,
    AT_OPERATION_ERROR,
    AT_OPERATION_TIMEOUT,   /* its deadline passed */
    AT_OPERATION_CANCELLED, /* somebody did not want it any more */
    AT_OPERATION_DEGRADED,  /* it gave a lesser answer than it was asked for */
    AT_OPERATION_REJECTED,  /* it was not begun, for want of room or of a right */
} at_operation_outcome;

#define AT_OPERATION_OUTCOME_COUNT 6

/** Names an outcome as log lines do: "ok"; "unknown" for what is not an outcome.
 *  Threads:   any, also in a signal handler.      Blocks: never.
 *  Ownership: returns borrowed, valid for ever. */
AT_API const char *at_operation_outcome_name(at_operation_outcome outcome);

AT_DECLARATIONS_END

#endif
