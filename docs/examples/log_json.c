/* SPDX-License-Identifier: MIT */
#include <asynctools/asynctools.h>
#include <jansson.h>
#include <stdio.h>

int main(void) {
    const at_logger_options options = {.memory_bytes = 65536};
    at_logger *logger;
    if (at_logger_create(&logger, &options) != AT_OK) {
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
        return 1;
    }

    /* A tree of jansson is a value like any other. It is borrowed for the call. */
    json_t *events = json_pack("[{s:s, s:i}, {s:s, s:i}]", "name", "login", "count", 3, "name",
                               "logout", "count", 1);
    at_log_info(logger, "event_summary", at_kv("events", events), at_kv("total", 4));
    json_decref(events);

    at_status status = at_logger_flush(logger, at_after(AT_SECONDS(5)));
    char *lines;
    if (status == AT_OK && at_logger_memory_lines(logger, &lines) == AT_OK) {
        fputs(lines, stdout);
        at_logger_memory_release(lines);
    }
    at_logger_destroy(logger);
    return status == AT_OK ? 0 : 1;
}
