/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_PLAIN_STAMP_H
#define BENCH_PEERS_PLAIN_STAMP_H

#include <time.h>

/* The date and time of a second, kept for that second as careful people do. */
struct plain_stamp {
    time_t second;
    char text[24]; /* 2026-01-02T03:04:05 */
};

static inline const char *plain_stamp_second(struct plain_stamp *stamp, time_t second) {
    struct tm parts;
    if (second != stamp->second) {
        stamp->second = second;
        strftime(stamp->text, sizeof(stamp->text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&second, &parts));
    }
    return stamp->text;
}

#endif
