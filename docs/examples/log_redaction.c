/* SPDX-License-Identifier: MIT */
#include <asynctools/asynctools.h>

#include <stdio.h>

int main(void) {
    /* The values of these keys are never written, whoever logs them. */
    const at_logger_options options = {.memory_bytes = 65536,
                                       .redacted_keys = "password,token,authorization"};
    at_logger *logger;
    if (at_logger_create(&logger, &options) != AT_OK) {
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
        return 1;
    }

    at_log_info(logger, "login", at_kv("user", "ada"), at_kv("password", "hunter2"),
                at_kv("http.request.Authorization", "Basic YWRhOmh1bnRlcjI="));

    at_status status = at_logger_flush(logger, at_after(AT_SECONDS(5)));
    char *lines;
    if (status == AT_OK && at_logger_memory_lines(logger, &lines) == AT_OK) {
        fputs(lines, stdout);
        at_logger_memory_release(lines);
    }
    at_logger_destroy(logger);
    return status == AT_OK ? 0 : 1;
}
