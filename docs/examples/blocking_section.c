/* SPDX-License-Identifier: MIT */
/* Code that blocks its thread and has to stay on it, on a pool of one worker. */
#include <asynctools/asynctools.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

struct meeting {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_open;
};

static void *open_meeting(void *argument) {
    struct meeting *meeting = argument;
    pthread_mutex_lock(&meeting->mutex);
    meeting->is_open = true;
    pthread_cond_signal(&meeting->changed);
    pthread_mutex_unlock(&meeting->mutex);
    return NULL;
}

/* A mutex belongs to its thread, so this cannot move to a spare one; another thread does the
 * worker's work until the end of the section. */
static void *attend(void *argument) {
    struct meeting *meeting = argument;
    AT_TRY(at_pool_start(at_pool_current(), open_meeting, meeting));
    at_blocking_begin();
    pthread_mutex_lock(&meeting->mutex);
    while (!meeting->is_open)
        pthread_cond_wait(&meeting->changed, &meeting->mutex);
    pthread_mutex_unlock(&meeting->mutex);
    at_blocking_end();
    return NULL;
}

int main(void) {
    struct meeting meeting = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    at_pool *pool;
    expect(at_pool_create(&pool, &(at_pool_options){.thread_count = 1}) == AT_OK, "a pool");
    at_future *attended = at_pool_submit(pool, attend, &meeting);
    expect(at_future_wait(attended, AT_FOREVER, NULL) == AT_OK, "met");
    at_future_release(attended);
    at_pool_destroy(pool);
    return 0;
}
