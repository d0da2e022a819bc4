/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_STATUS_H
#define ASYNCTOOLS_STATUS_H

#include <asynctools/attributes.h>

AT_DECLARATIONS_BEGIN

/* The one table of status codes: X(name, value, text). The enum, the names and the texts are made
 * from it. */
#define AT_STATUS_TABLE(X)                                                                         \
    X(AT_OK, 0, "success")                                                                         \
    X(AT_ERROR_FAILED, -1, "failed without saying why")                                            \
    X(AT_ERROR_INVALID, -2, "invalid argument or option")                                          \
    X(AT_ERROR_NO_MEMORY, -3, "out of memory")                                                     \
    X(AT_ERROR_FULL, -4, "queue is full")                                                          \
    X(AT_ERROR_CLOSED, -5, "closed")                                                               \
    X(AT_ERROR_FORKED, -6, "belongs to the parent of this forked process")                         \
    X(AT_ERROR_CANCELLED, -7, "cancelled")                                                         \
    X(AT_ERROR_TIMED_OUT, -8, "timed out")                                                         \
    X(AT_ERROR_DEADLOCK, -9, "would wait for itself")                                              \
    X(AT_ERROR_OVERLOAD, -10, "overloaded")                                                        \
    X(AT_ERROR_ABANDONED, -11, "promise was destroyed unset")                                      \
    X(AT_ERROR_SHARED, -12, "value has more than one consumer")                                    \
    X(AT_ERROR_ALREADY, -13, "already has an outcome")                                             \
    X(AT_ERROR_NOT_FOUND, -14, "not found")                                                        \
    X(AT_ERROR_PERMISSION, -15, "permission denied")                                               \
    X(AT_ERROR_UNAVAILABLE, -16, "temporarily unavailable")                                        \
    X(AT_ERROR_UNSUPPORTED, -17, "not supported here")                                             \
    X(AT_ERROR_IO, -18, "input or output failed")                                                  \
    X(AT_ERROR_SYSTEM, -19, "operating system refused")                                            \
    X(AT_ERROR_DROPPED, -20, "dropped from a full queue")                                          \
    X(AT_ERROR_EXPIRED, -21, "waited too long in a queue")

typedef enum at_status {
#define AT_STATUS_ENUM_(name, value, text) name = value,
    AT_STATUS_TABLE(AT_STATUS_ENUM_)
#undef AT_STATUS_ENUM_
} at_status;

/** Names a status: "AT_ERROR_FULL"; "AT_ERROR_UNKNOWN" for a value that is not in the table.
 *  Threads:   any, also in a signal handler.      Blocks: never.
 *  Ownership: returns borrowed, valid for ever. */
AT_API const char *at_status_name(at_status status);

/** Describes a status in a few words: "queue is full".
 *  Threads:   any, also in a signal handler.      Blocks: never.
 *  Ownership: returns borrowed, valid for ever. */
AT_API const char *at_status_text(at_status status);

AT_DECLARATIONS_END

#endif
