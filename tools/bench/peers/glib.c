/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <glib.h>
#include <stdlib.h>

/* The function of a GThreadPool is fixed when it is made: tasks with another one carry it along. */
struct glib_pool {
    GThreadPool *pool;
    peer_run_fn run;
};

struct other_task {
    peer_run_fn run;
    void *argument;
};

/* Marks the address of an other_task; plain arguments have it clear. */
enum { OTHER_MARK = 1 };

static void run_task(gpointer data, gpointer context) {
    const struct glib_pool *pool = context;
    if ((guintptr)data & OTHER_MARK) {
        struct other_task *task = (struct other_task *)((guintptr)data - OTHER_MARK);
        struct other_task copy = *task;
        free(task);
        copy.run(copy.argument);
    } else {
        pool->run(data);
    }
}

static void *create(int workers, peer_run_fn run) {
    struct glib_pool *pool = g_new0(struct glib_pool, 1);
    pool->run = run;
    pool->pool = g_thread_pool_new(run_task, pool, workers, TRUE, NULL);
    return pool;
}

static void submit(void *pool, peer_run_fn run, void *argument) {
    struct glib_pool *self = pool;
    if (run != self->run || argument == NULL) {
        struct other_task *task = g_new(struct other_task, 1);
        *task = (struct other_task){.run = run, .argument = argument};
        argument = (void *)((guintptr)task + OTHER_MARK);
    }
    g_thread_pool_push(self->pool, argument, NULL);
}

static void destroy(void *pool) {
    struct glib_pool *self = pool;
    g_thread_pool_free(self->pool, FALSE, TRUE);
    g_free(self);
}

const struct peer peer_glib = {
    .name = "GLib GThreadPool",
    .create = create,
    .submit = submit,
    .destroy = destroy,
};
