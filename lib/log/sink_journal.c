/* SPDX-License-Identifier: MIT */
/* Sends each line to the journal of systemd as an entry, in the journal's own protocol: a datagram
 * of fields, each `NAME=value` and a newline, or, for values of any bytes, `NAME`, a newline, the
 * length as 64 bits with the least byte first, the value and a newline.
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL)
 *
 * libsystemd would send the same, but it waits for ever for a journal that reads nothing, takes one
 * that is not there for one that has the line, and cannot be called in a crash. */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "log/keys.h"
#include "log/line_writer.h"
#include "log/sink.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct journal_sink {
    ati_log_sink sink;
    ati_line_writer writer;
    bool is_connected;
    at_duration patience; /* how long it may wait for room, at the time below */
    int64_t patience_at;  /* CLOCK_MONOTONIC */
    char identifier[];
} journal_sink;

enum {
    patience_ms = 20,   /* at most, for a journal that reads, but slower than lines come */
    patience_share = 4, /* of the time before: the other sinks have the rest */
    value_max = 512,    /* more than names have */
    head_size = 4096,   /* more than all fields can have */
    socket_room = 64 * 1024,
};

static const struct sockaddr_un address = {.sun_family = AF_UNIX,
                                           .sun_path = "/run/systemd/journal/socket"};

static journal_sink *journal_of(ati_line_writer *writer) {
    return (journal_sink *)((char *)writer - offsetof(journal_sink, writer));
}

/* -- An entry -- */

static char *put(char *to, const char *bytes, size_t length) {
    memcpy(to, bytes, length);
    return to + length;
}

static char *put_field(char *to, const char *name, const char *value, size_t length) {
    uint64_t size = htole64(length);
    to = put(to, name, strlen(name));
    *to++ = '\n';
    to = put(to, (const char *)&size, sizeof size);
    to = put(to, value, length);
    *to++ = '\n';
    return to;
}

