/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "base/memory.h"
#include "log/line_writer.h"
#include "log/readable.h"
#include "log/sink.h"

#include <string.h>
#include <unistd.h>

/* Writes to stderr: for people on a terminal, else the lines as they are. */
typedef struct stderr_sink {
    ati_log_sink sink;
    ati_line_writer writer;
    bool readable;
} stderr_sink;

/* Behind the line at `line`. */
static const char *next_line(const char *line, const char *end) {
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    return newline ? newline + 1 : end;
}

static void write_readable(stderr_sink *out, const char *lines, size_t size) {
    char text[ATI_READABLE_MAX];
    const char *end = lines + size;
    while (lines < end) {
        const char *next = next_line(lines, end);
        size_t length = ati_readable_line(text, lines, (size_t)(next - lines));
        ati_line_writer_write(&out->writer, &out->sink, text, length);
        lines = next;
    }
}

static void write_stderr(ati_log_sink *sink, const char *lines, size_t size) {
    stderr_sink *out = (stderr_sink *)sink;
    if (out->readable)
        write_readable(out, lines, size);
    else
        ati_line_writer_write(&out->writer, sink, lines, size);
}

static void settle_stderr(ati_log_sink *sink, bool now) {
    ati_line_writer_settle(&((stderr_sink *)sink)->writer, sink, now);
}

static void finish_stderr(ati_log_sink *sink) {
    ati_line_writer_finish(&((stderr_sink *)sink)->writer, sink);
}

static void fork_stderr(ati_log_sink *sink, ati_fork_phase phase) {
    ati_line_writer_fork(&((stderr_sink *)sink)->writer, sink, phase);
}

static void crash_stderr(ati_log_sink *sink, const char *lines, size_t size, at_deadline deadline) {
    stderr_sink *out = (stderr_sink *)sink;
    char text[ATI_READABLE_MAX];
    if (!lines || !out->readable) {
        ati_line_writer_crash(&out->writer, sink, lines, size, deadline);
        return;
    }
    const char *end = lines + size;
    while (lines < end) {
        const char *next = next_line(lines, end);
        size_t length = ati_readable_line(text, lines, (size_t)(next - lines));
        ati_line_writer_crash(&out->writer, sink, text, length, deadline);
        lines = next;
    }
}

static void destroy_stderr(ati_log_sink *sink) {
    stderr_sink *out = (stderr_sink *)sink;
    ati_line_writer_deinit(&out->writer);
    ati_release(out, sizeof *out);
}

static const ati_log_sink_kind stderr_kind = {
    .name = "stderr",
    .write = write_stderr,
    .settle = settle_stderr,
    .finish = finish_stderr,
    .fork = fork_stderr,
    .destroy = destroy_stderr,
    .crash = crash_stderr,
};

ati_log_sink *ati_log_sink_stderr_create(void) {
    stderr_sink *out = ati_allocate_zeroed(sizeof *out);
    if (!out || !ati_line_writer_init(&out->writer, STDERR_FILENO, NULL)) {
        ati_fail(AT_ERROR_NO_MEMORY, "at_logger_create: no memory for a sink");
        ati_release(out, sizeof *out);
        return NULL;
    }
    out->sink.kind = &stderr_kind;
    out->readable = isatty(STDERR_FILENO) == 1;
    return &out->sink;
}
