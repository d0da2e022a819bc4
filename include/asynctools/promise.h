/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_PROMISE_H
#define ASYNCTOOLS_PROMISE_H

#include <asynctools/attributes.h>
#include <asynctools/error.h>
#include <asynctools/executor.h>
#include <asynctools/future.h>
#include <asynctools/task.h>

AT_DECLARATIONS_BEGIN

/* The writing end of a future whose outcome comes from elsewhere: a callback, another library. */
typedef struct at_promise at_promise;

/** Creates a promise and its future; continuations of that future run on `executor` unless they
 *  name another.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns owned; at_promise_destroy ends it. Borrows `executor` for the call.
 *  Errors:    AT_ERROR_NO_MEMORY; `*promise` is untouched. */
#define at_promise_create(promise, ...) at_promise_create_at(AT_SITE(""), promise, __VA_ARGS__)
AT_API AT_NODISCARD at_status at_promise_create_at(const char *site, at_promise **promise,
                                                   at_executor *executor);

/** Gives the future of a promise, one more reference at each call.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns owned (at_future_release). */
AT_API AT_NODISCARD at_future *at_promise_future(at_promise *promise);

/** Completes the future with a value.
 *  Threads:   any, several at once: the first wins.      Blocks: never.
 *  Ownership: takes `value` always, with `drop` (NULL: nothing to drop): when another outcome came
 *             first it is dropped before the return.
 *  Ordering:  what the caller did before happens before the return of a wait.
 *  Errors:    AT_ERROR_ALREADY when another outcome came first. */
AT_API at_status at_promise_set(at_promise *promise, void *value, at_drop_fn drop);

/** Completes the future with an error; one with the status AT_ERROR_CANCELLED cancels it.
 *  Threads:   any, several at once: the first wins.      Blocks: never.
 *  Ownership: takes `error` always; NULL stands for AT_ERROR_FAILED.
 *  Ordering:  as at_promise_set.
 *  Errors:    AT_ERROR_ALREADY when another outcome came first. */
AT_API at_status at_promise_fail(at_promise *promise, at_error *error);

/** Ends a promise; one that was never completed fails its future with AT_ERROR_ABANDONED.
 *  Threads:   any, when nobody will use the promise; a call that completed it may still be
 *             returning once its outcome has been seen.      Blocks: never.
 *  Ownership: takes `promise`; NULL is allowed. */
AT_API void at_promise_destroy(at_promise *promise);

AT_DECLARATIONS_END

#endif
