/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_H
#define ASYNCTOOLS_LOG_H

#include <asynctools/attributes.h>
#include <asynctools/clock.h>
#include <asynctools/field.h>
#include <asynctools/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* A logger that writes one JSON object a line. The calling thread encodes the line into a ring of
 * its own and goes on; one thread of the logger takes the lines out, in the order of their times,
 * and gives them to the sinks. Keys, in this order:
 *
 *     ts level event logger operation operation_id trace_id, fields, error.*, thread source _cut
 *
 * A line is valid UTF-8 JSON of at most 8 KiB, whatever it is given: bad UTF-8 becomes U+FFFD, NaN
 * and infinities become strings, long values are cut and their keys listed in `_cut`, keys that are
 * reserved or there already get a suffix (_2, _3, ...).
 *
 * After process_fork the child writes its lines itself, each with one write(2). After exit() has
 * drained the loggers, so does the rest of the process. */
typedef struct at_logger at_logger;

typedef enum at_log_level {
    AT_LOG_DEFAULT = 0, /* in options: info */
    AT_LOG_TRACE,
    AT_LOG_DEBUG,
    AT_LOG_INFO,
    AT_LOG_WARN,
    AT_LOG_ERROR,
    AT_LOG_FATAL, /* the call returns when the line is written; nothing else ends by it */
    AT_LOG_OFF,   /* as a logger's level: nothing is written */
} at_log_level;

/* Where a logger writes to, and how much room it takes. */
typedef struct at_logger_options {
    const char *name;     /* copied, the value of `logger`, 128 bytes at most; default: the key is
                             left out */
    at_log_level level;   /* the lowest level that is written; default: AT_LOG_INFO */
    const char *path;     /* copied: lines are appended to this file; default: no file */
    int64_t rotate_bytes; /* a file would have more: it becomes path.1, what was path.1 becomes
                             path.2, and so on; at least 8 KiB; default: not by size */
    at_duration rotate_interval; /* the same at the first line after each full interval since
                                    1970 in UTC, AT_HOURS(24) for each day; at least a second;
                                    default: not by time */
    int64_t rotate_count; /* old files that are kept, at most 99,999; AT_UNLIMITED: all; AT_NONE:
                             none; each rotation renames them all, 10 us for each; default: 5 */
    int descriptor;   /* borrowed until the logger is destroyed: lines are written to it; a pipe or
                         socket that does not block loses lines when it is full for long, one that
                         blocks holds up the logger's other sinks; default: none, also for 0 */
    bool use_stderr;  /* lines go to stderr: readable on a terminal, else JSON; default: only
                         if there is no other sink */
    bool use_journal; /* each line is an entry in the journal of systemd; one that is not there
                         fails like a full disk; default: no */
    bool no_stderr;   /* stderr is no sink, also if there is no other, as for a logger that is for
                         functions only (at_logger_add_callback): without one its lines are
                         nowhere; only the trouble of its last sink still goes to stderr;
                         default: no */
    int64_t memory_bytes;      /* so many bytes of the last lines are kept in memory, at most 1 GiB;
                                  default: none */
    int64_t ring_bytes;        /* of each thread's ring, a power of two, 32 KiB to 16 MiB; default:
                                  256 KiB */
    int64_t max_ring_bytes;    /* of all rings, at most 1 GiB; further threads share one ring;
                                  AT_NONE: all do; default: 64 MiB */
    const char *levels;        /* copied: see at_logger_set_levels; default: none */
    const char *redacted_keys; /* copied: "password,token"; the values of fields with these keys are
                                  written as "[REDACTED]". A key counts whole, or what stands behind
                                  its last dot, also within trees, whatever the case of ASCII
                                  letters, and without a suffix _2, _3, ...; in fields of loggers
                                  and operations also what stands before its last dot; default:
                                  none */
    int64_t sample_first; /* of each event and level up to info, so many lines of an interval are
                             written, at most a million; default: all */
    int64_t sample_every; /* then each so many-th, at most a million; default: none */
    at_duration sample_interval; /* 10 ms to an hour; default: 1 second */
    uint64_t reserved[4];
} at_logger_options;

