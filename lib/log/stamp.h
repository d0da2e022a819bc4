/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_STAMP_H
#define ASYNCTOOLS_LOG_STAMP_H

/* Times as RFC 3339 in UTC with microseconds: 2026-03-04T05:06:07.123456Z. */
#include <stdint.h>

enum {
    ATI_STAMP_LENGTH = 27,
};

/* The last second that was written, so that lines of the same second copy its digits. */
typedef struct ati_stamp_cache {
    int64_t second;
    char digits[20]; /* "2026-03-04T05:06:07."; empty: nothing yet */
} ati_stamp_cache;

/* Nanoseconds since 1970 of CLOCK_REALTIME. */
int64_t ati_stamp_now(void);

/* Writes ATI_STAMP_LENGTH characters. Years outside 0 to 9999 are written as the nearest inside. */
char *ati_stamp_write(char *to, int64_t time, ati_stamp_cache *cache);

#endif
