/* SPDX-License-Identifier: MIT */
/* Source: W3C Recommendation "Trace Context", 2021, sections 3.2.2 and 3.2.4. */
#include <asynctools/traceparent.h>

#include "base/check.h"
#include "base/error.h"
#include "log/number.h"

#include <stdbool.h>
#include <string.h>

/* version - trace id - parent id - flags */
enum { trace_at = 3, parent_at = 36, flags_at = 53, end_at = 55 };

/* The others are reserved: in what is sent they are zero. */
enum { known_flags = 1 };

/* Reads lower-case hexadecimal digits; false: there are others. */
static bool read_hex(const char *from, unsigned digits, uint64_t *value) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < digits; i++) {
        char digit = from[i];
        if (digit >= '0' && digit <= '9')
            sum = sum << 4 | (uint64_t)(digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            sum = sum << 4 | (uint64_t)(digit - 'a' + 10);
        else
            return false;
    }
    *value = sum;
    return true;
}

static bool read(const char *header, at_traceparent *made) {
    uint64_t version;
    uint64_t flags;
    size_t length = strnlen(header, end_at + 1);
    if (length < end_at || header[2] != '-' || header[parent_at - 1] != '-' ||
        header[flags_at - 1] != '-' || !read_hex(header, 2, &version) || version == 0xff ||
        !read_hex(header + trace_at, 16, &made->trace_id.high) ||
        !read_hex(header + trace_at + 16, 16, &made->trace_id.low) ||
        !read_hex(header + parent_at, 16, &made->parent_id) ||
        !read_hex(header + flags_at, 2, &flags))
        return false;
    made->flags = (uint8_t)flags;
    bool ends_well = length == end_at || (version > 0 && header[end_at] == '-');
    return ends_well && (made->trace_id.high | made->trace_id.low) != 0 && made->parent_id != 0;
}

at_status at_traceparent_parse(const char *header, at_traceparent *traceparent) {
    ATI_CALLER_CHECK(header && traceparent, "at_traceparent_parse",
                     "an argument is NULL; give a header and the struct to fill");
    at_traceparent made;
    if (!read(header, &made))
        return ati_fail(AT_ERROR_INVALID, "at_traceparent_parse: `header` is no traceparent: %.60s",
                        header);
    *traceparent = made;
    return AT_OK;
}

void at_traceparent_write(const at_traceparent *traceparent, char header[AT_TRACEPARENT_SIZE]) {
    ATI_CALLER_CHECK(traceparent && header, "at_traceparent_write", "an argument is NULL");
    char *to = header;
    memcpy(to, "00-", 3);
    to = ati_number_hex(to + 3, traceparent->trace_id.high);
    to = ati_number_hex(to, traceparent->trace_id.low);
    *to++ = '-';
    to = ati_number_hex(to, traceparent->parent_id);
    *to++ = '-';
    *to++ = '0';
    *to++ = traceparent->flags & known_flags ? '1' : '0';
    *to = '\0';
}
