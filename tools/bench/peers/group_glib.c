/* SPDX-License-Identifier: MIT */
#include "group.h"

#include <glib.h>

/* A GThreadPool has as many threads of its own as its limit, however many workers there are. */
struct glib_group {
    GThreadPool *threads;
};

struct glib_work {
    peer_run_fn run;
    void *argument;
};

static void run_work(gpointer data, gpointer context) {
    (void)context;
    struct glib_work work = *(struct glib_work *)data;
    g_free(data);
    work.run(work.argument);
}

static void *create(int workers) {
    (void)workers;
    return g_new0(struct glib_group, 1);
}

static void open_group(void *pool, const struct group_bounds *bounds) {
    ((struct glib_group *)pool)->threads =
        g_thread_pool_new(run_work, NULL, (int)bounds->running, TRUE, NULL);
}

static void submit(void *pool, peer_run_fn run, void *argument) {
    struct glib_work *work = g_new(struct glib_work, 1);
    *work = (struct glib_work){.run = run, .argument = argument};
    g_thread_pool_push(((struct glib_group *)pool)->threads, work, NULL);
}

static void close_group(void *pool) {
    g_thread_pool_free(((struct glib_group *)pool)->threads, FALSE, TRUE);
}

const struct group_peer group_glib = {
    .name = "GLib GThreadPool",
    .create = create,
    .open = open_group,
    .submit = submit,
    .close = close_group,
    .destroy = g_free,
};
