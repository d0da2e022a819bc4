/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "messages.h"
#include "timer.h"

#include <asynctools/future.h>
#include <asynctools/pool.h>
#include <asynctools/sleep.h>

static void expect(at_status status) {
    if (status != AT_OK)
        give_up("%s", at_error_message(at_error_last()));
}

static void *create_pool(int workers, long count) {
    at_pool *pool;
    (void)count;
    expect(at_pool_create(&pool, &(at_pool_options){.thread_count = workers}));
    return pool;
}

static void *sleep_one_ms(void *argument) {
    uint64_t start = now_ns();
    expect(at_sleep(AT_MILLISECONDS(1)));
    *(int64_t *)argument = (int64_t)(now_ns() - start) - 1000000;
    return NULL;
}

static int64_t wait_in_task(void *timers) {
    int64_t late_ns;
    at_future *future = at_pool_submit(timers, sleep_one_ms, &late_ns);
    expect(at_future_wait(future, AT_FOREVER, NULL));
    at_future_release(future);
    return late_ns;
}

static void destroy_pool(void *timers) {
    at_pool_destroy(timers);
}

const struct timer_peer timer_library_sleep = {
    .name = "asynctools at_sleep",
    .is_library = true,
    .create = create_pool,
    .wait_one_ms = wait_in_task,
    .destroy = destroy_pool,
};
