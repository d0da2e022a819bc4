/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "messages.h"
#include "timer.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

struct event_timers {
    struct event_base *base;
    bool is_common;
    long count;
    long fired;
    uint64_t fired_ns;
    struct event single;
    struct event events[];
};

static void count_one(evutil_socket_t nothing, short what, void *timers) {
    (void)nothing;
    (void)what;
    ((struct event_timers *)timers)->fired++;
}

static void note_time(evutil_socket_t nothing, short what, void *timers) {
    (void)nothing;
    (void)what;
    ((struct event_timers *)timers)->fired_ns = now_ns();
}

static void *create_with(int flags, long count) {
    struct event_timers *self = calloc(1, sizeof(*self) + (size_t)count * sizeof(self->events[0]));
    struct event_config *config = event_config_new();
    if (self && config && event_config_set_flag(config, flags) == 0)
        self->base = event_base_new_with_config(config);
    event_config_free(config);
    if (!self || !self->base) {
        free(self);
        return NULL;
    }
    self->count = count;
    for (long i = 0; i < count; i++)
        evtimer_assign(&self->events[i], self->base, count_one, self);
    evtimer_assign(&self->single, self->base, note_time, self);
    return self;
}

static void *create(int workers, long count) {
    (void)workers;
    return create_with(0, count);
}

/* Without this libevent reads a clock that ticks every 4 ms. */
static void *create_precise(int workers, long count) {
    (void)workers;
    return create_with(EVENT_BASE_FLAG_PRECISE_TIMER, count);
}

static struct timeval convert_ms(uint32_t ms) {
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static void insert(void *timers, const uint32_t *delays_ms) {
    struct event_timers *self = timers;
    for (long i = 0; i < self->count; i++) {
        struct timeval delay = convert_ms(delays_ms[i]);
        if (evtimer_add(&self->events[i], &delay) != 0)
            give_up("libevent refused a timer");
    }
}

/* The queue for timers of one length, which libevent keeps beside its heap. */
static void insert_common(void *timers, const uint32_t *delays_ms) {
    struct event_timers *self = timers;
    struct timeval delay = convert_ms(delays_ms[0]);
    const struct timeval *common = event_base_init_common_timeout(self->base, &delay);
    for (long i = 0; i < self->count; i++)
        if (evtimer_add(&self->events[i], common) != 0)
            give_up("libevent refused a timer");
}

static void cancel(void *timers) {
    struct event_timers *self = timers;
    for (long i = 0; i < self->count; i++)
        evtimer_del(&self->events[i]);
}

static long expire(void *timers) {
    struct event_timers *self = timers;
    self->fired = 0;
    event_base_dispatch(self->base);
    return self->fired;
}

static int64_t wait_one_ms(void *timers) {
    struct event_timers *self = timers;
    struct timeval delay = convert_ms(1);
    uint64_t start = now_ns();
    if (evtimer_add(&self->single, &delay) != 0)
        give_up("libevent refused a timer");
    event_base_dispatch(self->base);
    return (int64_t)(self->fired_ns - start) - 1000000;
}

static void destroy(void *timers) {
    struct event_timers *self = timers;
    event_base_free(self->base);
    free(self);
}

const struct timer_peer timer_libevent = {
    .name = "libevent",
    .create = create,
    .insert = insert,
    .cancel = cancel,
    .expire = expire,
    .destroy = destroy,
};

const struct timer_peer timer_libevent_common = {
    .name = "libevent common timeout",
    .is_beside = true,
    .note = "all of one length",
    .create = create,
    .insert = insert_common,
    .cancel = cancel,
    .expire = expire,
    .destroy = destroy,
};

const struct timer_peer timer_libevent_precise = {
    .name = "libevent precise timer",
    .create = create_precise,
    .wait_one_ms = wait_one_ms,
    .destroy = destroy,
};
