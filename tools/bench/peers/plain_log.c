/* SPDX-License-Identifier: MIT */
#include "log.h"

#include "plain_stamp.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static pthread_mutex_t file_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static FILE *file;
static struct plain_stamp stamp;

static bool open_file(const char *path) {
    file = fopen(path, "we");
    return file != NULL;
}

/* What people write themselves. Texts are not escaped. */
static void print_line(long number) {
    struct timespec now;
    pid_t thread = gettid();
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&file_lock);
    fprintf(file,
            "{\"ts\":\"%s.%06ldZ\",\"level\":\"warn\",\"event\":\"%s\",\"logger\":\"bench\","
            "\"request\":%ld,\"path\":\"%s\",\"bytes\":%ld,\"duration_ms\":%g,\"cached\":%s,"
            "\"thread\":\"at-bench/%d\",\"source\":\"%s:%d\"}\n",
            plain_stamp_second(&stamp, now.tv_sec), now.tv_nsec / 1000, LOG_EVENT, number, LOG_PATH,
            log_bytes(number), log_duration(number), log_cached(number) ? "true" : "false",
            (int)thread, "plain_log.c", __LINE__);
    pthread_mutex_unlock(&file_lock);
}

static double milliseconds_between(const struct timespec *start, const struct timespec *end) {
    return (double)(end->tv_sec - start->tv_sec) * 1e3 +
           (double)(end->tv_nsec - start->tv_nsec) / 1e6;
}

/* An operation as people write it: a clock, a number for its id and two lines. */
static void print_operation(long number) {
    static _Atomic unsigned long last_id;
    pid_t thread = gettid();
    struct timespec start, now, end;
    unsigned long id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed);
    clock_gettime(CLOCK_MONOTONIC, &start);
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&file_lock);
    fprintf(
        file,
        "{\"ts\":\"%s.%06ldZ\",\"level\":\"warn\",\"event\":\"%s.started\",\"logger\":\"bench\","
        "\"operation_id\":\"%016lx\",\"thread\":\"at-bench/%d\"}\n",
        plain_stamp_second(&stamp, now.tv_sec), now.tv_nsec / 1000, LOG_OPERATION, id, (int)thread);
    pthread_mutex_unlock(&file_lock);
    clock_gettime(CLOCK_MONOTONIC, &end);
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&file_lock);
    fprintf(file,
            "{\"ts\":\"%s.%06ldZ\",\"level\":\"warn\",\"event\":\"%s.completed\",\"logger\":"
            "\"bench\",\"operation_id\":\"%016lx\",\"duration_ms\":%g,\"request\":%ld,"
            "\"path\":\"%s\",\"bytes\":%ld,\"thread\":\"at-bench/%d\"}\n",
            plain_stamp_second(&stamp, now.tv_sec), now.tv_nsec / 1000, LOG_OPERATION, id,
            milliseconds_between(&start, &end), number, LOG_PATH, log_bytes(number), (int)thread);
    pthread_mutex_unlock(&file_lock);
}

static bool close_file(void) {
    return fclose(file) == 0;
}

const struct log_peer log_plain = {
    .name = "mutex and fprintf",
    .lines = 1,
    .open = open_file,
    .write = print_line,
    .close = close_file,
};

const struct log_peer operation_plain = {
    .name = "clock and two fprintf",
    .lines = 2,
    .open = open_file,
    .write = print_operation,
    .close = close_file,
};
