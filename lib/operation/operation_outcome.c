/* SPDX-License-Identifier: MIT */
#include <asynctools/operation_outcome.h>

const char *at_operation_outcome_name(at_operation_outcome outcome) {
    static const char names[][12] = {"ok", "error", "timeout", "cancelled", "degraded", "rejected"};
    return (unsigned)outcome < sizeof names / sizeof *names ? names[outcome] : "unknown";
}

at_operation_outcome at_operation_outcome_of(const at_error *error) {
    switch (error ? at_error_status(error) : AT_ERROR_FAILED) {
    case AT_ERROR_TIMED_OUT:
        return AT_OPERATION_TIMEOUT;
    case AT_ERROR_CANCELLED:
        return AT_OPERATION_CANCELLED;
    case AT_ERROR_FULL:
    case AT_ERROR_CLOSED:
    case AT_ERROR_OVERLOAD:
    case AT_ERROR_DROPPED:
    case AT_ERROR_EXPIRED:
        return AT_OPERATION_REJECTED;
    default:
        return AT_OPERATION_ERROR;
    }
}
