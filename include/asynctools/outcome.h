/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_OUTCOME_H
#define ASYNCTOOLS_OUTCOME_H

#include <asynctools/error.h>

/* How something ended: a value (AT_OK), an error, or cancelled (AT_ERROR_CANCELLED). The only form
 * of a result in the library. Value and error are borrowed from what gave the outcome. */
typedef struct at_outcome {
    at_status status;
    void *value;           /* when status is AT_OK; may be NULL */
    const at_error *error; /* when it is not */
} at_outcome;

#endif