/** Creates a logger: opens its file and starts its thread.
 *  Threads:   any.      Blocks: never for long (it opens a file and starts a thread).
 *  Ownership: returns owned; at_logger_destroy ends it. Copies `options`.
 *  Errors:    AT_ERROR_INVALID (names the member), AT_ERROR_NO_MEMORY, AT_ERROR_NOT_FOUND,
 *             AT_ERROR_PERMISSION or AT_ERROR_IO for the file, AT_ERROR_SYSTEM when the thread
 *             cannot be started: nothing is left behind and `*logger` is untouched. */
AT_API AT_NODISCARD at_status at_logger_create(at_logger **logger,
                                               const at_logger_options *options);

/* A logger of a part of the program, which writes where its parent does. */
typedef struct at_logger_child_options {
    const char *name;   /* copied, joined to the parent's name by a dot, 128 bytes at most together;
                           default: the parent's name */
    at_log_level level; /* the lowest level that is written, unless one by name is set; default:
                           that of the parent, also when it changes */
    const at_field *fields; /* `field_count` of them, copied, which all its lines and those of its
                               children have; together at most 2 KiB, then cut; default: none */
    int64_t field_count;
    uint64_t reserved[4];
} at_logger_child_options;

/** Creates a logger that shares the sinks, the rings and the thread of `parent`. What is said of
 *  lines (statistics, flush, memory) is said of those of all loggers that share them.
 *  Threads:   any.      Blocks: never.
 *  Ownership: `*child` belongs to `parent` and is destroyed with it, or before by
 *             at_logger_destroy. Copies `options`.
 *  Errors:    AT_ERROR_INVALID (names the member), AT_ERROR_NO_MEMORY. */
AT_API AT_NODISCARD at_status at_logger_create_child(at_logger **child, at_logger *parent,
                                                     const at_logger_child_options *options);

/** Frees the logger and all its children; that of at_logger_create first writes what was logged and
 *  ends its thread. If one of them is the default logger, there is none afterwards. Lines that a
 *  sink does not take are given up and counted, and stderr gets one line that says so.
 *  Threads:   any, when nobody else uses the logger or a child of it. Operations that log to it,
 *             also because it is the default logger, have ended. Pools may go on: lines that the
 *             library is writing about them are waited for.
 *  Blocks:    until the lines are written; that of a child: never for long.
 *  Ownership: takes `logger`; NULL is allowed. */
AT_API void at_logger_destroy(at_logger *logger);

/** Waits until every line whose call happened before this one has been written to all sinks.
 *  Threads:   any.
 *  Blocks:    until the lines are written, or `deadline`.
 *  Errors:    AT_ERROR_TIMED_OUT; AT_ERROR_DEADLOCK inside the function of a callback sink, and
 *             in a task of its pool for which there is no spare thread; AT_ERROR_IO when a sink
 *             refuses lines: they are kept as far as there is room, and tried again. */
AT_API AT_NODISCARD at_status at_logger_flush(at_logger *logger, at_deadline deadline);

/** Has the logger's thread open its file anew, for what has moved the file away, such as logrotate.
 *  A flush afterwards waits for that too. If the file cannot be opened, the old one goes on,
 *  `log.rotate_failed` says so, and it is tried again once a second as long as lines come.
 *  Threads:   any, also a signal handler.      Blocks: never.
 *  Ordering:  lines logged before may be in the old file or the new one; each is in one, whole. */
AT_API void at_logger_reopen(at_logger *logger);

/** Sets the lowest level that is written, from now on and in all threads. AT_LOG_DEFAULT: that of
 *  the parent, whatever was set by name before; without a parent, info.
 *  Threads:   any.      Blocks: never.
 *  Errors:    AT_ERROR_INVALID. */
AT_API AT_NODISCARD at_status at_logger_set_level(at_logger *logger, at_log_level level);

