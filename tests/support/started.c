/* SPDX-License-Identifier: MIT */
#include "support/started.h"

#include <asynctools/cancel.h>
#include <asynctools/sleep.h>

void *begin_started(void *argument) {
    struct started *started = argument;
    gate_pass(&started->began);
    return started;
}

void await_started(struct started *started, int count) {
    gate_await(&started->began, count);
}

void ask_started(struct started *started) {
    atomic_store(&started->was_asked, true);
}

void *sleep_long(void *argument) {
    struct started *started = begin_started(argument);
    started->status = at_sleep(LONG_TIME);
    AT_TRY(started->status);
    return NULL;
}

void *sleep_quietly(void *argument) {
    begin_started(argument);
    AT_TRY(at_sleep(LONG_TIME));
    return NULL;
}

void *wait_target(void *argument) {
    struct started *started = begin_started(argument);
    started->status = at_future_wait(started->target, AT_FOREVER, NULL);
    AT_TRY(started->status);
    return NULL;
}

void *check_for_ever(void *argument) {
    struct started *started = begin_started(argument);
    while ((started->status = at_check()) == AT_OK)
        continue;
    started->again = at_check();
    AT_TRY(at_check());
    return NULL;
}

static void await_question(struct started *started) {
    while (!atomic_load(&started->was_asked))
        at_yield();
}

void *go_on_with_target(void *argument) {
    struct started *started = begin_started(argument);
    return at_return_future(at_future_retain(started->target));
}

void *go_on_when_asked(void *argument) {
    struct started *started = begin_started(argument);
    await_question(started);
    return at_return_future(at_future_retain(started->target));
}

void *end_when_asked(void *argument) {
    struct started *started = begin_started(argument);
    await_question(started);
    return at_return(started, NULL);
}

void *value_of(void *value, void *context) {
    (void)context;
    return value;
}

static void *do_nothing(void *argument) {
    return argument;
}

void pass_worker(at_pool *pool) {
    at_future *last = at_pool_submit(pool, do_nothing, NULL);
    (void)wait_value(last);
    at_future_release(last);
}
