/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_TRACEPARENT_H
#define ASYNCTOOLS_TRACEPARENT_H

#include <asynctools/attributes.h>
#include <asynctools/status.h>

#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* The header by which a request says which trace it belongs to (W3C Trace Context, level 1):
 * 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01. */

typedef struct at_trace_id {
    uint64_t high;
    uint64_t low;
} at_trace_id;

typedef struct at_traceparent {
    at_trace_id trace_id;
    uint64_t parent_id;
    uint8_t flags; /* 1: sampled; others are read, and written as 0 */
} at_traceparent;

enum {
    AT_TRACEPARENT_SIZE = 56, /* of the text, with its NUL */
};

/** Reads the header. Versions above 00 are read as far as 00 goes, as the standard says.
 *  Threads:   any.      Blocks: never.
 *  Ownership: fills `traceparent`, which is untouched on failure.
 *  Errors:    AT_ERROR_INVALID: it is no such header, or an id is zero. */
AT_API AT_NODISCARD at_status at_traceparent_parse(const char *header, at_traceparent *traceparent);

/** Writes the header.
 *  Threads:   any.      Blocks: never. */
AT_API void at_traceparent_write(const at_traceparent *traceparent,
                                 char header[AT_TRACEPARENT_SIZE]);

AT_DECLARATIONS_END

#endif
