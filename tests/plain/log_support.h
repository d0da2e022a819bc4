/* SPDX-License-Identifier: MIT
 *
 * What the plain programs of the log share. */
#ifndef TEST_PLAIN_LOG_SUPPORT_H
#define TEST_PLAIN_LOG_SUPPORT_H

#include <asynctools/error.h>
#include <asynctools/log.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Reads a file of lines, each of which has to be JSON. Gives the number of lines with `event` (of
 * all lines for NULL). */
static inline size_t count_events(const char *path, const char *event) {
    FILE *file = fopen(path, "r");
    REQUIRE(file != NULL);
    size_t count = 0;
    char line[8194];
    while (fgets(line, sizeof line, file)) {
#if defined(__SANITIZE_ADDRESS__)
        if (strncmp(line, "==", 2) == 0) /* what the leak check says on the same stderr */
            continue;
#endif
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        if (!object || line[strlen(line) - 1] != '\n') {
            fprintf(stderr, "not a line: %s\n", line);
            exit(1);
        }
        const char *found = json_string_value(json_object_get(object, "event"));
        if (!event || (found && strcmp(found, event) == 0))
            count++;
        json_decref(object);
    }
    fclose(file);
    return count;
}

static inline at_logger *create_logger(const at_logger_options *options) {
    at_logger *logger;
    if (at_logger_create(&logger, options) != AT_OK) {
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
        exit(1);
    }
    return logger;
}

#endif
