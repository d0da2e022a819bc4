/* SPDX-License-Identifier: MIT
 *
 * The errors and operations of futures that are cancelled. */
#ifndef MODEL_FUTURE_CANCEL_STUBS_H
#define MODEL_FUTURE_CANCEL_STUBS_H

#include "future_stubs.h"

static char cancelled_object;
static at_error *const cancelled_error = (at_error *)&cancelled_object;

/* Nothing fails here, but by cancellation. */
at_error *ati_error_static(at_status status) {
    model_check(status == AT_ERROR_CANCELLED);
    return cancelled_error;
}

at_error *ati_error_create(const char *site, at_error *cause, at_status status, const char *format,
                           ...) {
    (void)cause;
    model_fail("%s: an error: %d: %s", site, status, format);
}

at_error *at_error_retain(const at_error *error) {
    model_check(error == cancelled_error);
    return cancelled_error;
}

void at_error_release(at_error *error) {
    model_check(!error || error == cancelled_error);
}

at_error *at_error_take(void) {
    model_fail("an error");
}

at_status at_error_status(const at_error *error) {
    model_check(error == cancelled_error);
    return AT_ERROR_CANCELLED;
}

const char *at_status_text(at_status status) {
    model_fail("an error: %d", status);
}

bool ati_error_mark_read(at_error *error) {
    model_check(error == cancelled_error);
    return true;
}

void ati_error_set_task(at_error *error, const char *name, bool copy_name, const char *site) {
    (void)error;
    (void)copy_name;
    model_fail("%s: %s: an error", site, name);
}

void ati_report_dropped_error(at_error *error) {
    model_check(error == cancelled_error);
}

void ati_frame_exchange_slot(ati_frame_slot slot) {
    (void)slot;
    model_fail("an error");
}

static void check_end(at_status status) {
    model_check(status == AT_OK);
}

/* There are no combinators, timeouts and waits. */

void ati_combination_cancel(at_future *result, ati_unwanted *list) {
    (void)result;
    (void)list;
    model_fail("a combinator");
}

void ati_timeout_cancel(at_future *result, ati_unwanted *list) {
    (void)result;
    (void)list;
    model_fail("a timeout");
}

void ati_completions_stop(ati_completions *list) {
    model_check(!list->stopping);
}

void ati_fire_indifferent(ati_registration *registration, at_future *of, ati_completions *list) {
    (void)registration;
    (void)of;
    (void)list;
    model_fail("a combinator");
}

void ati_fire_stop(ati_registration *registration, at_future *of, ati_completions *list) {
    (void)registration;
    (void)of;
    (void)list;
    model_fail("a map");
}

/* Operations: `cancelled` and a count of references. */

ati_context *ati_cancel_make_own(ati_frame *frame) {
    ati_context *context = ati_allocate_zeroed(sizeof *context);
    atomic_init(&context->references, 1);
    frame->own_context = NULL;
    return context;
}

void ati_context_retain(ati_context *context) {
    if (context)
        atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
}

void ati_context_release(ati_context *context) {
    if (context && atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) == 1)
        ati_release(context, sizeof *context);
}

bool ati_cancel(ati_context *context, at_cancel_reason reason) {
    return atomic_exchange_explicit(&context->cancelled, reason, memory_order_relaxed) == 0;
}

void ati_cancel_take_own(ati_frame *frame, ati_context *context, bool is_asked) {
    frame->context = context;
    if (is_asked)
        (void)ati_cancel(context, AT_CANCEL_EXPLICIT);
}

/* Only tasks that have begun have one. */
bool ati_is_cancelled(ati_context *context) {
    model_check(!context);
    return false;
}

void ati_pool_count_cancelled(at_pool *of) {
    (void)of;
}

void ati_pool_ask_to_look(at_pool *of) {
    (void)of;
}

void ati_fork_share_all(ati_worker *worker) {
    (void)worker;
    model_fail("there are no forks");
}

#endif
