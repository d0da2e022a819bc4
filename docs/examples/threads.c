/* SPDX-License-Identifier: MIT */
/* The workers' threads: their number, their name, their stack, and a hook at each end. */
#include <asynctools/asynctools.h>

#include <stdatomic.h>
#include <stdio.h>

struct hooks {
    _Atomic int started;
    _Atomic int stopped;
};

static void note_start(void *context) {
    atomic_fetch_add(&((struct hooks *)context)->started,
                     1); /* e.g. registers the thread somewhere */
}

static void note_stop(void *context) {
    atomic_fetch_add(&((struct hooks *)context)->stopped, 1);
}

int main(void) {
    struct hooks hooks = {0};
    at_pool *pool;
    at_pool_options options = {
        .thread_count = 3,
        .name = "render", /* the threads are render-0, render-1 and render-2 */
        .stack_bytes = 1024 * 1024,
        .on_thread_start = note_start,
        .on_thread_stop = note_stop,
        .context = &hooks,
    };
    if (at_pool_create(&pool, &options) != AT_OK) {
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
        return 1;
    }
    if (at_pool_thread_count(pool) != 3 || at_pool_current() != NULL)
        return 1;
    at_pool_destroy(pool);
    return atomic_load(&hooks.started) == 3 && atomic_load(&hooks.stopped) == 3 ? 0 : 1;
}
