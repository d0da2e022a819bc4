/* SPDX-License-Identifier: MIT */
#include <asynctools/asynctools.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    int ends[2];
    if (pipe(ends) != 0)
        return 1;
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    at_logger *logger;
    if (at_logger_create(&logger, &(at_logger_options){.descriptor = ends[1]}) != AT_OK) {
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
        return 1;
    }
    at_log_info(logger, "service.started", at_kv("port", 8080));
    at_logger_destroy(logger); /* the pipe stays open: it is ours */

    char line[8192];
    ssize_t length = read(ends[0], line, sizeof line);
    printf("%.*s", (int)length, line);
    close(ends[0]);
    close(ends[1]);
    return length > 0 ? 0 : 1;
}
