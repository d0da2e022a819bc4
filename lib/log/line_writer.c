/* SPDX-License-Identifier: MIT */
#include "log/line_writer.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    kept_room = 256 * 1024,
    retry_after_ms = 100, /* between attempts while a descriptor fails */
    finish_ms = 2000,     /* at the end, for a descriptor that would block */
};

static ssize_t put_plainly(ati_line_writer *writer, const char *bytes, size_t size, bool inside) {
    (void)inside;
    return write(writer->descriptor, bytes, size);
}

bool ati_line_writer_init(ati_line_writer *writer, int descriptor, ati_line_put_fn put) {
    memset(writer, 0, sizeof *writer);
    writer->descriptor = descriptor;
    writer->put = put ? put : put_plainly;
    writer->room = kept_room;
    writer->kept = ati_allocate(kept_room);
    return writer->kept != NULL;
}

void ati_line_writer_deinit(ati_line_writer *writer) {
    ati_release(writer->kept, writer->room);
}

size_t ati_log_count_lines(const char *lines, size_t size) {
    size_t count = 0;
    const char *end = lines + size;
    while (lines < end && (lines = memchr(lines, '\n', (size_t)(end - lines)))) {
        lines++;
        count++;
    }
    return count;
}

/* Writes what it can; gives the number of bytes. Errors are noted in the sink; a descriptor that
 * would block is not an error. */
static size_t write_some(ati_line_writer *writer, ati_log_sink *sink, const char *bytes,
                         size_t size) {
    size_t done = 0;
    bool inside = writer->torn;
    while (done < size) {
        ssize_t result = writer->put(writer, bytes + done, size - done, inside);
        if (result > 0) {
            done += (size_t)result;
            inside = bytes[done - 1] != '\n';
            sink->error_number = 0;
        } else if (errno == EAGAIN) {
            sink->error_number = 0;
            break;
        } else if (result == 0 || errno != EINTR) {
            sink->error_number = result == 0 ? EIO : errno;
            ati_counter_add(&sink->errors, 1);
            writer->next_try = ati_monotonic_ns() + AT_MILLISECONDS(retry_after_ms);
            break;
        }
    }
    return done;
}

bool ati_line_writer_take_back(const ati_line_writer *writer, size_t torn_size) {
    struct stat status;
    if (writer->is_shared)
        return false;
    off_t position = lseek(writer->descriptor, 0, SEEK_CUR);
    if (position < (off_t)torn_size || fstat(writer->descriptor, &status) != 0 ||
        !S_ISREG(status.st_mode) || status.st_size != position)
        return false;
    off_t wanted = position - (off_t)torn_size;
    return ftruncate(writer->descriptor, wanted) == 0 &&
           lseek(writer->descriptor, wanted, SEEK_SET) == wanted;
}

/* Of `size` bytes, `done` are written. Gives how many need not be written again: all of them, or
 * those up to the last whole line. */
static size_t settled_size(ati_line_writer *writer, ati_log_sink *sink, const char *bytes,
                           size_t done) {
    if (done == 0)
        return 0;
    const char *newline = memrchr(bytes, '\n', done);
    size_t whole = newline ? (size_t)(newline + 1 - bytes) : 0;
    if (whole == done) {
        writer->torn = false;
        return done;
    }
    if (newline || !writer->torn) {
        writer->torn = true;
        if (sink->error_number && ati_line_writer_take_back(writer, done - whole)) {
            writer->torn = false;
            return whole;
        }
    }
    return done;
}

/* Keeps lines for later, as many as there is room for. */
static void keep(ati_line_writer *writer, ati_log_sink *sink, const char *lines, size_t size) {
    size_t room = writer->room - sink->kept;
    size_t fits = size;
    if (size > room) {
        const char *newline = memrchr(lines, '\n', room);
        fits = newline ? (size_t)(newline + 1 - lines) : 0;
        ati_counter_add(&sink->lost, ati_log_count_lines(lines + fits, size - fits));
    }
    memcpy(writer->kept + sink->kept, lines, fits);
    sink->kept += fits;
}

void ati_line_writer_settle(ati_line_writer *writer, ati_log_sink *sink, bool now) {
    if (sink->kept == 0 || (!now && sink->error_number && ati_monotonic_ns() < writer->next_try))
        return;
    size_t done = write_some(writer, sink, writer->kept, sink->kept);
    if (done < sink->kept)
        done = settled_size(writer, sink, writer->kept, done);
    else
        writer->torn = false;
    sink->kept -= done;
    sink->settled += done;
    memmove(writer->kept, writer->kept + done, sink->kept);
}

void ati_line_writer_write(ati_line_writer *writer, ati_log_sink *sink, const char *lines,
                           size_t size) {
    ati_line_writer_settle(writer, sink, false);
    size_t done = 0;
    if (sink->kept == 0) {
        done = write_some(writer, sink, lines, size);
        if (done < size)
            done = settled_size(writer, sink, lines, done);
        sink->settled += done;
    }
    if (done < size)
        keep(writer, sink, lines + done, size - done);
}

void ati_line_writer_fork(ati_line_writer *writer, ati_log_sink *sink, ati_fork_phase phase) {
    if (phase != ATI_FORK_CHILD)
        return;
    sink->kept = 0;
    sink->error_number = 0;
    writer->torn = false;
    writer->is_shared = true;
}

void ati_line_writer_finish(ati_line_writer *writer, ati_log_sink *sink) {
    at_deadline deadline = ati_monotonic_ns() + AT_MILLISECONDS(finish_ms);
    ati_line_writer_settle(writer, sink, true);
    while (sink->kept > 0 && sink->error_number == 0 && ati_monotonic_ns() < deadline) {
        struct pollfd writable = {.fd = writer->descriptor, .events = POLLOUT};
        poll(&writable, 1, 10);
        ati_line_writer_settle(writer, sink, true);
    }
    ati_counter_add(&sink->lost, ati_log_count_lines(writer->kept, sink->kept));
    sink->kept = 0;
}
