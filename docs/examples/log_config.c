/* SPDX-License-Identifier: MIT */
/* A logger whose options stand in a file, read anew while it works. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/log-config-XXXXXX";

/* What an administrator does with an editor. */
static void write_file(const char *text) {
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) == EOF || fclose(file) != 0)
        exit(1);
}

static void explain(const char *what) {
    printf("%s: %s\n", what, strrchr(at_error_text(at_error_last()), '/') + 1);
}

int main(void) {
    close(mkstemp(path));
    write_file("{\n"
               "    \"name\": \"shop\",\n"
               "    \"level\": \"info\",\n"
               "    \"levels\": {\"shop.http\": \"warn\"},\n"
               "    \"ring_bytes\": \"256 KiB\",\n"
               "    \"memory_bytes\": \"1 MiB\"\n"
               "}\n");
    at_logger *logger;
    if (at_logger_create_from_file(&logger, path) != AT_OK) {
        explain("cannot start");
        return 1;
    }
    at_log_debug(logger, "cache.miss", at_kv("key", "never made"));

    /* A server does this when it gets SIGHUP. What is wrong is named, and changes nothing. */
    write_file("{\n    \"level\": \"debug\",\n    \"ring_bites\": \"256 KiB\"\n}\n");
    if (at_logger_configure(logger, path) != AT_OK)
        explain("goes on as before");
    write_file("{\n    \"level\": \"debug\"\n}\n");
    if (at_logger_configure(logger, path) != AT_OK)
        return 1;
    at_log_debug(logger, "cache.hit", at_kv("key", "orders"));
    printf("level: %s\n", at_log_level_name(at_logger_level(logger)));

    unlink(path);
    bool changed = at_logger_level(logger) == AT_LOG_DEBUG;
    at_logger_destroy(logger);
    return changed ? 0 : 1;
}