/** Sets levels by the names of loggers, for all that share the sinks of `logger`, also for those
 *  that are yet to be created: "info,http=debug,http.client=off". A level alone counts for every
 *  logger, name=level for the logger of this name and those below it; of several the one with the
 *  longest name decides, of equals the last. Where none applies, the logger's own level does. What
 *  an earlier call set counts no more; a later at_logger_set_level counts as if it were part of the
 *  text.
 *  Threads:   any.      Blocks: never.
 *  Ownership: copies `levels`; NULL and "" take back what was set.
 *  Errors:    AT_ERROR_INVALID (names the part), AT_ERROR_NO_MEMORY: nothing has changed. */
AT_API AT_NODISCARD at_status at_logger_set_levels(at_logger *logger, const char *levels);

/** Gives the lowest level that is written.
 *  Threads:   any.      Blocks: never. */
AT_API at_log_level at_logger_level(const at_logger *logger);

/** Names a level as lines do: "info"; "unknown" for what is not a level.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, valid for ever. */
AT_API const char *at_log_level_name(at_log_level level);

/** Gives the process's default logger, which the library itself logs to; NULL if there is none.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, until that logger is destroyed. */
AT_API at_logger *at_logger_default(void);

/** Makes `logger` the default logger; NULL: there is none.
 *  Threads:   any.      Blocks: never.
 *  Ownership: borrows `logger` until another one is set or it is destroyed. */
AT_API void at_logger_set_default(at_logger *logger);

/* What became of all lines. Each line that was logged is in `written`, in `dropped` or in
 * `sampled`, one that an operation keeps from when that writes it on; what the logger says about
 * itself (log.dropped, log.write_failed) is in none. */
typedef struct at_logger_statistics {
    uint64_t written;             /* lines given to the sinks */
    uint64_t bytes;               /* of those lines */
    uint64_t dropped[AT_LOG_OFF]; /* by level: lines for which there was no room */
    uint64_t lost;                /* of the written: lines that a sink gave up, counted by sink */
    uint64_t write_errors;        /* failed attempts of the sinks */
    uint64_t rotations;           /* of files */
    uint64_t rotate_errors;       /* failed attempts to rotate or to open anew */
    uint64_t ring_count;          /* rings now */
    uint64_t sampled;             /* lines that sampling left out */
    uint64_t reserved[4];
} at_logger_statistics;

/** Counts what became of the lines. Exact when no line is being logged.
 *  Threads:   any.      Blocks: never.
 *  Ownership: fills `statistics`. */
AT_API void at_logger_get_statistics(at_logger *logger, at_logger_statistics *statistics);

/** Copies the lines that the memory sink holds, oldest first; at_logger_flush first makes sure that
 *  it has them.
 *  Threads:   any.      Blocks: never.
 *  Ownership: `*lines` is returned owned, a NUL-terminated text; at_logger_memory_release ends it.
 *  Errors:    AT_ERROR_NOT_FOUND without a memory sink; AT_ERROR_NO_MEMORY. */
AT_API AT_NODISCARD at_status at_logger_memory_lines(at_logger *logger, char **lines);

/** Frees what at_logger_memory_lines gave.
 *  Threads:   any.      Blocks: never.
 *  Ownership: takes `lines`; NULL is allowed. */
AT_API void at_logger_memory_release(char *lines);

/** Empties the memory sink, if there is one.
 *  Threads:   any.      Blocks: never. */
AT_API void at_logger_memory_clear(at_logger *logger);

/* One line, for callers that the macros below do not serve. */
typedef struct at_log_line {
    at_log_level level;     /* trace to fatal; anything else counts as error */
    const char *event;      /* what happened: a name, not a sentence */
    const char *site;       /* AT_SITE(""), or NULL: without `source` */
    const at_field *fields; /* `field_count` of them */
    size_t field_count;
    uint32_t event_length; /* the macros know it of a literal; 0: up to its NUL */
    uint32_t site_length;  /* the macros know it of what has no folders; 0: up to its NUL */
} at_log_line;

