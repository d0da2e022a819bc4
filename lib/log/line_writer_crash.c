/* SPDX-License-Identifier: MIT */
#include "log/line_writer.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How lines reach a descriptor when the process ends by a signal. The writer's own notes cannot be
 * trusted: the signal may have come between a write and its note. So the end of a file is looked
 * at, and what may have been written already is written once more. */

enum {
    piece_max = 4096, /* PIPE_BUF: a pipe that poll calls writable takes so much at once */
    end_max = 8192,   /* no line is longer */
    end_looks = 10,   /* at the end of a file that seems to be torn, until it stays as it is */
    end_pause_ms = 20,
};

/* Whether the descriptor takes bytes before `deadline`. */
static bool is_writable(int descriptor, at_deadline deadline) {
    for (;;) {
        int64_t left = deadline - ati_monotonic_ns();
        struct pollfd pollfd = {.fd = descriptor, .events = POLLOUT};
        int result = poll(&pollfd, 1, left > 0 ? (int)(left / AT_MILLISECONDS(1)) + 1 : 0);
        if (result >= 0 || errno != EINTR)
            return result > 0;
        if (left <= 0)
            return false;
    }
}

/* As many whole lines as a pipe takes at once, or a part of one that is longer. */
static size_t next_piece(const char *bytes, size_t size) {
    if (size <= piece_max)
        return size;
    const char *newline = memrchr(bytes, '\n', piece_max);
    return newline ? (size_t)(newline + 1 - bytes) : piece_max;
}

static void write_all(int descriptor, const char *bytes, size_t size, at_deadline deadline) {
    while (size > 0 && is_writable(descriptor, deadline)) {
        ssize_t result = write(descriptor, bytes, next_piece(bytes, size));
        if (result > 0) {
            bytes += result;
            size -= (size_t)result;
        } else if (result == 0 || (errno != EINTR && errno != EAGAIN)) {
            return;
        }
    }
}

/* "/proc/self/fd/17" */
static void name_descriptor(char name[32], int descriptor) {
    static const char folder[] = "/proc/self/fd/";
    char digits[12];
    size_t first = sizeof digits - 1;
    digits[first] = '\0';
    do
        digits[--first] = (char)('0' + descriptor % 10);
    while ((descriptor /= 10) > 0);
    memcpy(name, folder, sizeof folder - 1);
    memcpy(name + sizeof folder - 1, digits + first, sizeof digits - first);
}

/* How much of the last line, without its newline, stands at the end of a file of this size. */
static size_t torn_length(int descriptor, off_t file_size) {
    static char end[end_max]; /* the stack may be small, and no two calls overlap */
    char name[32];
    name_descriptor(name, descriptor);
    size_t wanted = file_size < end_max ? (size_t)file_size : end_max;
    int reader = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t count = reader < 0 ? -1 : pread(reader, end, wanted, file_size - (off_t)wanted);
    if (reader >= 0)
        close(reader);
    if (count <= 0)
        return 0;
    const char *newline = memrchr(end, '\n', (size_t)count);
    return newline ? (size_t)(end + count - newline - 1) : (size_t)count;
}

/* Takes back a line of which only a part was written, if it is ours for sure: it is written once
 * more. What stands in a file that the program may write to itself, or behind lines of others, is
 * ended. */
static void mend_end(const ati_line_writer *writer, at_deadline deadline) {
    struct stat status;
    size_t torn = 0;
    off_t size_before = -1;
    for (int look = 0; look < end_looks; look++) {
        if (fstat(writer->descriptor, &status) != 0 || !S_ISREG(status.st_mode))
            return;
        torn = status.st_size > 0 ? torn_length(writer->descriptor, status.st_size) : 0;
        if (torn == 0 || status.st_size == size_before)
            break;
        size_before = status.st_size;
        (void)futimens(writer->descriptor, NULL); /* waits for a write that is under way */
        (void)poll(NULL, 0, end_pause_ms);        /* the backend may write the rest */
    }
    if (torn > 0 && !(writer->owns_file && ati_line_writer_take_back(writer, torn)))
        write_all(writer->descriptor, "\n", 1, deadline);
}

void ati_line_writer_crash(ati_line_writer *writer, const ati_log_sink *sink, const char *lines,
                           size_t size, at_deadline deadline) {
    if (!lines) {
        if (!writer->torn && !writer->is_shared) /* else the rest of the line was kept */
            mend_end(writer, deadline);
        lines = writer->kept;
        size = sink->kept < writer->room ? sink->kept : writer->room;
    }
    write_all(writer->descriptor, lines, size, deadline);
}
