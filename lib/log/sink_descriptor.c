/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "base/memory.h"
#include "log/line_writer.h"
#include "log/readable.h"
#include "log/sink.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Writes to a descriptor that is somebody else's. To stderr: for people on a terminal, else the
 * lines as they are. */
typedef struct descriptor_sink {
    ati_log_sink sink;
    ati_line_writer writer;
    bool readable;
} descriptor_sink;

/* Behind the line at `line`. */
static const char *next_line(const char *line, const char *end) {
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    return newline ? newline + 1 : end;
}

static void write_readable(descriptor_sink *out, const char *lines, size_t size) {
    char text[ATI_READABLE_MAX];
    const char *end = lines + size;
    while (lines < end) {
        const char *next = next_line(lines, end);
        size_t length = ati_readable_line(text, lines, (size_t)(next - lines));
        ati_line_writer_write(&out->writer, &out->sink, text, length);
        lines = next;
    }
}

static void write_descriptor(ati_log_sink *sink, const char *lines, size_t size) {
    descriptor_sink *out = (descriptor_sink *)sink;
    if (out->readable)
        write_readable(out, lines, size);
    else
        ati_line_writer_write(&out->writer, sink, lines, size);
}

static void settle_descriptor(ati_log_sink *sink, bool now) {
    ati_line_writer_settle(&((descriptor_sink *)sink)->writer, sink, now);
}

static void finish_descriptor(ati_log_sink *sink) {
    ati_line_writer_finish(&((descriptor_sink *)sink)->writer, sink);
}

static void fork_descriptor(ati_log_sink *sink, ati_fork_phase phase) {
    ati_line_writer_fork(&((descriptor_sink *)sink)->writer, sink, phase);
}

static void crash_descriptor(ati_log_sink *sink, const char *lines, size_t size,
                             at_deadline deadline) {
    static char text[ATI_READABLE_MAX];
    descriptor_sink *out = (descriptor_sink *)sink;
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

static void destroy_descriptor(ati_log_sink *sink) {
    descriptor_sink *out = (descriptor_sink *)sink;
    ati_line_writer_deinit(&out->writer);
    ati_release(out, sizeof *out);
}

#define KIND(name_)                                                                                \
    {                                                                                              \
        .name = name_, .write = write_descriptor, .settle = settle_descriptor,                     \
        .finish = finish_descriptor, .fork = fork_descriptor, .destroy = destroy_descriptor,       \
        .crash = crash_descriptor,                                                                 \
    }

static const ati_log_sink_kind stderr_kind = KIND("stderr");
static const ati_log_sink_kind descriptor_kind = KIND("descriptor");

static ati_log_sink *create(const ati_log_sink_kind *kind, int descriptor, bool readable) {
    descriptor_sink *out = ati_allocate_zeroed(sizeof *out);
    if (!out || !ati_line_writer_init(&out->writer, descriptor, NULL)) {
        ati_fail(AT_ERROR_NO_MEMORY, "at_logger_create: no memory for a sink");
        ati_release(out, sizeof *out);
        return NULL;
    }
    out->sink.kind = kind;
    out->readable = readable;
    return &out->sink;
}

ati_log_sink *ati_log_sink_stderr_create(void) {
    return create(&stderr_kind, STDERR_FILENO, isatty(STDERR_FILENO) == 1);
}

ati_log_sink *ati_log_sink_descriptor_create(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) {
        ati_fail(AT_ERROR_INVALID, "at_logger_create: `descriptor` %d is not open for writing",
                 descriptor);
        return NULL;
    }
    return create(&descriptor_kind, descriptor, false);
}
