/* SPDX-License-Identifier: MIT */
/* Scopes and tokens: the public face of the tree of operations. A token is an operation; a scope
 * puts the running code under one. */
#include "pool/scope.h"
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "pool/cancel.h"
#include "pool/worker.h"

#include <asynctools/cancel.h>

static const at_duration default_grace = AT_SECONDS(5);

static at_token *token_of(ati_context *context) {
    return (at_token *)context;
}

static ati_context *context_of(const at_token *token) {
    return (ati_context *)token;
}

/* -- Scopes -- */

static at_deadline deadline_of(const at_scope_options *options) {
    at_duration timeout = options->timeout;
    if (timeout == 0 && options->is_shielded && options->deadline == 0)
        timeout = default_grace;
    return ati_scope_deadline(timeout, options->deadline);
}

/* Forks started before belong to the operation around the scope. */
static void put_under(ati_context *context) {
    ati_worker_hand_out_forks();
    (void)ati_context_exchange(context);
    if (ati_worker_current)
        ati_worker_show_operation(ati_worker_current, ati_context_operation_id(context));
}

/* Whether what cancels `other` (NULL: nothing does) cancels `context` too. */
static bool is_under(const ati_context *context, const ati_context *other) {
    if (!other)
        return true;
    while (context && context != other)
        context = ati_context_is_shielded(context) ? NULL : context->parent;
    return context;
}

/* Of two operations that both cancel a scope the one that does it for both, or NULL. */
static ati_context *find_inner(ati_context *outer, ati_context *token) {
    if (!token || is_under(outer, token))
        return outer;
    return is_under(token, outer) ? token : NULL;
}

static void cancel_scope(void *context) {
    (void)ati_cancel(context, AT_CANCEL_PARENT);
}

/* The scope is cancelled with an operation that is not around it, too. False: there is no memory.
 */
static bool join_token(at_scope *scope, ati_context *token) {
    scope->link = ati_allocate(sizeof(at_cancel_callback));
    if (scope->link)
        ati_cancel_call(scope->link, token, cancel_scope, scope->context);
    return scope->link;
}

static void leave_token(const at_scope *scope) {
    if (!scope->link)
        return;
    at_cancel_callback_unregister(scope->link);
    ati_release(scope->link, sizeof(at_cancel_callback));
}

/* Makes the operation of a scope. */
static void create_context(at_scope *scope, const at_scope_options *options) {
    ati_context *outer = scope->outer;
    ati_context *token = context_of(options->token);
    at_deadline deadline = deadline_of(options);
    bool is_foreign = token && token->deadline <= deadline && token->deadline != AT_FOREVER;
    if (is_foreign)
        deadline = token->deadline;
    ati_context *inner = options->is_shielded ? NULL : find_inner(outer, token);
    ati_context *parent = inner ? inner : outer;
    scope->context = ati_context_create_scope(parent, deadline,
                                              (options->is_shielded ? ATI_CONTEXT_SHIELDED : 0) |
                                                  (is_foreign ? ATI_CONTEXT_FOREIGN : 0));
    if (scope->context && token && !inner && !join_token(scope, token)) {
        ati_context_release(scope->context);
        scope->context = NULL;
    }
}

/* A part of the operation, which what is around the scope cancels too. NULL: there is no memory. */
static ati_context *create_part(at_scope *scope, ati_context *operation) {
    ati_context *outer = scope->outer;
    scope->context = ati_context_create_scope(operation, outer->deadline, ATI_CONTEXT_FOREIGN);
    if (scope->context && !join_token(scope, outer)) {
        ati_context_release(scope->context);
        scope->context = NULL;
    }
    return scope->context;
}

ati_context *ati_scope_part_of(at_scope *scope, ati_context *operation) {
    ati_context *outer = scope->outer;
    bool is_inside = outer && outer->operation == operation && is_under(outer, operation);
    ati_context *context = is_inside ? outer : operation;
    if (!is_inside && !is_under(operation, outer)) {
        ati_context *part = create_part(scope, operation);
        if (part)
            return part;
    }
    ati_context_retain(context);
    return context;
}

