/* SPDX-License-Identifier: MIT
 *
 * stderr is a pipe (rule J3): one that nobody reads does not end the process by SIGPIPE; one that
 * does not block and is full keeps lines waiting, and none is torn. */
#include "plain/log_support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static int real_stderr;

/* Makes fd 2 the writing end of a pipe; gives the reading end. */
static int make_stderr_a_pipe(void) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    REQUIRE(dup2(ends[1], 2) == 2);
    close(ends[1]);
    return ends[0];
}

static void write_to_a_pipe_without_reader(void) {
    close(make_stderr_a_pipe());
    at_logger *logger = create_logger(NULL);
    at_log_info(logger, "line");
    at_status flushed = at_logger_flush(logger, at_after(AT_SECONDS(20)));
    at_log_warn(NULL, "line");
    at_log_fatal(logger, "line");
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
}

/* Copies what comes through the pipe to a file. */
static void *copy_to_file(void *argument) {
    const int *ends = argument;
    char bytes[1000];
    ssize_t size;
    while ((size = read(ends[0], bytes, sizeof bytes)) > 0)
        REQUIRE(write(ends[1], bytes, (size_t)size) == size);
    return NULL;
}

static void write_to_a_full_pipe(void) {
    enum { line_count = 3000 };
    char path[] = "/tmp/log_pipe_XXXXXX";
    int ends[2] = {make_stderr_a_pipe(), mkstemp(path)};
    fcntl(2, F_SETFL, O_NONBLOCK);
    at_logger *logger = create_logger(&(at_logger_options){.ring_bytes = 1 << 20});
    for (int i = 0; i < line_count / 2; i++)
        at_log_info(logger, "line", at_kv("line", i));
    at_status before = at_logger_flush(logger, at_after(AT_MILLISECONDS(50)));
    pthread_t reader;
    int started = pthread_create(&reader, NULL, copy_to_file, ends);
    at_status after = at_logger_flush(logger, at_after(AT_SECONDS(20)));
    for (int i = line_count / 2; i < line_count; i++)
        at_log_info(logger, "line", at_kv("line", i));
    at_logger_destroy(logger);
    dup2(real_stderr, 2);
    REQUIRE(started == 0);
    pthread_join(reader, NULL);
    close(ends[0]);
    close(ends[1]);
    REQUIRE(before == AT_ERROR_TIMED_OUT);
    REQUIRE(after == AT_OK);
    REQUIRE(count_events(path, "line") == line_count);
    unlink(path);
}

int main(void) {
    real_stderr = fcntl(2, F_DUPFD_CLOEXEC, 3);
    write_to_a_pipe_without_reader();
    write_to_a_full_pipe();
    return 0;
}