/** Writes a line if its level is one that the logger writes or the current operation asks for;
 *  at_log_enabled, before it, spares what the line is made of. Without a logger the line goes to
 *  stderr at once, whatever its level. A signal handler may call it only when it cannot have
 *  interrupted the library; a call that interrupts a log call is dropped and counted.
 *  Threads:   any.
 *  Blocks:    never for long: into a full ring, lines up to info are dropped and counted, warn and
 *             error wait 10 ms at most before they are; fatal waits until it is written, 5 seconds
 *             at most, and goes to stderr then.
 *  Ownership: borrows everything for the call.
 *  Ordering:  the lines of one thread stay in order. */
AT_API void at_log_write(at_logger *logger, const at_log_line *line);

AT_DECLARATIONS_END

#include <asynctools/inline/log_level.h>

/* Write a line of fields: at_log_info(logger, "batch.completed", at_kv("rows", rows), ...). Nothing
 * but `logger` is evaluated unless the level is on. `logger` may be NULL: warn and above then go to
 * stderr at once. See at_log_write. */
#define at_log_trace(logger, ...) AT_LOG_LINE_(logger, AT_LOG_TRACE, __VA_ARGS__)
#define at_log_debug(logger, ...) AT_LOG_LINE_(logger, AT_LOG_DEBUG, __VA_ARGS__)
#define at_log_info(logger, ...) AT_LOG_LINE_(logger, AT_LOG_INFO, __VA_ARGS__)
#define at_log_warn(logger, ...) AT_LOG_LINE_(logger, AT_LOG_WARN, __VA_ARGS__)
#define at_log_error(logger, ...) AT_LOG_LINE_(logger, AT_LOG_ERROR, __VA_ARGS__)
#define at_log_fatal(logger, ...) AT_LOG_LINE_(logger, AT_LOG_FATAL, __VA_ARGS__)

#if defined(__cplusplus)

template <typename... fields_>
inline void at_log_write_fields_(at_logger *logger, at_log_level level, const char *site,
                                 const char *event, const fields_ &...fields) {
    const at_field list[] = {at_field(), fields...};
    const at_log_line line = {level, event, site, list + 1, sizeof...(fields), 0, AT_SITE_LENGTH_};
    at_log_write(logger, &line);
}

#define AT_LOG_LINE_(logger_, level_, ...)                                                         \
    do {                                                                                           \
        at_logger *at_log_logger_ = (logger_);                                                     \
        if (at_log_enabled(at_log_logger_, level_))                                                \
            at_log_write_fields_(at_log_logger_, level_, AT_SITE(""), __VA_ARGS__);                \
    } while (0)

#else

/* __VA_ARGS__ is the event and its fields. The array begins with an unused field, because C has no
 * empty ones, and the commas behind it are those of an initialiser. */
#define AT_LOG_EVENT_(event_, ...) (event_)
#define AT_LOG_FIELDS_(event_, ...) __VA_ARGS__
#define AT_LOG_LINE_(logger_, level_, ...)                                                         \
    do {                                                                                           \
        at_logger *at_log_logger_ = (logger_);                                                     \
        if (at_log_enabled(at_log_logger_, level_)) {                                              \
            const at_field at_log_fields_[] = {AT_FIELD_UNUSED_, AT_LOG_FIELDS_(__VA_ARGS__, )};   \
            const at_log_line at_log_line_ = {                                                     \
                .level = level_,                                                                   \
                .event_length = AT_FIELD_LENGTH_OF_(AT_LOG_EVENT_(__VA_ARGS__, )),                 \
                .site_length = AT_SITE_LENGTH_,                                                    \
                .event = AT_LOG_EVENT_(__VA_ARGS__, ),                                             \
                .site = AT_SITE(""),                                                               \
                .fields = at_log_fields_ + 1,                                                      \
                .field_count = sizeof at_log_fields_ / sizeof at_log_fields_[0] - 1,               \
            };                                                                                     \
            at_log_write(at_log_logger_, &at_log_line_);                                           \
        }                                                                                          \
    } while (0)

#endif

#endif