ati_context *ati_scope_begin(at_scope *scope) {
    ati_context *outer = ati_context_own();
    *scope = (at_scope){.outer = outer, .frame = ati_frame_current(), .runs = true};
    return outer;
}

void ati_scope_enter(at_scope *scope, ati_context *context, bool is_own) {
    ati_frame *frame = scope->frame;
    frame->scope_depth++;
    scope->context = context;
    scope->is_own = is_own;
    if (!context)
        return;
    if (is_own)
        ati_context_set_owner(context, frame);
    put_under(context);
}

ati_context *ati_scope_end(at_scope *scope) {
    ati_frame *frame = scope->frame;
    ati_context *context = scope->context;
    scope->frame = NULL;
    frame->scope_depth--;
    if (!context)
        return NULL;
    if (scope->is_own)
        ati_context_set_owner(context, NULL);
    put_under(scope->outer);
    leave_token(scope);
    return context;
}

void at_scope_begin(at_scope *scope, const at_scope_options *options) {
    static const at_scope_options no_options = {0};
    ATI_CALLER_CHECK(scope, "at_scope_begin", "`scope` is NULL");
    if (!options)
        options = &no_options;
    ATI_CALLER_CHECK(ati_all_zero(options->reserved, sizeof options->reserved), "at_scope_begin",
                     "`reserved` is not zero");
    (void)ati_scope_begin(scope);
    create_context(scope, options);
    ati_scope_enter(scope, scope->context, true);
}

at_status at_scope_end(at_scope *scope) {
    ATI_CALLER_CHECK(scope, "at_scope_end", "`scope` is NULL");
    ati_scope_check_end(scope, "at_scope_end");
    ati_context *context = scope->context;
    at_status status = context ? AT_OK : AT_ERROR_NO_MEMORY;
    if (ati_is_cancelled(context))
        status = ati_context_reason(context) == AT_CANCEL_DEADLINE ? AT_ERROR_TIMED_OUT
                                                                   : AT_ERROR_CANCELLED;
    (void)ati_scope_end(scope);
    ati_context_release(context);
    return status;
}

at_token *at_scope_token(const at_scope *scope) {
    ATI_CALLER_CHECK(scope, "at_scope_token", "`scope` is NULL");
    return token_of(scope->context);
}

at_scope at_scope_enter(const at_scope_options *options) {
    at_scope scope;
    at_scope_begin(&scope, options);
    return scope;
}

void at_scope_leave(at_scope *scope) {
    (void)at_scope_end(scope);
}

bool at_is_cancelled(void) {
    ati_frame *frame = ati_frame_current();
    if (frame->own_context)
        frame->own_context(frame, false);
    return ati_is_cancelled(frame->context);
}

/* -- Tokens -- */

at_status at_token_create(at_token **token, at_token *parent) {
    ATI_CALLER_CHECK(token, "at_token_create", "`token` is NULL");
    ati_context *outer = parent ? context_of(parent) : ati_context_own();
    ati_context *context = ati_context_create_scope(outer, AT_FOREVER, 0);
    if (!context)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_token_create: out of memory");
    *token = token_of(context);
    return AT_OK;
}

at_token *at_token_current(void) {
    return token_of(ati_context_own());
}

at_token *at_token_retain(at_token *token) {
    ATI_CALLER_CHECK(token, "at_token_retain", "`token` is NULL");
    ati_context_retain(context_of(token));
    return token;
}

void at_token_release(at_token *token) {
    ati_context_release(context_of(token));
}

at_status at_token_cancel(at_token *token) {
    ATI_CALLER_CHECK(token, "at_token_cancel", "`token` is NULL");
    return ati_cancel(context_of(token), AT_CANCEL_EXPLICIT) ? AT_OK : AT_ERROR_ALREADY;
}

at_cancel_reason at_token_reason(at_token *token) {
    ATI_CALLER_CHECK(token, "at_token_reason", "`token` is NULL");
    (void)ati_is_cancelled(context_of(token));
    return ati_context_reason(context_of(token));
}

at_deadline at_token_deadline(const at_token *token) {
    ATI_CALLER_CHECK(token, "at_token_deadline", "`token` is NULL");
    return context_of(token)->deadline;
}
