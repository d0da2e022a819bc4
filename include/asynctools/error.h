/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_ERROR_H
#define ASYNCTOOLS_ERROR_H

#include <asynctools/attributes.h>
#include <asynctools/status.h>

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

AT_DECLARATIONS_BEGIN

/* What went wrong: status, message, origin, the error that caused it, the task it ended, and other
 * errors that came with it. Reference-counted, immutable once it has left the task that made it.
 *
 * Every fallible call of the library returns an at_status; the whole error is in the error slot of
 * the current task (outside tasks: of the thread) until the next call that fails there. Only
 * failing calls write the slot.
 *
 * A work function is `void *run(void *argument)`. It failed if and only if it returns AT_FAILED;
 * NULL is a value like any other. */
typedef struct at_error at_error;

/* Returned by a work function that failed: `return at_fail(...)`. The address of a private object,
 * so no value can equal it. */
AT_API extern char at_failed_object;
#define AT_FAILED ((void *)&at_failed_object)

/** Records an error in the error slot, puts it in flight and gives AT_FAILED to return:
 *  `return at_fail(AT_ERROR_INVALID, "not a document: %.20s", page);`
 *  Threads:   any, in tasks and outside them.      Blocks: never.
 *  Ownership: the slot owns the error. Without memory it holds a static error of that status.
 *  Errors:    always AT_FAILED. A status of AT_OK or outside the table counts as AT_ERROR_FAILED.
 */
#define at_fail(status, ...) at_fail_at(AT_SITE(""), status, __VA_ARGS__)
AT_API void *at_fail_at(const char *site, at_status status, const char *format, ...)
    AT_PRINTF(3, 4);

/** Does what at_fail does, for functions that return at_status: gives `status` back.
 *  Threads:   any, in tasks and outside them.      Blocks: never.
 *  Ownership: the slot owns the error.
 *  Errors:    always `status` (AT_ERROR_FAILED where that is AT_OK or outside the table). */
#define at_fail_status(status, ...) at_fail_status_at(AT_SITE(""), status, __VA_ARGS__)
AT_API at_status at_fail_status_at(const char *site, at_status status, const char *format, ...)
    AT_PRINTF(3, 4);

/** Does what at_fail does and keeps `cause` behind the new error:
 *  `return at_fail_from(at_error_take(), AT_ERROR_IO, "cannot load %s", name);`
 *  Threads:   any, in tasks and outside them.      Blocks: never.
 *  Ownership: takes `cause` always; NULL is allowed. The slot owns the error.
 *  Errors:    always AT_FAILED. */
#define at_fail_from(cause, status, ...) at_fail_from_at(AT_SITE(""), cause, status, __VA_ARGS__)
AT_API void *at_fail_from_at(const char *site, at_error *cause, at_status status,
                             const char *format, ...) AT_PRINTF(4, 5);

/** Puts the error that a failed call left in the slot in flight; `status` is what the call
 *  returned. AT_TRY and AT_TRY_STATUS are written with it.
 *  Threads:   any.      Blocks: never.
 *  Errors:    gives `status` back. */
AT_API at_status at_error_put_in_flight(at_status status);

/* In a work function: evaluates a call that returns at_status and returns AT_FAILED, with that
 * error in flight, if it failed. AT_TRY_STATUS does so in a function that returns at_status. */
#define AT_TRY(call)                                                                               \
    do {                                                                                           \
        if (at_error_put_in_flight(call) != AT_OK)                                                 \
            return AT_FAILED;                                                                      \
    } while (0)
#define AT_TRY_STATUS(call)                                                                        \
    do {                                                                                           \
        at_status at_try_status_ = at_error_put_in_flight(call);                                   \
        if (at_try_status_ != AT_OK)                                                               \
            return at_try_status_;                                                                 \
    } while (0)

/** Gives the error in the slot, or NULL.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, until the next failing library call of this task or thread. */
AT_API const at_error *at_error_last(void);

/** Moves the error out of the slot; it is in flight no longer. NULL if there is none.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns owned; release it with at_error_release. */
AT_API at_error *at_error_take(void);

/** Empties the slot.
 *  Threads:   any.      Blocks: never. */
AT_API void at_error_clear(void);

/** Takes one more reference. Errors count what is kept, so a const error may be retained.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns owned, the same error. NULL gives NULL. */
AT_API at_error *at_error_retain(const at_error *error);

/** Gives a reference back; the last one frees the error with its causes. A chain of a million
 *  causes is freed without growing the stack.
 *  Threads:   any.      Blocks: never.
 *  Ownership: takes `error`; NULL is allowed. */
AT_API void at_error_release(at_error *error);

/** Gives the status of an error; AT_OK for NULL.
 *  Threads:   any.      Blocks: never. */
AT_API at_status at_error_status(const at_error *error);

/** Writes the whole error as one line: message, origin, task, who started it, causes, others:
 *  "not a document: <html (parse.c:41), in task parse, from main.c:17".
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, as long as the error. Never NULL; "success" for NULL; the bare
 *             message when there is no memory for more. */
AT_API const char *at_error_message(const at_error *error);

/** Gives the message alone, as it was given to at_fail.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, as long as the error. Never NULL. */
AT_API const char *at_error_text(const at_error *error);

/** Gives the error behind this one, or NULL.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, as long as the error. */
AT_API const at_error *at_error_cause(const at_error *error);

/** Says where the error was made, "parse.c:41"; "" where that is unknown.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, valid for ever. */
AT_API const char *at_error_origin(const at_error *error);

/** Names the task that the error ended, or "".
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, as long as the error. */
AT_API const char *at_error_task(const at_error *error);

/** Says where that task was started, "main.c:17", or "".
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, as long as the error. */
AT_API const char *at_error_started_at(const at_error *error);

/** Gives the number of the item that the task worked on (in a gather or map, the place in its
 *  array; of a child of a task manager, how many were started before); AT_NONE where there is
 *  none.
 *  Threads:   any.      Blocks: never. */
AT_API int64_t at_error_item(const at_error *error);

/** Counts the other errors that came with this one (the later failures of an `all`).
 *  Threads:   any.      Blocks: never. */
AT_API size_t at_error_other_count(const at_error *error);

/** Gives other error number `index`, or NULL past the end.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, as long as the error. */
AT_API const at_error *at_error_other(const at_error *error, size_t index);

/** Prints the whole tree: each error with its status, origin, task, item and who started that, its
 *  causes and the others below it, indented; 200 errors at most, 12 deep.
 *
 *      AT_ERROR_IO: no page 7
 *        (fetch.c:41), in task fetch, item 7, from main.c:17
 *        caused by AT_ERROR_TIMED_OUT: no answer
 *          (connection.c:88)
 *        also AT_ERROR_INVALID: ...
 *
 *  Threads:   any.      Blocks: never but for the file.
 *  Ownership: borrows `error` (NULL: prints "success") and `file`. */
AT_API void at_error_print(const at_error *error, FILE *file);

AT_DECLARATIONS_END

#endif
