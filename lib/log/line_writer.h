/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_LINE_WRITER_H
#define ASYNCTOOLS_LOG_LINE_WRITER_H

/* Writes whole lines to a file descriptor. What cannot be written now (no space, a full pipe) is
 * kept and tried again; past the room for that, whole lines are given up and counted. Nothing ever
 * goes between the parts of a line that was written in part. */
#include "log/sink.h"

#include <asynctools/clock.h>

#include <sys/types.h>

typedef struct ati_line_writer ati_line_writer;

/* Writes at least one of the bytes, like write(2). `inside`: they begin in the middle of a line. At
 * the beginning of a line the descriptor may be another one than before. */
typedef ssize_t (*ati_line_put_fn)(ati_line_writer *writer, const char *bytes, size_t size,
                                   bool inside);

struct ati_line_writer {
    int descriptor;
    ati_line_put_fn put;
    bool owns_file;       /* nobody else in this process writes to the descriptor */
    bool torn;            /* what is kept begins in the middle of a line */
    bool is_shared;       /* with the parent of this process: the end of the file may be its own */
    at_deadline next_try; /* CLOCK_MONOTONIC: after an error, not before this */
    size_t room;
    char *kept; /* `room` bytes, of which sink->kept are used */
};

/* `put` is NULL for what simply writes to the descriptor. False: no memory. */
bool ati_line_writer_init(ati_line_writer *writer, int descriptor, ati_line_put_fn put);
void ati_line_writer_deinit(ati_line_writer *writer);

/* What a sink does; the results are counted in `sink`. */
void ati_line_writer_write(ati_line_writer *writer, ati_log_sink *sink, const char *lines,
                           size_t size);
void ati_line_writer_settle(ati_line_writer *writer, ati_log_sink *sink, bool now);
void ati_line_writer_fork(ati_line_writer *writer, ati_log_sink *sink, ati_fork_phase phase);

/* Cuts what was just written in the middle of a line off the end of its file, if nobody has written
 * behind it. Async-signal-safe. */
bool ati_line_writer_take_back(const ati_line_writer *writer, size_t torn_size);

/* A last attempt, of 2 seconds while the descriptor would block; lines that remain are given up. */
void ati_line_writer_finish(ati_line_writer *writer, ati_log_sink *sink);

/* line_writer_crash.c: what a sink does in a crash. */
void ati_line_writer_crash(ati_line_writer *writer, const ati_log_sink *sink, const char *lines,
                           size_t size, at_deadline deadline);

#endif
