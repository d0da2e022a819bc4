/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "log/line_writer.h"
#include "log/old_files.h"
#include "log/sink.h"
#include "log/stamp.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Appends to a file.
 *
 * The descriptor keeps its number while the sink lives: a file that is opened later is put in its
 * place (dup3). That happens between two lines only, where the writer asks `put_file`, and only
 * when the new file is open, so that no line is lost and none is in two files.
 *
 * Other processes may write to the file, move it away or remove it. So the sink trusts no count of
 * its own: each time it looks how large the file is and whether it is there, and before it renames,
 * whether the file that it has is the one at `path` still. If not, somebody else has moved it, and
 * it is opened anew. */
typedef struct file_sink {
    ati_log_sink sink;
    ati_line_writer writer;
    int64_t rotate_bytes; /* 0: not by size */
    at_duration rotate_interval;
    int64_t rotate_count;
    int64_t period;       /* the interval that the file belongs to, counted from 1970 */
    at_deadline next_try; /* CLOCK_MONOTONIC: after a failed move, not before this */
    bool reopen_wanted;
    char path[]; /* absolute: the working directory may change */
} file_sink;

enum {
    try_again_after_ms = 1000,
    others_write_ms = 10, /* a line that another process is writing is whole by then */
    end_looks = 20,       /* at the end of a file that seems to be torn */
};

static file_sink *file_of(ati_line_writer *writer) {
    return (file_sink *)((char *)writer - offsetof(file_sink, writer));
}

/* -- Opening -- */

/* Whether the last line has no newline; gives the size of the file. */
static bool ends_inside_a_line(int reader, off_t *size) {
    struct stat status;
    char last;
    bool is_known = fstat(reader, &status) == 0 && status.st_size > 0 &&
                    pread(reader, &last, 1, status.st_size - 1) == 1;
    *size = is_known ? status.st_size : 0;
    return is_known && last != '\n';
}

/* Whether the file ends inside a line, and that is not the work of a process that is writing at
 * this moment: of a write that is under way, some file systems show a part. Such a write holds the
 * lock of the file, for which futimens() waits, so the file has grown behind it. What another
 * process could not write in one piece it may add in the next one. */
static bool is_torn(int descriptor, int reader) {
    off_t size;
    off_t size_before = -1;
    for (int look = 0; look < end_looks && ends_inside_a_line(reader, &size); look++) {
        if (size == size_before)
            return true;
        size_before = size;
        (void)futimens(descriptor, NULL);
        poll(NULL, 0, others_write_ms);
    }
    return false; /* if it is in motion still, others have written behind that line */
}

/* False: another process has it, and does what is to be done. Where files cannot be locked, one
 * goes on without. */
