/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "messages.h"
#include "timer.h"

#include <stdlib.h>
#include <uv.h>

struct uv_timers {
    uv_loop_t loop;
    long count;
    long fired;
    uint64_t fired_ns;
    uv_timer_t timers[];
};

static void *create(int workers, long count) {
    struct uv_timers *self = calloc(1, sizeof(*self) + (size_t)count * sizeof(self->timers[0]));
    (void)workers;
    if (!self || uv_loop_init(&self->loop) != 0) {
        free(self);
        return NULL;
    }
    self->count = count;
    for (long i = 0; i < count; i++)
        uv_timer_init(&self->loop, &self->timers[i]);
    return self;
}

static void count_one(uv_timer_t *timer) {
    struct uv_timers *self = (struct uv_timers *)timer->loop;
    self->fired++;
}

static void note_time(uv_timer_t *timer) {
    struct uv_timers *self = (struct uv_timers *)timer->loop;
    self->fired_ns = now_ns();
}

static void insert(void *timers, const uint32_t *delays_ms) {
    struct uv_timers *self = timers;
    uv_update_time(&self->loop);
    for (long i = 0; i < self->count; i++)
        if (uv_timer_start(&self->timers[i], count_one, delays_ms[i], 0) != 0)
            give_up("libuv refused a timer");
}

static void cancel(void *timers) {
    struct uv_timers *self = timers;
    for (long i = 0; i < self->count; i++)
        uv_timer_stop(&self->timers[i]);
}

static long expire(void *timers) {
    struct uv_timers *self = timers;
    self->fired = 0;
    uv_run(&self->loop, UV_RUN_DEFAULT);
    return self->fired;
}

static int64_t wait_one_ms(void *timers) {
    struct uv_timers *self = timers;
    uv_update_time(&self->loop);
    uint64_t start = now_ns();
    if (uv_timer_start(&self->timers[0], note_time, 1, 0) != 0)
        give_up("libuv refused a timer");
    uv_run(&self->loop, UV_RUN_DEFAULT);
    return (int64_t)(self->fired_ns - start) - 1000000;
}

static void destroy(void *timers) {
    struct uv_timers *self = timers;
    for (long i = 0; i < self->count; i++)
        uv_close((uv_handle_t *)&self->timers[i], NULL);
    uv_run(&self->loop, UV_RUN_DEFAULT);
    uv_loop_close(&self->loop);
    free(self);
}

const struct timer_peer timer_libuv = {
    .name = "libuv",
    .create = create,
    .insert = insert,
    .cancel = cancel,
    .expire = expire,
    .wait_one_ms = wait_one_ms,
    .destroy = destroy,
};
