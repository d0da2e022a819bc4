/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_LOG_H
#define BENCH_PEERS_LOG_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Something that writes lines of five typed fields to a file, as at-bench sees it. All write the
 * same line of some 225 bytes and lose none: they wait when they have no room. */
struct log_peer {
    const char *name;
    bool is_library;
    int lines; /* that a call of `write` writes */

    /* False: it cannot write to that file. */
    bool (*open)(const char *path);
    /* From any thread. */
    void (*write)(long number);
    /* Comes back when all lines are in the file; false: it failed. */
    bool (*close)(void);
    /* So many calls with five fields whose level is off. NULL: it has no levels. */
    void (*skip)(long count);
};

/* The fields of line `number`. */
#define LOG_EVENT "request.done"
#define LOG_OPERATION "request"
#define LOG_PATH "/api/v1/orders"
static inline long log_bytes(long number) {
    return 18231 + number % 1000;
}
static inline double log_duration(long number) {
    return 0.25 * (double)(number % 64);
}
static inline bool log_cached(long number) {
    return (number & 1) != 0;
}

/* Nothing is moved across it, so that the calls in `skip` stay in their loop. */
static inline void log_keep_call(void) {
    __asm__ __volatile__("" ::: "memory");
}

extern const struct log_peer log_library;
extern const struct log_peer log_spdlog;
extern const struct log_peer log_glib;
extern const struct log_peer log_plain;

/* The same of operations: a call is one with its beginning and its end, a line each with an id, and
 * three fields and the time it took on the last. */
extern const struct log_peer operation_library;
extern const struct log_peer operation_spdlog;
extern const struct log_peer operation_plain;

/* All that this program was built with; both end with NULL. */
extern const struct log_peer *const log_peers[];
extern const struct log_peer *const operation_peers[];

#ifdef __cplusplus
}
#endif

#endif
