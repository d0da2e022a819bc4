/* SPDX-License-Identifier: MIT
 *
 * stderr is a pipe (rule J3): one that nobody reads does not end the process by SIGPIPE; one that
 * does not block and is full keeps lines waiting, and none is torn. */
#include "plain/log_support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static int real_stderr;
static atomic_bool is_flushed;

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

static void *flush(void *logger) {
    static at_status status;
    status = at_logger_flush(logger, at_after(AT_SECONDS(10)));
    atomic_store(&is_flushed, true);
    return &status;
}

/* A flush waits for the lines before it: a reader that is as slow as lines come does not hold it up
 * for ever. */
static void flush_beside_lines(void) {
    enum { kept_lines = 1500, lines_between = 20 };
    int ends[2];
    REQUIRE(pipe2(ends, O_NONBLOCK) == 0);
    at_logger *logger =
        create_logger(&(at_logger_options){.descriptor = ends[1], .ring_bytes = 1 << 20});
    for (int i = 0; i < kept_lines; i++)
        at_log_info(logger, "line", at_kv("text", "some text to make the line longer"));
    REQUIRE(at_logger_flush(logger, at_after(AT_MILLISECONDS(10))) == AT_ERROR_TIMED_OUT);
    pthread_t flusher;
    REQUIRE(pthread_create(&flusher, NULL, flush, logger) == 0);
    char bytes[lines_between * 100];
    while (!atomic_load(&is_flushed)) {
        for (int i = 0; i < lines_between; i++)
            at_log_warn(logger, "line", at_kv("text", "some text to make the line longer"));
        if (read(ends[0], bytes, sizeof bytes) < 0)
            sched_yield();
    }
    void *status;
    REQUIRE(pthread_join(flusher, &status) == 0);
    REQUIRE(*(at_status *)status == AT_OK);
    close(ends[0]);
    at_logger_destroy(logger);
    close(ends[1]);
}

/* Reads what is in a pipe behind what is in `text` already. */
static size_t read_all(int end, char *text, size_t length, size_t room) {
    ssize_t size;
    while ((size = read(end, text + length, room - length - 1)) > 0)
        length += (size_t)size;
    text[length] = '\0';
    return length;
}

/* Without a logger nothing is kept: a line that is left torn ends before the next one. */
static void write_long_lines_to_a_full_pipe(void) {
    enum { pipe_size = 64 * 1024, page_size = 4096, line_count = 12 };
    static char long_text[3900];
    static char text[2 * pipe_size] = "";
    memset(long_text, 'x', sizeof long_text - 1);
    int end = make_stderr_a_pipe();
    fcntl(end, F_SETFL, O_NONBLOCK);
    fcntl(2, F_SETFL, O_NONBLOCK);
    memset(text, '\n', page_size); /* a line takes two of 16 pages: one is written in part */
    REQUIRE(write(2, text, page_size) == page_size);
    for (int i = 0; i < line_count; i++)
        at_log_warn(NULL, "line", at_kv("one", (const char *)long_text),
                    at_kv("other", (const char *)long_text));
    size_t length = read_all(end, text, 0, sizeof text);
    bool was_torn = text[length - 1] != '\n';
    at_log_warn(NULL, "after");
    read_all(end, text, length, sizeof text);
    dup2(real_stderr, 2);
    close(end);
    REQUIRE(was_torn);
    REQUIRE(strncmp(text + length, "\n{\"ts\":", 7) == 0);
    json_t *line = json_loads(text + length, JSON_REJECT_DUPLICATES, NULL);
    REQUIRE(line != NULL);
    json_decref(line);
}

int main(void) {
    real_stderr = fcntl(2, F_DUPFD_CLOEXEC, 3);
    write_to_a_pipe_without_reader();
    write_to_a_full_pipe();
    flush_beside_lines();
    write_long_lines_to_a_full_pipe();
    return 0;
}
