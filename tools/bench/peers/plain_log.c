/* SPDX-License-Identifier: MIT */
#include "log.h"

#include "plain_stamp.h"

#include <pthread.h>
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

static bool close_file(void) {
    return fclose(file) == 0;
}

const struct log_peer log_plain = {
    .name = "mutex and fprintf",
    .open = open_file,
    .write = print_line,
    .close = close_file,
};
