/* SPDX-License-Identifier: MIT */
#include <asynctools/asynctools.h>

#include <stdio.h>

int main(void) {
    const at_logger_options options = {.name = "shop", .use_journal = true};
    at_logger *logger;
    if (at_logger_create(&logger, &options) != AT_OK) {
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
        return 1;
    }
    at_log_warn(logger, "stock.low", at_kv("article", 4711), at_kv("left", 3));
    if (at_logger_flush(logger, at_after(AT_SECONDS(5))) != AT_OK) /* there is no journal here */
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
    at_logger_destroy(logger);
    return 0;
}
