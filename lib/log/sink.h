/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_SINK_H
#define ASYNCTOOLS_LOG_SINK_H

/* Where lines go. The calls of one sink never overlap: whoever makes them holds the logger's
 * write_lock (or is alone). A sink may be slow; it never calls the logger. */
#include "base/atomic.h"

#include <asynctools/clock.h>
#include <asynctools/log.h>
#include <asynctools/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ati_log_sink ati_log_sink;

typedef enum ati_fork_phase {
    ATI_FORK_PREPARE,
    ATI_FORK_PARENT,
    ATI_FORK_CHILD,
} ati_fork_phase;

typedef struct ati_log_sink_kind {
    const char *name;
    /* Takes whole lines. What it cannot write it keeps or gives up (`lost`). */
    void (*write)(ati_log_sink *sink, const char *lines, size_t size);
    /* Tries again to write what it kept, now rather than when it is due if `now`. */
    void (*settle)(ati_log_sink *sink, bool now);
    /* A last attempt: what cannot be written is given up. */
    void (*finish)(ati_log_sink *sink);
    /* Opens its file anew; NULL: it has none. */
    void (*reopen)(ati_log_sink *sink);
    /* Around process_fork. In the child, what was kept is the parent's. */
    void (*fork)(ati_log_sink *sink, ati_fork_phase phase);
    void (*destroy)(ati_log_sink *sink);
    /* The calling thread is about to wait for the sink. If the sink needs it, another thread takes
     * its place until *end, which is else left alone. False: there is no other. NULL: a sink that
     * needs no thread of the program. */
    bool (*begin_wait)(ati_log_sink *sink, void (**end)(void));
    /* In a process that is about to end by a signal: writes whole lines by system calls only, and
     * before them, for NULL, what it kept. Allocates nothing, waits until `deadline` at most and
     * needs less than 8 KiB of stack; no two calls overlap, in all loggers.
     * NULL: a sink without a descriptor. */
    void (*crash)(ati_log_sink *sink, const char *lines, size_t size, at_deadline deadline);
} ati_log_sink_kind;

struct ati_log_sink {
    const ati_log_sink_kind *kind;
    /* Bytes taken that do not wait any more; stays 0 in a sink that knows itself what a flush waits
     * for, and keeps only that. */
    uint64_t settled;
    size_t kept;               /* bytes that wait to be written, in the order they came */
    int error_number;          /* of the last failed attempt; 0: the last one succeeded */
    ati_counter errors;        /* failed attempts */
    ati_counter lost;          /* lines given up */
    _Atomic(const char *) end; /* why it takes no lines any more; NULL: it does */

    /* Of a file that is rotated or opened anew. */
    int move_error_number;   /* of the last attempt; 0: it succeeded */
    ati_counter move_errors; /* attempts that failed: the old file goes on */
    ati_counter rotations;   /* those that succeeded */
    int remove_error_number; /* of the last attempt to remove old files; 0: it succeeded */
};

typedef struct ati_log_file_options {
    const char *path;
    int64_t rotate_bytes;        /* at least 8 KiB; 0: not by size */
    at_duration rotate_interval; /* 0: not by time */
    int64_t rotate_count;        /* old files to keep; AT_UNLIMITED: all */
} ati_log_file_options;

/* Writes lines to a file, to stderr or to a descriptor that stays the caller's. NULL with the error
 * slot filled: it cannot. */
ati_log_sink *ati_log_sink_file_create(const ati_log_file_options *options);
ati_log_sink *ati_log_sink_stderr_create(void);
ati_log_sink *ati_log_sink_descriptor_create(int descriptor);

/* Sends lines to the journal of the system, as those of the program `name`; NULL: of this one. */
ati_log_sink *ati_log_sink_journal_create(const char *name);

/* Keeps the last `size` bytes of lines in memory. */
ati_log_sink *ati_log_sink_memory_create(size_t size);

/* A copy of the lines in memory, to be released by ati_release_text; NULL: out of memory. */
char *ati_log_sink_memory_lines(ati_log_sink *sink);
void ati_log_sink_memory_clear(ati_log_sink *sink);

/* Gives a logger a sink more, which it then owns. False: it has as many as it can have. */
bool ati_log_add_sink(at_logger *logger, ati_log_sink *sink);

/* Whether log calls of this thread may wait; gives what was before. For a sink that calls code of
 * the program: what that logs must not wait for the sink. */
bool ati_log_never_wait(bool never);

/* Why it takes no lines any more, or NULL. */
static inline const char *ati_log_sink_end(const ati_log_sink *sink) {
    return atomic_load_explicit(&((ati_log_sink *)sink)->end, memory_order_relaxed);
}

/* How many lines these bytes have. */
size_t ati_log_count_lines(const char *lines, size_t size);

#endif
