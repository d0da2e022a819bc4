/* SPDX-License-Identifier: MIT */
#include "messages.h"
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

/* Only the thread of the loop may queue work, and each task ends with a callback there: that is
 * how libuv is used, so it takes part with one producer, which is the loop. The threads are those
 * of the process, counted by UV_THREADPOOL_SIZE when the first work is queued. */
struct uv_pool {
    uv_loop_t loop;
    unsigned until_turn; /* submits until the loop turns and frees what has ended */
};

struct uv_task {
    uv_work_t work;
    peer_run_fn run;
    void *argument;
};

enum { SUBMITS_A_TURN = 1024 };

static void *create(int workers) {
    static int first_workers;
    char text[16];
    if (first_workers == 0) {
        first_workers = workers;
        snprintf(text, sizeof(text), "%d", workers);
        setenv("UV_THREADPOOL_SIZE", text, 1);
    }
    if (workers != first_workers) {
        give_up("libuv keeps the number of threads that it began with");
        return NULL;
    }
    struct uv_pool *pool = calloc(1, sizeof(*pool));
    if (!pool || uv_loop_init(&pool->loop) != 0) {
        free(pool);
        return NULL;
    }
    pool->until_turn = SUBMITS_A_TURN;
    return pool;
}

static void run_task(uv_work_t *work) {
    struct uv_task *task = (struct uv_task *)work;
    task->run(task->argument);
}

static void end_task(uv_work_t *work, int status) {
    (void)status;
    free(work);
}

static void submit(void *pool, peer_run_fn run, void *argument) {
    struct uv_pool *self = pool;
    struct uv_task *task = malloc(sizeof(*task));
    if (task) {
        task->run = run;
        task->argument = argument;
    }
    if (!task || uv_queue_work(&self->loop, &task->work, run_task, end_task) != 0) {
        fprintf(stderr, "at-bench: libuv refused work\n");
    }
    if (--self->until_turn == 0) {
        self->until_turn = SUBMITS_A_TURN;
        uv_run(&self->loop, UV_RUN_NOWAIT);
    }
}

static void drain(void *pool) {
    uv_run(&((struct uv_pool *)pool)->loop, UV_RUN_DEFAULT);
}

static void round_trip(void *pool, peer_run_fn run, void *argument) {
    submit(pool, run, argument);
    drain(pool);
}

static void destroy(void *pool) {
    struct uv_pool *self = pool;
    drain(self);
    uv_loop_close(&self->loop);
    free(self);
}

const struct peer peer_libuv = {
    .name = "libuv uv_queue_work",
    .one_producer = true,
    .no_nesting = true,
    .create = create,
    .submit = submit,
    .drain = drain,
    .round_trip = round_trip,
    .destroy = destroy,
};
