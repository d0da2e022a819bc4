/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "base/memory.h"
#include "log/line_writer.h"
#include "log/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Appends to a file. */
typedef struct file_sink {
    ati_log_sink sink;
    ati_line_writer writer;
} file_sink;

static void write_file(ati_log_sink *sink, const char *lines, size_t size) {
    ati_line_writer_write(&((file_sink *)sink)->writer, sink, lines, size);
}

static void settle_file(ati_log_sink *sink, bool now) {
    ati_line_writer_settle(&((file_sink *)sink)->writer, sink, now);
}

static void finish_file(ati_log_sink *sink) {
    ati_line_writer_finish(&((file_sink *)sink)->writer, sink);
}

static void fork_file(ati_log_sink *sink, ati_fork_phase phase) {
    ati_line_writer_fork(&((file_sink *)sink)->writer, sink, phase);
}

static void crash_file(ati_log_sink *sink, const char *lines, size_t size, at_deadline deadline) {
    ati_line_writer_crash(&((file_sink *)sink)->writer, sink, lines, size, deadline);
}

static void destroy_file(ati_log_sink *sink) {
    file_sink *file = (file_sink *)sink;
    close(file->writer.descriptor);
    ati_line_writer_deinit(&file->writer);
    ati_release(file, sizeof *file);
}

static const ati_log_sink_kind file_kind = {
    .name = "file",
    .write = write_file,
    .settle = settle_file,
    .finish = finish_file,
    .fork = fork_file,
    .destroy = destroy_file,
    .crash = crash_file,
};

static at_status status_of_errno(int number) {
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return AT_ERROR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return AT_ERROR_PERMISSION;
    default:
        return AT_ERROR_IO;
    }
}

/* A file whose last line was torn, by a crash or a full disk, gets a newline, so that our first
 * line stands alone. */
static void end_torn_line(int descriptor, const char *path) {
    int reader = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (reader < 0)
        return;
    struct stat status;
    char last = '\n';
    if (fstat(reader, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
        pread(reader, &last, 1, status.st_size - 1) == 1 && last != '\n')
        if (write(descriptor, "\n", 1) != 1)
            last = '\n'; /* no space: the first lines will not be written either */
    close(reader);
}

ati_log_sink *ati_log_sink_file_create(const char *path) {
    file_sink *file = ati_allocate_zeroed(sizeof *file);
    if (!file) {
        ati_fail(AT_ERROR_NO_MEMORY, "at_logger_create: no memory for a sink");
        return NULL;
    }
    int descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
    if (descriptor < 0) {
        ati_fail(status_of_errno(errno), "at_logger_create: cannot open `path` %s: %s", path,
                 strerrordesc_np(errno));
        ati_release(file, sizeof *file);
        return NULL;
    }
    file->sink.kind = &file_kind;
    if (!ati_line_writer_init(&file->writer, descriptor)) {
        ati_fail(AT_ERROR_NO_MEMORY, "at_logger_create: no memory for a sink");
        destroy_file(&file->sink);
        return NULL;
    }
    end_torn_line(descriptor, path);
    return &file->sink;
}
