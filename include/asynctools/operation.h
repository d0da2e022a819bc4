/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_OPERATION_H
#define ASYNCTOOLS_OPERATION_H

#include <asynctools/attributes.h>
#include <asynctools/cancel.h>
#include <asynctools/clock.h>
#include <asynctools/error.h>
#include <asynctools/field.h>
#include <asynctools/log.h>
#include <asynctools/operation_outcome.h>
#include <asynctools/status.h>
#include <asynctools/task.h>
#include <asynctools/traceparent.h>
#include <asynctools/tracker.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* What is being done, and for whom: a request, a job, a step of one. An operation has a name, ids
 * of the W3C trace context, perhaps a deadline, and fields. It goes with the work: what is started
 * in it (tasks, continuations, timers) runs under it, is cancelled with it, and its log lines have
 * its name, ids and fields by themselves. It logs its beginning and its end:
 *
 *     NAME.started     level debug
 *     NAME.completed   info; warn if it was slow or is degraded
 *     NAME.failed      error; warn if it was rejected, info if it was cancelled
 *
 * with `duration_ms`, `outcome`, the metadata that was added, and the error.
 *
 * Beginning one cannot fail: without memory it is NULL, which every call here takes and does
 * nothing with; the block runs as it would. */
typedef struct at_operation at_operation;

/* All zero: a part of the operation around it, if there is one, without a deadline of its own. */
typedef struct at_operation_options {
    at_logger *logger;        /* of its own lines, borrowed until it and those that were begun in it
                                 have ended; default: the one of the operation around it, else the
                                 default logger */
    at_duration timeout;      /* from now on the current clock; default 0: none */
    at_deadline deadline;     /* default 0: none; the earliest of this, `timeout` and those around
                                 counts */
    at_duration slow;         /* it lasted too long: its end is a warning and has "slow":true;
                                 default 0: never */
    at_log_level start_level; /* of NAME.started; AT_LOG_OFF: no such line; default: debug */
    at_log_level end_level;   /* of NAME.completed; AT_LOG_OFF: no line at its end, failed or not;
                                 default: info */
    at_log_level log_level;   /* the lowest level of lines in it, whatever their loggers say;
                                 default: what holds around it, else the loggers' own */
    at_log_level kept_level;  /* lines from this level on that would not be written are kept until
                                 it ends: written if it fails or was slow, else handed to the
                                 operation around it if that keeps lines; default: none */
    int64_t kept_bytes;       /* so many bytes of the last of them, 8 KiB to 16 MiB; default:
                                 64 KiB */
    const at_field *fields;   /* copied: each line in it has these; see AT_FIELDS */
    size_t field_count;
    const char *traceparent; /* copied: it is a part of what this header of a request says; what is
                                no such header counts as none; default NULL */
    at_tracker *tracker;     /* retained: told how it ended; default NULL */
    uint64_t reserved[4];
} at_operation_options;

/* In options: AT_FIELDS(at_kv("user", user), at_kv("shard", shard)). */
#define AT_FIELDS(...)                                                                             \
    .fields = (const at_field[]){__VA_ARGS__},                                                     \
    .field_count = sizeof((const at_field[]){__VA_ARGS__}) / sizeof(at_field)

/* -- Scopes: the operation of a block -- */

/* In the caller's storage; its members are private. */
typedef struct at_operation_scope {
    at_scope scope;
    at_operation *operation;
    at_error *error; /* that was in flight when it began */
    bool is_owner;
    bool runs;
    bool is_first;
} at_operation_scope;

#if !defined(__cplusplus)
/* Whether there is anything behind the name, also where a macro of the caller's gives both: where
 * there is not, no options need be cleared. */
#define AT_OPERATION_HAS_OPTIONS_(name, option, ...) (sizeof(#option) > 1)

/* A block that is an operation: AT_OPERATION(variable, "name", options...). It ends on return,
 * break and goto too; a break or continue directly inside ends the block, not a loop around it. A
 * block that is left by `return at_fail(...)` or AT_TRY has failed, with that error.
 *
 *     AT_OPERATION(operation, "database_operation", .timeout = AT_SECONDS(30)) {
 *         struct rows *rows = query(database);
 *         if (!rows)
 *             return at_fail(AT_ERROR_IO, "query");
 *         at_operation_add(operation, at_kv("rows_processed", rows->count));
 *     }
 */
