/* SPDX-License-Identifier: MIT */
#include <asynctools/asynctools.h>

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static at_logger *logger;

/* logrotate has moved the file, and says so. */
static void open_anew(int signal) {
    (void)signal;
    at_logger_reopen(logger);
}

int main(void) {
    /* A file of 16 KiB at most, one for each day at least, and the last three before it. */
    const at_logger_options options = {.path = "/tmp/asynctools_example.log",
                                       .rotate_bytes = 16 * 1024,
                                       .rotate_interval = AT_HOURS(24),
                                       .rotate_count = 3};
    if (at_logger_create(&logger, &options) != AT_OK) {
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
        return 1;
    }
    signal(SIGHUP, open_anew);
    for (int order = 0; order < 500; order++)
        at_log_info(logger, "order.packed", at_kv("order", order), at_kv("items", 3));
    raise(SIGHUP);
    if (at_logger_flush(logger, at_after(AT_SECONDS(5))) != AT_OK)
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));

    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    printf("%d files were full, %d could not be moved\n", (int)statistics.rotations,
           (int)statistics.rotate_errors);
    at_logger_destroy(logger);

    unlink("/tmp/asynctools_example.log");
    for (int number = 1; number <= 3; number++) {
        char name[64];
        snprintf(name, sizeof name, "/tmp/asynctools_example.log.%d", number);
        unlink(name);
    }
    return 0;
}
