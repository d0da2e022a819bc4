/* SPDX-License-Identifier: MIT
 *
 * What lib/pool/fork.c and forked_call.c call and their models do not check: barriers, waits,
 * errors and contexts. */
#ifndef MODEL_FORK_STUBS_H
#define MODEL_FORK_STUBS_H

#include "context_stub.h"

void ati_context_retain(ati_context *context) {
    (void)context;
}

void ati_context_release(ati_context *context) {
    (void)context;
}

bool ati_barrier_is_unequal(void) {
    return true;
}

/* See tests/model/include/base/atomic.h. */
void ati_heavy_barrier(void) {
    AT_INLINE_LIGHT_BARRIER();
}

_Thread_local ati_frame *ati_frame_top;

ati_frame *ati_frame_of_thread(void) {
    static ati_frame frame;
    return &frame;
}

void ati_frame_take_over(const ati_frame *from) {
    if (from->error || from->returned || from->next_future)
        model_fail("the calls leave nothing in their frames");
}

void ati_view_show_named(ati_worker *worker, const ati_frame *frame) {
    (void)worker;
    (void)frame;
}

void ati_view_hide_named(ati_worker *worker, const ati_frame *frame) {
    (void)worker;
    (void)frame;
}

#endif
