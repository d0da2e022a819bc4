/* SPDX-License-Identifier: MIT
 *
 * What lib/pool/fork.c and forked_call.c call and their models do not check: barriers, waits,
 * errors and contexts. */
#ifndef MODEL_FORK_STUBS_H
#define MODEL_FORK_STUBS_H

_Thread_local ati_context *ati_context_current;

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

ati_frame *ati_frame_current(void) {
    static ati_frame frame;
    return &frame;
}

void ati_error_slot_put(at_error *error, bool in_flight) {
    (void)error;
    (void)in_flight;
    model_fail("there are no errors here");
}

#endif
