/* SPDX-License-Identifier: MIT */
#include "log.h"

#include "plain_stamp.h"

#include <glib.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_ROOM = 1024 };

static pthread_mutex_t file_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static FILE *file;
static struct plain_stamp stamp;

static char *put(char *to, const char *text) {
    return stpcpy(to, text);
}

/* A member; texts are quoted and escaped, numbers come with their length and stand as they are. */
static char *put_member(char *to, const GLogField *field) {
    to = put(put(put(to, "\""), field->key), "\":");
    if (field->length >= 0) {
        memcpy(to, field->value, (size_t)field->length);
        return put(to + field->length, ",");
    }
    *to++ = '"';
    for (const char *from = field->value; *from; from++) {
        if (*from == '"' || *from == '\\')
            *to++ = '\\';
        *to++ = *from;
    }
    return put(to, "\",");
}

/* Makes the line outside the lock, and writes it as the line of the other peers. */
static GLogWriterOutput write_fields(GLogLevelFlags level, const GLogField *fields, gsize count,
                                     gpointer context) {
    char line[LINE_ROOM];
    char *to = line;
    struct timespec now;
    (void)context;
    if (level == G_LOG_LEVEL_DEBUG)
        return G_LOG_WRITER_HANDLED;
    for (gsize i = 0; i < count; i++)
        to = put_member(to, &fields[i]);
    snprintf(to, (size_t)(line + LINE_ROOM - to), "\"thread\":\"at-bench/%d\"}\n", (int)gettid());
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&file_lock);
    fprintf(file, "{\"ts\":\"%s.%06ldZ\",\"level\":\"warn\",",
            plain_stamp_second(&stamp, now.tv_sec), now.tv_nsec / 1000);
    fputs(line, file);
    pthread_mutex_unlock(&file_lock);
    return G_LOG_WRITER_HANDLED;
}

static bool open_file(const char *path) {
    static bool is_set; /* GLib takes a writer once */
    if (!is_set)
        g_log_set_writer_func(write_fields, NULL, NULL);
    is_set = true;
    file = fopen(path, "we");
    return file != NULL;
}

/* GLib's fields are texts; those of numbers are made by the caller. */
static void log_fields(GLogLevelFlags level, long number) {
    char request[24], bytes[24], duration[32];
    const GLogField fields[] = {
        {"event", LOG_EVENT, -1},
        {"logger", "bench", -1},
        {"request", request, snprintf(request, sizeof(request), "%ld", number)},
        {"path", LOG_PATH, -1},
        {"bytes", bytes, snprintf(bytes, sizeof(bytes), "%ld", log_bytes(number))},
        {"duration_ms", duration, snprintf(duration, sizeof(duration), "%g", log_duration(number))},
        {"cached", log_cached(number) ? "true" : "false", log_cached(number) ? 4 : 5},
        {"source", "log_glib.c:" G_STRINGIFY(__LINE__), -1},
    };
    g_log_structured_array(level, fields, sizeof(fields) / sizeof(fields[0]));
}

static void write_line(long number) {
    log_fields(G_LOG_LEVEL_WARNING, number);
}

/* GLib asks its writer, behind the fields. */
static void skip_lines(long count) {
    for (long i = 0; i < count; i++)
        log_fields(G_LOG_LEVEL_DEBUG, i);
}

static bool close_file(void) {
    return fclose(file) == 0;
}

const struct log_peer log_glib = {
    .name = "GLib structured",
    .lines = 1,
    .open = open_file,
    .write = write_line,
    .close = close_file,
    .skip = skip_lines,
};
