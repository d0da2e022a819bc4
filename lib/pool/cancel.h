/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_CANCEL_H
#define ASYNCTOOLS_POOL_CANCEL_H

/* What the current operation says about going on. See cancel.c for the argument. */
#include "base/context.h"

#include <asynctools/cancel.h>

/* Cancels it and all below it, and calls the callbacks. False: it was cancelled before. No lock is
 * held. */
bool ati_cancel(ati_context *context, at_cancel_reason reason);

/* Whether the operation is cancelled, or its deadline has passed, which then cancels it. NULL is
 * allowed. No lock is held. */
bool ati_is_cancelled(ati_context *context);

/* AT_OK, or why the current operation is not to go on, with an error that says so on behalf of
 * `call`: AT_ERROR_TIMED_OUT in the scope whose deadline has passed, else AT_ERROR_CANCELLED. */
at_status ati_cancel_check(const char *call);

/* Puts the current task under an operation that is cancelled with it alone, before anything is made
 * that belongs to it; gives the current operation. */
ati_context *ati_context_own(void);

/* For the own_context of a frame: makes the operation of a task that is cancelled alone (NULL: no
 * memory), and, once those who ask it to stop can find it, has the task take it on. */
ati_context *ati_cancel_make_own(ati_frame *frame);
void ati_cancel_take_own(ati_frame *frame, ati_context *own, bool is_asked);

/* As at_cancel_callback_register, but the deadline of `context` is left to others. */
void ati_cancel_call(at_cancel_callback *callback, ati_context *context, at_cancel_fn run,
                     void *argument);

#endif
