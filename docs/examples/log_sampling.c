/* SPDX-License-Identifier: MIT */
#include <asynctools/asynctools.h>

#include <stdio.h>

int main(void) {
    /* Of each event 3 lines in a second, and then every 100th. Warnings are all written. */
    const at_logger_options options = {
        .memory_bytes = 65536, .sample_first = 3, .sample_every = 100};
    at_logger *logger;
    if (at_logger_create(&logger, &options) != AT_OK) {
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
        return 1;
    }

    for (int i = 0; i < 1000; i++)
        at_log_info(logger, "packet.received", at_kv("number", i));

    at_status status = at_logger_flush(logger, at_after(AT_SECONDS(5)));
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    printf("%d lines written, %d left out\n", (int)statistics.written, (int)statistics.sampled);
    at_logger_destroy(logger);
    return status == AT_OK ? 0 : 1;
}
