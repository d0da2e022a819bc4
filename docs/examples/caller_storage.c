/* SPDX-License-Identifier: MIT */
/* A task in the caller's own storage: starting it cannot fail for memory. */
#include <asynctools/asynctools.h>

#include <stdatomic.h>

/* What is to be done, with its place in the pool's queue. */
struct request {
    at_task task;
    at_pool *pool;
    int rounds; /* left */
    _Atomic int done;
};

static void *serve(void *argument) {
    struct request *request = argument;
    if (--request->rounds > 0) {
        /* Once `run` is entered the storage is free for the next start. */
        AT_TRY(at_pool_start_task(request->pool, &request->task));
        return NULL; /* the request may be running again by now: do not touch it */
    }
    atomic_store(&request->done, 1);
    return NULL;
}

int main(void) {
    static struct request requests[8];
    at_pool *pool;
    if (at_pool_create(&pool, NULL) != AT_OK)
        return 1;
    for (int i = 0; i < 8; i++) {
        struct request *request = &requests[i];
        request->pool = pool;
        request->rounds = 1000;
        at_task_init(&request->task, serve, request);
        if (at_pool_start_task(pool, &request->task) != AT_OK)
            return 1;
    }
    at_pool_destroy(pool); /* all rounds have run */
    for (int i = 0; i < 8; i++)
        if (!atomic_load(&requests[i].done))
            return 1;
    return 0;
}
