/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <glib.h>

/* The function of a GThreadPool is fixed when it is made, so each task carries its own along. */
struct glib_task {
    peer_run_fn run;
    void *argument;
};

static void run_task(gpointer data, gpointer context) {
    (void)context;
    struct glib_task task = *(struct glib_task *)data;
    g_free(data);
    task.run(task.argument);
}

static void *create(int workers) {
    return g_thread_pool_new(run_task, NULL, workers, TRUE, NULL);
}

static void submit(void *pool, peer_run_fn run, void *argument) {
    struct glib_task *task = g_new(struct glib_task, 1);
    *task = (struct glib_task){.run = run, .argument = argument};
    g_thread_pool_push(pool, task, NULL);
}

static void destroy(void *pool) {
    g_thread_pool_free(pool, FALSE, TRUE);
}

const struct peer peer_glib = {
    .name = "GLib GThreadPool",
    .create = create,
    .submit = submit,
    .destroy = destroy,
};
