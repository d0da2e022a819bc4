/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_CANCEL_H
#define ASYNCTOOLS_CANCEL_H

#include <asynctools/attributes.h>
#include <asynctools/cancel_reason.h>
#include <asynctools/clock.h>
#include <asynctools/status.h>

#include <stdbool.h>
#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* Cancellation is cooperative, a tree, and it stays: whoever is cancelled is told so by every
 * library call that waits, and by at_check, until the end of the scope. What a task starts belongs
 * to the scope it was started in; a scope belongs to the one around it. */

/* -- Scopes --
 * A part of a function, and all that is started in it, with a deadline of its own, with a token by
 * which others cancel it, or shielded from the cancellation around it. */

typedef struct at_token at_token;

/* All zero: a scope that is cancelled with the one around it. */
typedef struct at_scope_options {
    at_duration timeout;  /* from now on the current clock; default 0: none */
    at_deadline deadline; /* default 0: none; the earliest of this, `timeout` and those around it
                             counts */
    at_token *token;      /* retained: the scope is cancelled with this one too, also when the
                             deadline of that has passed; default NULL */
    bool is_shielded;     /* the cancellation and the deadlines around it do not count; for cleaning
                             up; the default for `timeout` is then 5 s */
    uint64_t reserved[4];
} at_scope_options;

/* In the caller's storage; its members are private. */
typedef struct at_scope {
    void *context;
    void *outer;
    void *frame;
    void *link;
    bool runs;
    bool is_own;
} at_scope;

/** Begins a scope, which ends by at_scope_end in the same function, the last one begun first.
 *  Without memory it begins as well, without deadline and token of its own, and at_scope_end says
 *  so.
 *  Threads:   any; a scope is its thread's or task's own.      Blocks: never.
 *  Ownership: `scope` is the caller's; copies `options` (NULL: the defaults). */
AT_API void at_scope_begin(at_scope *scope, const at_scope_options *options);

/** Ends a scope. Tasks that were started in it and still run belong to it as before.
 *  Threads:   the one that began it.
 *  Blocks:    never; with a token, while another thread that cancels that runs callbacks of what
 *             belongs to the scope.
 *  Errors:    AT_ERROR_TIMED_OUT when its own deadline has cancelled it; AT_ERROR_CANCELLED when
 *             something else has; AT_ERROR_NO_MEMORY when there was none for it. The error slot is
 *             left alone. */
AT_API at_status at_scope_end(at_scope *scope);

/** Gives the token of a scope, by which others can cancel it; NULL if there was no memory for it.
 *  Threads:   the scope's own.      Blocks: never.
 *  Ownership: returns borrowed, until the scope ends; at_token_retain keeps it. */
AT_API at_token *at_scope_token(const at_scope *scope);

#if !defined(__cplusplus)
/* A block that is cancelled after `duration`, or shielded for `grace` (0: 5 s). It ends on return,
 * break and goto too; a break or continue directly inside ends the block, not a loop around it.
 *
 *     AT_TIMEOUT(scope, AT_SECONDS(30)) {
 *         status = at_future_wait(reply, AT_FOREVER, NULL);    AT_ERROR_TIMED_OUT after 30 s
 *     }
 */
#define AT_TIMEOUT(name, duration) AT_SCOPE(name, .timeout = (duration))
#define AT_SHIELD(name, grace) AT_SCOPE(name, .timeout = (grace), .is_shielded = true)
#define AT_SCOPE(name, ...)                                                                        \
    for (at_scope name __attribute__((cleanup(at_scope_leave))) =                                  \
             at_scope_enter(&(at_scope_options){__VA_ARGS__});                                     \
         name.runs; name.runs = false)

/** Begins the scope of a block; for AT_SCOPE.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns the scope, which at_scope_leave ends. */
AT_API at_scope at_scope_enter(const at_scope_options *options);

/** Ends the scope of a block; for AT_SCOPE.
 *  Threads:   the one that began it.      Blocks: never. */
AT_API void at_scope_leave(at_scope *scope);
#endif

/** Says whether the running code is to stop: its task, or the scope that it runs in, is cancelled
 *  or past its deadline. False outside of both. For code that must not give way to other tasks or
 *  make an error; at_check does both.
 *  Threads:   any.      Blocks: never. */
AT_API bool at_is_cancelled(void);

/* -- Tokens -- */

/** Makes a token: a scope that others run in, to be cancelled from outside.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns owned (at_token_release). Belongs to `parent`, or, if that is NULL, to the
 *             scope of the caller, if there is one: it is cancelled with it.
 *  Errors:    AT_ERROR_NO_MEMORY; `*token` is untouched. */
AT_API AT_NODISCARD at_status at_token_create(at_token **token, at_token *parent);

/** Gives the token of the scope that the caller runs in, or NULL.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, until the scope ends. */
AT_API at_token *at_token_current(void);

/** Takes one more reference.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns owned, the same token. */
AT_API at_token *at_token_retain(at_token *token);

/** Gives a reference back.
 *  Threads:   any.      Blocks: never.
 *  Ownership: takes `token`; NULL is allowed. */
AT_API void at_token_release(at_token *token);

/** Cancels what runs under the token: waits end, queued tasks never run, callbacks are called here,
 *  before the return, in the order in which they were added.
 *  Threads:   any.      Blocks: never.
 *  Errors:    AT_ERROR_ALREADY when it is cancelled already: nothing was done. The error slot is
 *             left alone. */
AT_API at_status at_token_cancel(at_token *token);

/** Says why the token is cancelled: AT_CANCEL_NONE if it is not. A deadline that has passed counts
 *  from the first time that somebody looks: a wait that ends, at_check, at_is_cancelled, this call.
 *  Threads:   any.      Blocks: never. */
AT_API at_cancel_reason at_token_reason(at_token *token);

/** Says until when the token runs: the earliest deadline of its own and those around it.
 *  Threads:   any.      Blocks: never. */
AT_API at_deadline at_token_deadline(const at_token *token);

/* -- Callbacks -- */

typedef void (*at_cancel_fn)(void *context);

/* A callback in the caller's storage; its members are private. */
typedef struct at_cancel_callback {
    uint64_t members[8];
} at_cancel_callback;

/** Has `run(context)` called when `token` is cancelled, on the thread that cancels; if it is
 *  cancelled already, here, before the return. For a token with a deadline a pool must be there to
 *  keep the time: the one of the task that adds the callback, until it is shut down. In a plain
 *  thread, and without memory for it, the callback is called when somebody looks (see
 *  at_token_reason).
 *  Threads:   any.      Blocks: never.
 *  Ownership: borrows `callback` and `context` until at_cancel_callback_unregister, and keeps the
 *             token; a zeroed `callback` may be removed too. */
AT_API void at_cancel_callback_register(at_cancel_callback *callback, at_token *token,
                                        at_cancel_fn run, void *context);

/** Removes a callback. When this has returned it is not running and never will be; called from the
 *  callback itself it returns at once.
 *  Threads:   any.
 *  Blocks:    while another thread runs the callback.
 *  Ownership: `callback` is the caller's again. */
AT_API void at_cancel_callback_unregister(at_cancel_callback *callback);

AT_DECLARATIONS_END

#endif
