/* SPDX-License-Identifier: MIT */
/* A callback API turned into futures. */
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

/* -- Somebody else's library: calls back from a thread of its own -- */

typedef struct reading {
    void (*done)(void *user, int error, double celsius);
    void *user;
    bool broken;
} reading;

static void *sensor_thread(void *argument) {
    reading request = *(reading *)argument;
    free(argument);
    request.done(request.user, request.broken ? 5 : 0, 21.5);
    return NULL;
}

static void sensor_read(pthread_t *thread, reading request) {
    reading *copy = malloc(sizeof *copy);
    expect(copy, "memory");
    *copy = request;
    expect(pthread_create(thread, NULL, sensor_thread, copy) == 0, "a thread");
}

/* -- And its future -- */

static void complete(void *user, int error, double celsius) {
    at_promise *promise = user;
    double *value = malloc(sizeof *value);
    at_status status;
    if (error || !value) {
        free(value);
        (void)at_fail_status(AT_ERROR_IO, "the sensor gave error %d", error);
        status = at_promise_fail(promise, at_error_take());
    } else {
        *value = celsius;
        status = at_promise_set(promise, value, free);
    }
    expect(status == AT_OK, "no other outcome came first");
    at_promise_destroy(promise);
}

static at_future *read_celsius(pthread_t *thread, at_pool *pool, bool broken) {
    at_promise *promise;
    expect(at_promise_create(&promise, at_pool_executor(pool)) == AT_OK, "a promise");
    at_future *future = at_promise_future(promise); /* before the callback may destroy it */
    sensor_read(thread, (reading){.done = complete, .user = promise, .broken = broken});
    return future;
}

int main(void) {
    at_pool *pool;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    pthread_t threads[2];
    at_future *good = read_celsius(&threads[0], pool, false);
    at_future *bad = read_celsius(&threads[1], pool, true);
    void *value;
    expect(at_future_wait(good, AT_FOREVER, &value) == AT_OK, "a value");
    expect(*(double *)value == 21.5, "its temperature");
    expect(at_future_wait(bad, AT_FOREVER, NULL) == AT_ERROR_IO, "a failure");
    at_future_release(good);
    at_future_release(bad);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);

    /* A promise that is destroyed without an outcome fails its future. */
    at_promise *promise;
    expect(at_promise_create(&promise, at_pool_executor(pool)) == AT_OK, "a promise");
    at_future *lost = at_promise_future(promise);
    at_promise_destroy(promise);
    expect(at_future_wait(lost, AT_FOREVER, NULL) == AT_ERROR_ABANDONED, "abandoned");
    at_future_release(lost);
    at_pool_destroy(pool);
    return 0;
}