#define AT_OPERATION(variable, ...)                                                                \
    for (at_operation_scope at_scope_of_##variable                                                 \
         __attribute__((cleanup(at_operation_scope_end))),                                         \
         *at_begun_of_##variable = at_operation_scope_begin(                                       \
             &at_scope_of_##variable, AT_LOG_EVENT_(__VA_ARGS__, ),                                \
             AT_OPERATION_HAS_OPTIONS_(__VA_ARGS__, , )                                            \
                 ? &(const at_operation_options){.reserved = {0}, AT_LOG_FIELDS_(__VA_ARGS__, )}   \
                 : NULL);                                                                          \
         at_begun_of_##variable->runs;)                                                            \
        for (at_operation * variable __attribute__((unused)) =                                     \
                 (at_scope_of_##variable.runs = false, at_scope_of_##variable.operation);          \
             at_scope_of_##variable.is_first; at_scope_of_##variable.is_first = false)

/* A block that is an event of `tracker_`: an operation that logs nothing of its own, whose end the
 * tracker records.
 *
 *     AT_TRACK(event, tracker, "data_download") {
 *         at_operation_add(event, at_kv("size_bytes", download()));
 *     }
 */
#define AT_TRACK(variable, tracker_, ...)                                                          \
    AT_OPERATION(variable, AT_LOG_EVENT_(__VA_ARGS__, ),                                           \
                 AT_LOG_FIELDS_(__VA_ARGS__, ).tracker = (tracker_), .start_level = AT_LOG_OFF,    \
                 .end_level = AT_LOG_OFF)

/* Makes a logged function of the one that follows: it begins with an operation of this name (and
 * these options) and ends with it.
 *
 *     AT_LOGGED(handle_request, "api_request", .slow = AT_SECONDS(1))(void *request) {
 *         return process(request);
 *     }
 *
 * `handle_request` is a static work function, `void *(*)(void *)`. */
#define AT_LOGGED(function, ...)                                                                   \
    static void *function##_logged_(void *);                                                       \
    static void *function(void *argument) {                                                        \
        void *value = NULL;                                                                        \
        AT_OPERATION(operation, __VA_ARGS__) {                                                     \
            value = function##_logged_(argument);                                                  \
        }                                                                                          \
        return value;                                                                              \
    }                                                                                              \
    static void *function##_logged_
#endif

/** Begins an operation, and has the code that follows run under it. Scopes end in the reverse
 *  order.
 *  Threads:   any; a scope is its thread's or task's own.      Blocks: never.
 *  Ownership: `scope` is the caller's and is given back; copies `name` and `options` (NULL: the
 *             defaults).
 *  Ordering:  NAME.started comes before all other lines of the operation. */
AT_API at_operation_scope *at_operation_scope_begin(at_operation_scope *scope, const char *name,
                                                    const at_operation_options *options);

/** Has the code that follows run under an operation that was begun elsewhere; the end of the scope
 *  is not that of the operation. What is around the scope cancels the code too, and its deadline
 *  counts, but neither is a matter of the operation itself (without memory they do not count).
 *  Threads:   any; a scope is its thread's or task's own.      Blocks: never.
 *  Ownership: `scope` is the caller's; borrows `operation` until it ends; NULL is allowed. */
AT_API void at_operation_scope_enter(at_operation_scope *scope, at_operation *operation);

/** Ends a scope, and the operation that it began.
 *  Threads:   the one that began it.
 *  Blocks:    never, if what was deferred does not; that of at_operation_scope_enter while another
 *             thread that cancels what is around it runs callbacks of what belongs to it. */
AT_API void at_operation_scope_end(at_operation_scope *scope);

/* -- Operations that are handed on -- */

/** Begins an operation that is not tied to a block; nothing runs under it but what
 *  at_operation_scope_enter puts there.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns owned, at_operation_end ends it; NULL without memory. Copies `name` and
 *             `options` (NULL: the defaults). */
AT_API AT_NODISCARD at_operation *at_operation_begin(const char *name,
                                                     const at_operation_options *options);

/** Ends an operation: runs what was deferred, the last first, and logs the end. If nobody has said
 *  how it ended, an error in flight where it is called says so. Work that was started in it and
 *  still runs belongs to it as before; operations and scopes that this work begins afterwards have
 *  its ids, fields and deadline, and are cancelled with what is around it.
 *  Threads:   any.
 *  Blocks:    never, if what was deferred does not.
 *  Ownership: takes `operation`; NULL is allowed. */
AT_API void at_operation_end(at_operation *operation);

/** Gives the operation that the caller runs in, or NULL.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, as long as the caller runs in it. */
AT_API at_operation *at_operation_current(void);

/* -- What is known of it -- */

/** Gives the id, which lines have as `operation_id`, 16 hexadecimal digits; 0 for NULL.
 *  Threads:   any.      Blocks: never. */
AT_API uint64_t at_operation_id(const at_operation *operation);

/** Gives the id of the trace, which lines have as `trace_id`; zero for NULL.
 *  Threads:   any.      Blocks: never. */
AT_API at_trace_id at_operation_trace_id(const at_operation *operation);

/** Writes the header `traceparent` for a request that is made in the operation; "" for NULL.
 *  Threads:   any.      Blocks: never. */
AT_API void at_operation_traceparent(const at_operation *operation,
                                     char header[AT_TRACEPARENT_SIZE]);

/** Gives its name; "" for NULL.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, as long as the operation. */
AT_API const char *at_operation_name(const at_operation *operation);

/** Gives the logger of its own lines, or NULL if there is none.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed. */
AT_API at_logger *at_operation_logger(const at_operation *operation);

/** Gives the token by which others cancel it, or run code and start tasks that end with it; NULL
 *  for NULL.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, as long as the operation; at_token_retain keeps it. */
AT_API at_token *at_operation_token(at_operation *operation);

/* -- What is said of it -- */

/** Adds metadata, which the line of the end will have; of two fields with one key the last counts.
 *  32 fields and 4 KiB are kept, the others, and those whose key has more than 200 bytes, are
 *  counted as `fields_dropped`. When it has ended, nothing is added.
 *  Threads:   any.      Blocks: never.
 *  Ownership: copies the fields; NULL is allowed for the operation. */
AT_API void at_operation_add_fields(at_operation *operation, const at_field *fields, size_t count);

/** Says how the operation ends, and why (NULL: no error). The first that says so counts.
 *  Threads:   any.      Blocks: never.
 *  Ownership: retains `error`; the operation may be NULL.
 *  Errors:    AT_ERROR_ALREADY: somebody has said so before, or it has ended; AT_ERROR_INVALID:
 *             no such outcome. The error slot is left alone. */
AT_API at_status at_operation_set_outcome(at_operation *operation, at_operation_outcome outcome,
                                          const at_error *error);

/** Has `run(argument)` called when the operation ends, whatever the way; the last one comes first.
 *  It runs under the operation, shielded from its cancellation for 5 seconds.
 *  Threads:   any.      Blocks: never.
 *  Ownership: takes `argument` on AT_OK only.
 *  Errors:    AT_ERROR_CLOSED when it has ended; AT_ERROR_NO_MEMORY, also for NULL. */
AT_API AT_NODISCARD at_status at_defer(at_operation *operation, void (*run)(void *argument),
                                       void *argument);

AT_DECLARATIONS_END

/* at_operation_add(operation, at_kv("rows", rows), ...): see at_operation_add_fields.
 * at_operation_success(operation, ...) says that it went well, at_operation_error(operation, error,
 * ...) that it failed, by an error or by NULL; both add fields, if there are any. An error by a
 * deadline counts as AT_OPERATION_TIMEOUT, one by a cancellation as AT_OPERATION_CANCELLED (but if
 * it was the operation's own deadline that cancelled, it is a timeout), and so on. */
#if defined(__cplusplus)
template <typename... fields_>
inline void at_operation_add(at_operation *operation, const fields_ &...fields) {
    const at_field list[] = {at_field(), fields...};
    at_operation_add_fields(operation, list + 1, sizeof...(fields));
}
template <typename... fields_>
inline void at_operation_success(at_operation *operation, const fields_ &...fields) {
    at_operation_add(operation, fields...);
    (void)at_operation_set_outcome(operation, AT_OPERATION_OK, nullptr);
}
template <typename... fields_>
inline void at_operation_error(at_operation *operation, const at_error *error,
                               const fields_ &...fields) {
    at_operation_add(operation, fields...);
    (void)at_operation_set_outcome(operation, at_operation_outcome_of(error), error);
}
#else
#define AT_OPERATION_ADD_(operation, ...)                                                          \
    at_operation_add_fields(                                                                       \
        (operation), ((const at_field[]){AT_FIELD_UNUSED_, __VA_ARGS__}) + 1,                      \
        sizeof((const at_field[]){AT_FIELD_UNUSED_, __VA_ARGS__}) / sizeof(at_field) - 1)
#define at_operation_add(operation, ...) AT_OPERATION_ADD_(operation, __VA_ARGS__)
#define at_operation_success(...) AT_OPERATION_SUCCESS_(__VA_ARGS__, )
#define AT_OPERATION_SUCCESS_(operation, ...)                                                      \
    do {                                                                                           \
        at_operation *at_operation_ = (operation);                                                 \
        AT_OPERATION_ADD_(at_operation_, __VA_ARGS__);                                             \
        (void)at_operation_set_outcome(at_operation_, AT_OPERATION_OK, NULL);                      \
    } while (0)
#define at_operation_error(...) AT_OPERATION_ERROR_(__VA_ARGS__, )
#define AT_OPERATION_ERROR_(operation, error, ...)                                                 \
    do {                                                                                           \
        at_operation *at_operation_ = (operation);                                                 \
        const at_error *at_error_ = (error);                                                       \
        AT_OPERATION_ADD_(at_operation_, __VA_ARGS__);                                             \
        (void)at_operation_set_outcome(at_operation_, at_operation_outcome_of(at_error_),          \
                                       at_error_);                                                 \
    } while (0)
#endif

#endif
