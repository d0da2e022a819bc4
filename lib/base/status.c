/* SPDX-License-Identifier: MIT */
#include <asynctools/status.h>

const char *at_status_name(at_status status) {
    switch (status) {
#define STATUS_NAME(name, value, text)                                                             \
    case name:                                                                                     \
        return #name;
        AT_STATUS_TABLE(STATUS_NAME)
#undef STATUS_NAME
    }
    return "AT_ERROR_UNKNOWN";
}

const char *at_status_text(at_status status) {
    switch (status) {
#define STATUS_TEXT(name, value, text)                                                             \
    case name:                                                                                     \
        return text;
        AT_STATUS_TABLE(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "unknown status";
}
