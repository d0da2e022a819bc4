/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_SCOPE_H
#define ASYNCTOOLS_POOL_SCOPE_H

/* What scopes of every kind do: the running code goes under an operation, and back. */
#include "base/check.h"
#include "base/context.h"

#include <asynctools/cancel.h>

/* Begins `scope`, whose outer operation is that of the caller, kept apart if it has to be; gives
 * that one (or NULL). The scope must have been begun when anything is made that belongs to it. */
ati_context *ati_scope_begin(at_scope *scope);

/* Puts the running code under `context`, a reference to which the scope takes (NULL: it has none,
 * for want of memory). `is_own`: it was made for this scope, whose waits its deadline ends as
 * timeouts. */
void ati_scope_enter(at_scope *scope, ati_context *context, bool is_own);

/* What `call` does before anything else, when it is to end a scope. */
static inline void ati_scope_check_end(const at_scope *scope, const char *call) {
    ATI_CALLER_CHECK(scope->frame == ati_frame_current(), call,
                     "a scope ends in the function that began it, once");
    ATI_CALLER_CHECK(!scope->context || ati_context_current() == scope->context, call,
                     "a scope that was begun after this one has not ended");
}

/* Ends it; gives the reference back to the caller. */
ati_context *ati_scope_end(at_scope *scope);

/* The earlier of a deadline and of one after `timeout`; 0 is none, of either. */
static inline at_deadline ati_scope_deadline(at_duration timeout, at_deadline deadline) {
    at_deadline after = timeout == 0 ? AT_FOREVER : at_after(timeout);
    return deadline != 0 && deadline < after ? deadline : after;
}

#endif
