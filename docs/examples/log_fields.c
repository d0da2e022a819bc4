/* SPDX-License-Identifier: MIT */
#include <asynctools/asynctools.h>

#include <stdio.h>

int main(void) {
    const at_logger_options options = {.memory_bytes = 65536};
    at_logger *logger;
    if (at_logger_create(&logger, &options) != AT_OK) {
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
        return 1;
    }

    /* The type of a field is that of its value. Bytes become hexadecimal digits. */
    const unsigned char digest[] = {0x5f, 0x00, 0xa1};
    const char *user = "ada";
    at_log_info(logger, "session.opened", at_kv("user", user), at_kv("attempt", 2),
                at_kv_bytes("digest", digest, sizeof digest), at_kv_null("proxy"));

    /* What nobody is to see has its place in the line, and no value. */
    const char *token = "s3cr3t";
    at_log_info(logger, "token.issued", at_kv("user", user), at_secret("token", token));

    at_status status = at_logger_flush(logger, at_after(AT_SECONDS(5)));
    char *lines;
    if (status == AT_OK && at_logger_memory_lines(logger, &lines) == AT_OK) {
        fputs(lines, stdout);
        at_logger_memory_release(lines);
    }
    at_logger_destroy(logger);
    return status == AT_OK ? 0 : 1;
}
