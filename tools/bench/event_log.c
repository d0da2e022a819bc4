/* SPDX-License-Identifier: MIT */
#include "event_log.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct event_log {
    pthread_mutex_t lock; /* guards `file` */
    FILE *file;
};

struct event_log *event_log_open(const char *path) {
    struct event_log *log = calloc(1, sizeof(*log));
    if (!log)
        return NULL;
    log->file = fopen(path, "ae");
    if (!log->file) {
        free(log);
        return NULL;
    }
    pthread_mutex_init(&log->lock, NULL);
    return log;
}

void event_log_close(struct event_log *log) {
    if (!log)
        return;
    fclose(log->file);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

/* Takes `fields`, which may be NULL without memory: the line is then lost. */
static void write_line(struct event_log *log, const char *level, const char *event,
                       json_t *fields) {
    struct timespec now;
    struct tm parts;
    char seconds[32], stamp[64];
    clock_gettime(CLOCK_REALTIME, &now);
    strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &parts));
    snprintf(stamp, sizeof(stamp), "%s.%06ldZ", seconds, now.tv_nsec / 1000);
    json_t *line = json_pack("{ss ss ss}", "ts", stamp, "level", level, "event", event);
    if (line && fields && json_object_update(line, fields) == 0) {
        pthread_mutex_lock(&log->lock);
        json_dumpf(line, log->file, JSON_COMPACT);
        fputc('\n', log->file);
        pthread_mutex_unlock(&log->lock);
    }
    json_decref(line);
    json_decref(fields);
}

void event_log_problem(struct event_log *log, const char *problem, const char *path,
                       const char *why) {
    char event[64];
    if (!log)
        return;
    snprintf(event, sizeof(event), "index.%s", problem);
    write_line(log, "warn", event, json_pack("{ss* ss*}", "path", path, "why", why));
}

void event_log_progress(struct event_log *log, uint64_t files, uint64_t found, uint64_t bytes) {
    if (log)
        write_line(log, "info", "index.progress",
                   json_pack("{sI sI sI}", "files", (json_int_t)files, "found", (json_int_t)found,
                             "bytes", (json_int_t)bytes));
}

void event_log_message(struct event_log *log, const char *event, const char *text) {
    if (log)
        write_line(log, "info", event, json_pack("{ss}", "message", text));
}
