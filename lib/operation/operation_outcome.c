/* SPDX-License-Identifier: MIT */
#include <asynctools/operation_outcome.h>

const char *at_operation_outcome_name(at_operation_outcome outcome) {
    static const char *const names[AT_OPERATION_OUTCOME_COUNT] = {
        [AT_OPERATION_OK] = "ok",
        [AT_OPERATION_ERROR] = "error",
        [AT_OPERATION_TIMEOUT] = "timeout",
        [AT_OPERATION_CANCELLED] = "cancelled",
        [AT_OPERATION_DEGRADED] = "degraded",
        [AT_OPERATION_REJECTED] = "rejected",
    };
    return (unsigned)outcome < AT_OPERATION_OUTCOME_COUNT ? names[outcome] : "unknown";
}
