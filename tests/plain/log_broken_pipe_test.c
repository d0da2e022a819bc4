/* SPDX-License-Identifier: MIT
 *
 * stderr is a pipe that nobody reads (rule J3): SIGPIPE does not end the process, neither by the
 * backend nor by lines that the caller writes. */
#include "plain/log_support.h"

#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    int real_stderr = dup(2);
    REQUIRE(dup2(ends[1], 2) == 2);
    close(ends[0]);
    close(ends[1]);
    at_logger *logger = create_logger(NULL);
    at_log_info(logger, "line");
    at_status flushed = at_logger_flush(logger, at_after(AT_SECONDS(20)));
    at_log_warn(NULL, "line");
    pid_t child = fork();
    if (child == 0) {
        at_log_info(logger, "line");
        _exit(0);
    }
    int status;
    pid_t waited = waitpid(child, &status, 0);
    at_logger_destroy(logger);
    dup2(real_stderr, 2);
    REQUIRE(flushed == AT_ERROR_IO);
    REQUIRE(waited == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}
