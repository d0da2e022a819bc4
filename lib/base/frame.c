/* SPDX-License-Identifier: MIT */
#include "base/frame.h"

#include "base/error.h"

#include <pthread.h>
#include <stddef.h>

char at_failed_object;
char ati_continued_object;

static _Thread_local ati_frame thread_frame;
_Thread_local ati_frame *ati_frame_top;

/* A thread's own slot is emptied when the thread ends; the key is armed by the thread's first
 * error, so that threads without errors pay nothing. */
static pthread_key_t thread_end_key;
static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;

static void empty_thread_slot(void *unused) {
    (void)unused;
    at_error_release(thread_frame.error);
    thread_frame.error = NULL;
}

static void create_thread_end_key(void) {
    if (pthread_key_create(&thread_end_key, empty_thread_slot) != 0)
        thread_end_key = (pthread_key_t)-1; /* the last error of a thread then stays unreleased */
}

static void arm_thread_end(void) {
    pthread_once(&thread_end_once, create_thread_end_key);
    if (thread_end_key != (pthread_key_t)-1)
        pthread_setspecific(thread_end_key, &thread_frame);
}

ati_frame *ati_frame_of_thread(void) {
    ati_frame_top = &thread_frame;
    return &thread_frame;
}

ati_frame *ati_frame_exchange(ati_frame *frame) {
    ati_frame *before = ati_frame_top;
    ati_frame_top = frame;
    ati_context_stock_settle();
    return before;
}

void ati_error_slot_put(at_error *error, bool in_flight) {
    ati_frame *frame = ati_frame_current();
    at_error *previous = frame->error;
    if (frame == &thread_frame && !previous)
        arm_thread_end();
    frame->error = error;
    frame->in_flight = in_flight;
    at_error_release(previous);
}

at_status at_error_put_in_flight(at_status status) {
    if (status != AT_OK)
        ati_frame_current()->in_flight = true;
    return status;
}

void ati_frame_take_over(const ati_frame *from) {
    ati_frame *frame = ati_frame_current();
    if (from->error)
        ati_error_slot_put(from->error, from->in_flight);
    if (from->returned) {
        frame->returned = from->returned;
        frame->returned_drop = from->returned_drop;
    }
    if (from->next_future) {
        if (frame->next_future)
            frame->next_release(frame->next_future);
        frame->next_future = from->next_future;
        frame->next_release = from->next_release;
    }
}

void ati_frame_exchange_slot(ati_frame_slot slot) {
    ati_error_slot_put(slot.error, slot.in_flight);
}

const at_error *at_error_last(void) {
    return ati_frame_current()->error;
}

at_error *at_error_take(void) {
    ati_frame *frame = ati_frame_current();
    at_error *error = frame->error;
    frame->error = NULL;
    frame->in_flight = false;
    return error;
}

void at_error_clear(void) {
    at_error_release(at_error_take());
}

void *at_return(void *value, at_drop_fn drop) {
    ati_frame *frame = ati_frame_current();
    frame->returned = value;
    frame->returned_drop = drop;
    frame->in_flight = false;
    return value;
}

void ati_frame_drop_returned(const ati_frame *frame, void *returned) {
    if (returned && returned == frame->returned && frame->returned_drop)
        frame->returned_drop(returned);
}