static bool lock_file(int descriptor) {
    for (int look = 0; look < end_looks; look++) {
        if (flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
            return true;
        poll(NULL, 0, others_write_ms);
    }
    return false;
}

/* Opens the file of a descriptor once more, even if another one is at its path by now. */
static int open_again(int descriptor, int flags) {
    char name[32];
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    return open(name, flags | O_CLOEXEC | O_NOCTTY);
}

/* A file whose last line was torn, by a crash or a full disk, gets a newline, so that our first
 * line stands alone. Only one: where several processes open it at once, one does it. */
static void end_torn_line(int descriptor) {
    off_t size;
    int reader = open_again(descriptor, O_RDWR);
    if (reader < 0)
        return;
    if (ends_inside_a_line(reader, &size) && lock_file(reader)) {
        if (is_torn(descriptor, reader) && write(descriptor, "\n", 1) != 1)
            errno = 0;                /* no space: the first lines will not be written either */
        (void)flock(reader, LOCK_UN); /* a forked child may have the descriptor too */
    }
    close(reader);
}

static int64_t period_of(const file_sink *file, int64_t time) {
    return file->rotate_interval > 0 ? time / file->rotate_interval : 0;
}

/* Opens the file, and finds out where in time it belongs. A FIFO without a reader is refused. -1,
 * with errno: it cannot. */
static int open_file(file_sink *file) {
    int descriptor =
        open(file->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
    struct stat status;
    if (descriptor < 0)
        return -1;
    (void)fcntl(descriptor, F_SETFL, O_APPEND);
    file->period = period_of(file, ati_stamp_now());
    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
        file->period = period_of(file, status.st_mtim.tv_sec * AT_SECONDS(1));
        end_torn_line(descriptor);
    }
    return descriptor;
}

/* -- Going on in another file; between two lines -- */

static bool note_move(file_sink *file, int error) {
    file->sink.move_error_number = error;
    file->next_try = 0;
    if (error) {
        ati_counter_add(&file->sink.move_errors, 1);
        file->next_try = ati_monotonic_ns() + AT_MILLISECONDS(try_again_after_ms);
    }
    return error == 0;
}

/* Puts an open file in the place of the old one. Gives 0 or the error: then the old one stays. */
static int replace_descriptor(file_sink *file, int descriptor) {
    int error = 0;
    if (descriptor < 0)
        return errno;
    if (descriptor != file->writer.descriptor) { /* else somebody had closed ours */
        error = dup3(descriptor, file->writer.descriptor, O_CLOEXEC) < 0 ? errno : 0;
        close(descriptor);
    }
    if (!error)
        file->writer.is_shared = false;
    return error;
}

/* In a forked child: the same file with a position of its own, so that what is torn can be taken
 * back. Where that may not be opened the parent's goes on. */
static void part_from_parent(file_sink *file) {
    (void)replace_descriptor(file, open_again(file->writer.descriptor, O_WRONLY | O_APPEND));
}

static bool reopen(file_sink *file) {
    bool done = note_move(file, replace_descriptor(file, open_file(file)));
    file->reopen_wanted = !done;
    return done;
}

static bool is_at_path(const file_sink *file, const struct stat *own) {
    struct stat found;
    return stat(file->path, &found) == 0 && found.st_dev == own->st_dev &&
           found.st_ino == own->st_ino;
}

/* The file becomes an old one, and an empty one is begun. */
static bool rotate(file_sink *file, const struct stat *own) {
    char path[PATH_MAX]; /* of the file itself where `path` is a symbolic link */
    if (!is_at_path(file, own))
        return reopen(file);
    if (!realpath(file->path, path) || !ati_old_files_push(path))
        return note_move(file, errno);
    int error = replace_descriptor(file, open_file(file));
    if (error) {
        ati_old_files_pull(path);
        return note_move(file, error);
    }
    file->reopen_wanted = false;
    ati_counter_add(&file->sink.rotations, 1);
    bool pruned = ati_old_files_prune(path, file->rotate_count);
    file->sink.remove_error_number = pruned ? 0 : errno;
    return note_move(file, 0);
}

/* Whether the interval of the file is over. A clock that was set back ends none. */
static bool is_period_over(file_sink *file, off_t size) {
    int64_t now = period_of(file, ati_stamp_now());
    if (size == 0 || now < file->period - 1)
        file->period = now;
    return now > file->period;
}

static bool is_due(file_sink *file, off_t size, size_t line_length) {
    if (is_period_over(file, size))
        return true;
    return file->rotate_bytes > 0 && size > 0 &&
           size + (off_t)line_length > (off_t)file->rotate_bytes;
}

/* How many of the bytes, whole lines, the file takes without growing too large; the first line in
 * any case. */
static size_t fitting(const file_sink *file, off_t size, const char *lines, size_t all,
                      size_t line_length) {
    if (file->rotate_bytes == 0)
        return all;
    int64_t room = file->rotate_bytes - (int64_t)size;
    if (room >= (int64_t)all)
        return all;
    if (room <= (int64_t)line_length)
        return line_length;
    const char *newline = memrchr(lines, '\n', (size_t)room);
    return (size_t)(newline + 1 - lines);
}

/* At the beginning of a line: opens another file if that is due; gives how many of the bytes are
 * for the one that is open then. One that cannot be replaced takes all. */
static size_t begin_lines(file_sink *file, const char *lines, size_t all, size_t line_length) {
    struct stat own;
    bool may_try = file->next_try == 0 || ati_monotonic_ns() >= file->next_try;
    if (file->reopen_wanted && may_try)
        may_try = reopen(file);
    if (fstat(file->writer.descriptor, &own) != 0 || !S_ISREG(own.st_mode))
        return all;
    if (file->writer.is_shared)
        part_from_parent(file);
    bool is_gone = own.st_nlink == 0;
    if (is_gone || is_due(file, own.st_size, line_length)) {
        bool done = may_try && (is_gone ? reopen(file) : rotate(file, &own));
        if (!done || fstat(file->writer.descriptor, &own) != 0)
            return all;
    }
    return fitting(file, own.st_size, lines, all, line_length);
}

static ssize_t put_file(ati_line_writer *writer, const char *bytes, size_t size, bool inside) {
    const char *newline = memchr(bytes, '\n', size);
    size_t line_length = newline ? (size_t)(newline + 1 - bytes) : size;
    size_t part = inside ? line_length : begin_lines(file_of(writer), bytes, size, line_length);
    return write(writer->descriptor, bytes, part);
}

/* -- The sink -- */

static void write_file(ati_log_sink *sink, const char *lines, size_t size) {
    ati_line_writer_write(&((file_sink *)sink)->writer, sink, lines, size);
}

static void settle_file(ati_log_sink *sink, bool now) {
    ati_line_writer_settle(&((file_sink *)sink)->writer, sink, now);
}

static void finish_file(ati_log_sink *sink) {
    ati_line_writer_finish(&((file_sink *)sink)->writer, sink);
}

/* Where a line is written in part, its end goes to the file where it began. */
static void reopen_file(ati_log_sink *sink) {
    file_sink *file = (file_sink *)sink;
    file->reopen_wanted = true;
    if (!file->writer.torn)
        reopen(file);
}

static void fork_file(ati_log_sink *sink, ati_fork_phase phase) {
    ati_line_writer_fork(&((file_sink *)sink)->writer, sink, phase);
}

static void crash_file(ati_log_sink *sink, const char *lines, size_t size, at_deadline deadline) {
    ati_line_writer_crash(&((file_sink *)sink)->writer, sink, lines, size, deadline);
}

static void destroy_file(ati_log_sink *sink) {
    file_sink *file = (file_sink *)sink;
    if (file->writer.descriptor >= 0)
        close(file->writer.descriptor);
    ati_line_writer_deinit(&file->writer);
    ati_release(file, sizeof *file + strlen(file->path) + 1);
}

static const ati_log_sink_kind file_kind = {
    .name = "file",
    .write = write_file,
    .settle = settle_file,
    .finish = finish_file,
    .reopen = reopen_file,
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

/* Writes the absolute path. The last part stays as it is, also a symbolic link: it may lead
 * elsewhere when the file is opened anew. */
static bool make_absolute(char absolute[PATH_MAX], const char *path) {
    char folder[PATH_MAX];
    if (*path == '/')
        *folder = '\0';
    else if (!getcwd(folder, sizeof folder))
        return false;
    int length = snprintf(absolute, PATH_MAX, "%s%s%s", folder, *folder ? "/" : "", path);
    errno = ENAMETOOLONG;
    return length < PATH_MAX;
}

static file_sink *allocate_file(const char *path) {
    size_t size = sizeof(file_sink) + strlen(path) + 1;
    file_sink *file = ati_allocate_zeroed(size);
    if (!file)
        return NULL;
    memcpy(file->path, path, strlen(path) + 1);
    file->sink.kind = &file_kind;
    if (!ati_line_writer_init(&file->writer, -1, put_file)) {
        destroy_file(&file->sink);
        return NULL;
    }
    file->writer.owns_file = true;
    return file;
}

static ati_log_sink *refuse_path(const char *path, int number) {
    ati_fail(status_of_errno(number), "at_logger_create: cannot open `path` %s: %s", path,
             strerrordesc_np(number));
    return NULL;
}

ati_log_sink *ati_log_sink_file_create(const ati_log_file_options *options) {
    char path[PATH_MAX];
    if (!make_absolute(path, options->path))
        return refuse_path(options->path, errno);
    file_sink *file = allocate_file(path);
    if (!file) {
        ati_fail(AT_ERROR_NO_MEMORY, "at_logger_create: no memory for a sink");
        return NULL;
    }
    file->rotate_bytes = options->rotate_bytes;
    file->rotate_interval = options->rotate_interval;
    file->rotate_count = options->rotate_count;
    file->writer.descriptor = open_file(file);
    if (file->writer.descriptor < 0) {
        int number = errno;
        destroy_file(&file->sink);
        return refuse_path(options->path, number);
    }
    return &file->sink;
}