static unsigned read_digit(char digit) {
    return (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

/* What stands behind a backslash in a line: a letter, or the 4 digits of a character below U+0100.
 * Gives where it ends. */
static const char *decode_escape(const char *at, char **to) {
    static const char letters[] = "bfnrt";
    static const char meanings[] = "\b\f\n\r\t";
    if (*at != 'u') {
        const char *letter = strchr(letters, *at);
        *(*to)++ = letter ? meanings[letter - letters] : *at;
        return at + 1;
    }
    unsigned code = read_digit(at[3]) << 4 | read_digit(at[4]);
    if (code >= 0x80)
        *(*to)++ = (char)(0xc0 | code >> 6);
    *(*to)++ = (char)(code >= 0x80 ? 0x80 | (code & 0x3f) : code);
    return at + 5;
}

/* The text between the quotes from `from` to `end`, at most value_max bytes of it. */
static size_t decode(char *value, const char *from, const char *end) {
    char *to = value;
    while (from < end && to < value + value_max - 1) {
        if (*from == '\\')
            from = decode_escape(from + 1, &to);
        else
            *to++ = *from++;
    }
    return (size_t)(to - value);
}

static char priority_of(const char *level) {
    switch (*level) {
    case 'i':
        return '6';
    case 'w':
        return '4';
    case 'e':
        return '3';
    case 'f':
        return '2';
    default:
        return '7';
    }
}

/* A member of a line as a field of its own; those that the journal has no use for are left out. */
static char *put_member(char *to, const ati_encoded_member *member) {
    static const struct {
        const char *key;
        const char *field;
    } fields[] = {
        {"event", "AT_EVENT"},         {"logger", "AT_LOGGER"},
        {"operation", "AT_OPERATION"}, {"operation_id", "AT_OPERATION_ID"},
        {"trace_id", "AT_TRACE_ID"},
    };
    const char *from = member->key + member->key_length + sizeof "\":\"" - 1;
    const char *end = member->start + member->length - 1;
    char value[value_max];
    if (member->key_length == 5 && memcmp(member->key, "level", 5) == 0) {
        *value = priority_of(from);
        return put_field(to, "PRIORITY", value, 1);
    }
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strlen(fields[i].key) == member->key_length &&
            memcmp(member->key, fields[i].key, member->key_length) == 0)
            return put_field(to, fields[i].field, value, decode(value, from, end));
    return to;
}

/* What comes before the line: fields of its first members, and the name of its own; gives the size.
 */
static size_t make_head(char head[head_size], const char *identifier, const char *line,
                        size_t length) {
    enum { leading_members = 7 };
    char *to = put_field(head, "SYSLOG_IDENTIFIER", identifier, strlen(identifier));
    const char *from = line;
    const char *end = line + length - 1; /* the brace */
    ati_encoded_member member;
    for (int i = 0; i < leading_members && ati_keys_next_member(&from, end, &member); i++)
        to = put_member(to, &member);
    static const char message[] = "MESSAGE=";
    return (size_t)(put(to, message, sizeof message - 1) - head);
}

/* -- Sending -- */

/* False: not until `deadline`. */
static bool wait_for_room(const journal_sink *journal, at_deadline deadline) {
    int64_t left = deadline - ati_monotonic_ns();
    struct pollfd writable = {.fd = journal->writer.descriptor, .events = POLLOUT};
    return poll(&writable, 1, left > 0 ? (int)(left / AT_MILLISECONDS(1)) + 1 : 0) > 0;
}

/* Sends to whatever listens at the address now: a journal that was started anew is another one. */
static bool send_entry(journal_sink *journal, const struct msghdr *entry) {
    int descriptor = journal->writer.descriptor;
    for (bool was_connected = journal->is_connected;; was_connected = false) {
        if (!journal->is_connected &&
            connect(descriptor, (const struct sockaddr *)&address, sizeof address) != 0)
            return false;
        journal->is_connected = true;
        if (sendmsg(descriptor, entry, MSG_NOSIGNAL) >= 0)
            return true;
        if (errno == EAGAIN || errno == EINTR)
            return false;
        journal->is_connected = false;
        if (!was_connected)
            return false;
    }
}

static bool send_line(journal_sink *journal, const char *line, size_t length) {
    char head[head_size];
    size_t head_length = make_head(head, journal->identifier, line, length - 1);
    struct iovec parts[] = {
        {head, head_length},
        {(void *)line, length},
    };
    const struct msghdr entry = {.msg_iov = parts, .msg_iovlen = sizeof parts / sizeof *parts};
    return send_entry(journal, &entry);
}

/* Few lines fit into the socket, so room is waited for; but the other sinks wait meanwhile. */
static bool wait_with_patience(journal_sink *journal) {
    int64_t now = ati_monotonic_ns();
    journal->patience += (now - journal->patience_at) / patience_share;
    journal->patience_at = now;
    if (journal->patience > AT_MILLISECONDS(patience_ms))
        journal->patience = AT_MILLISECONDS(patience_ms);
    if (journal->patience < AT_MILLISECONDS(1))
        return false;
    bool has_room = wait_for_room(journal, now + journal->patience);
    journal->patience_at = ati_monotonic_ns();
    journal->patience -= journal->patience_at - now;
    return has_room;
}

/* Sends one line. */
static ssize_t put_line(ati_line_writer *writer, const char *bytes, size_t size, bool inside) {
    journal_sink *journal = journal_of(writer);
    (void)inside; /* never: a line is sent whole */
    const char *newline = memchr(bytes, '\n', size);
    size_t length = (size_t)(newline + 1 - bytes);
    while (!send_line(journal, bytes, length))
        if (errno != EAGAIN || !wait_with_patience(journal))
            return -1;
    return (ssize_t)length;
}

/* -- The sink -- */

static void write_journal(ati_log_sink *sink, const char *lines, size_t size) {
    ati_line_writer_write(&((journal_sink *)sink)->writer, sink, lines, size);
}

static void settle_journal(ati_log_sink *sink, bool now) {
    ati_line_writer_settle(&((journal_sink *)sink)->writer, sink, now);
}

static void finish_journal(ati_log_sink *sink) {
    ati_line_writer_finish(&((journal_sink *)sink)->writer, sink);
}

static void fork_journal(ati_log_sink *sink, ati_fork_phase phase) {
    ati_line_writer_fork(&((journal_sink *)sink)->writer, sink, phase);
}

static void crash_journal(ati_log_sink *sink, const char *lines, size_t size,
                          at_deadline deadline) {
    journal_sink *journal = (journal_sink *)sink;
    if (!lines) {
        lines = journal->writer.kept;
        size = sink->kept < journal->writer.room ? sink->kept : journal->writer.room;
    }
    const char *end = lines + size;
    const char *newline;
    while (lines < end && (newline = memchr(lines, '\n', (size_t)(end - lines)))) {
        if (send_line(journal, lines, (size_t)(newline + 1 - lines)))
            lines = newline + 1;
        else if (errno != EINTR && (errno != EAGAIN || !wait_for_room(journal, deadline)))
            return;
    }
}

static void destroy_journal(ati_log_sink *sink) {
    journal_sink *journal = (journal_sink *)sink;
    if (journal->writer.descriptor >= 0)
        close(journal->writer.descriptor);
    ati_line_writer_deinit(&journal->writer);
    ati_release(journal, sizeof *journal + strlen(journal->identifier) + 1);
}

static const ati_log_sink_kind journal_kind = {
    .name = "journal",
    .write = write_journal,
    .settle = settle_journal,
    .finish = finish_journal,
    .fork = fork_journal,
    .destroy = destroy_journal,
    .crash = crash_journal,
};

static journal_sink *allocate_journal(const char *identifier, size_t length) {
    size_t size = sizeof(journal_sink) + length + 1;
    journal_sink *journal = ati_allocate_zeroed(size);
    if (!journal)
        return NULL;
    journal->sink.kind = &journal_kind;
    memcpy(journal->identifier, identifier, length);
    if (ati_line_writer_init(&journal->writer, -1, put_line))
        return journal;
    ati_release(journal, size);
    return NULL;
}

ati_log_sink *ati_log_sink_journal_create(const char *name) {
    if (!name || !*name)
        name = program_invocation_short_name;
    journal_sink *journal = allocate_journal(name, strnlen(name, value_max));
    if (!journal) {
        ati_fail(AT_ERROR_NO_MEMORY, "at_logger_create: no memory for a sink");
        return NULL;
    }
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) {
        ati_fail(AT_ERROR_SYSTEM, "at_logger_create: no socket for `use_journal`: %s",
                 strerrordesc_np(errno));
        destroy_journal(&journal->sink);
        return NULL;
    }
    int room = socket_room; /* for the longest line, whatever the system's default is */
    socklen_t size = sizeof room;
    if (getsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &room, &size) != 0 || room < socket_room) {
        room = socket_room;
        (void)setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    }
    journal->writer.descriptor = descriptor;
    return &journal->sink;
}
