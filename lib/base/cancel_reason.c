/* SPDX-License-Identifier: MIT */
#include <asynctools/cancel_reason.h>

const char *at_cancel_reason_name(at_cancel_reason reason) {
    switch (reason) {
    case AT_CANCEL_NONE:
        return "AT_CANCEL_NONE";
    case AT_CANCEL_EXPLICIT:
        return "AT_CANCEL_EXPLICIT";
    case AT_CANCEL_DEADLINE:
        return "AT_CANCEL_DEADLINE";
    case AT_CANCEL_SIBLING:
        return "AT_CANCEL_SIBLING";
    case AT_CANCEL_PARENT:
        return "AT_CANCEL_PARENT";
    case AT_CANCEL_SHUTDOWN:
        return "AT_CANCEL_SHUTDOWN";
    default:
        return "AT_CANCEL_UNKNOWN";
    }
}
