/* SPDX-License-Identifier: MIT
 *
 * What exit() has to say of lines that did not come into the log (rules J2 and J3), in a process
 * and in the child of a fork, which has no thread of the logger's own. */
#include "log/logger.h"
#include "plain/log_support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[] = "/tmp/log_exit_report_XXXXXX";
static char said[] = "/tmp/log_exit_said_XXXXXX"; /* stderr of the children */

static void wait_for(pid_t child) {
    int status;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Runs `body` in a child, which ends well. */
static void run(void (*body)(void)) {
    REQUIRE(truncate(path, 0) == 0 && truncate(said, 0) == 0);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        int descriptor = open(said, O_WRONLY | O_APPEND | O_CLOEXEC);
        REQUIRE(dup2(descriptor, 2) == 2);
        body();
        exit(0);
    }
    wait_for(child);
}

/* More than a ring has room for while the backend waits for the sinks, and a rule that leaves the
 * rest of the event out, however long that takes. */
static void drop_and_sample(void) {
    at_logger *logger = create_logger(&(at_logger_options){.path = path,
                                                           .ring_bytes = 32 * 1024,
                                                           .sample_first = 20000,
                                                           .sample_interval = AT_SECONDS(3600)});
    ati_lock_acquire(&logger->core->write_lock);
    for (int i = 0; i < 40000; i++)
        at_log_info(logger, "line", at_kv("text", "some text to make the line longer"));
    ati_lock_release(&logger->core->write_lock);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    REQUIRE(statistics.dropped[AT_LOG_INFO] > 0);
    REQUIRE(statistics.sampled > 0);
}

static void log_to_a_full_disk(at_logger *logger) {
    for (int i = 0; i < 10; i++)
        at_log_error(logger, "line", at_kv("line", i));
}

static void exit_with_a_full_disk(void) {
    log_to_a_full_disk(create_logger(&(at_logger_options){.path = "/dev/full"}));
}

static void *log_on(void *logger) {
    for (;;)
        at_log_warn(logger, "line");
    return NULL;
}

/* Callers write to the sink that the logger's thread reports. */
static void exit_beside_a_thread(void) {
    at_logger *logger =
        create_logger(&(at_logger_options){.path = "/dev/full", .memory_bytes = 64 * 1024});
    at_log_warn(logger, "line");
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, log_on, logger) == 0);
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_ERROR_IO);
}

static void fork_with_a_full_disk(void) {
    at_logger *logger = create_logger(&(at_logger_options){.path = "/dev/full"});
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        log_to_a_full_disk(logger);
        exit(0);
    }
    wait_for(child);
}

/* A pipe that does not block, which the parent reads when the child has filled it. */
enum { piped_lines = 1000 };

static void log_to_a_pipe(at_logger *logger) {
    for (int i = 0; i < piped_lines; i++)
        at_log_warn(logger, "line", at_kv("text", "some text to make the line much longer"));
}

static void read_what_a_forked_child_logs(void) {
    int ends[2];
    int filled[2];
    REQUIRE(pipe2(ends, O_NONBLOCK) == 0 && pipe(filled) == 0);
    at_logger *logger = create_logger(&(at_logger_options){.descriptor = ends[1]});
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        log_to_a_pipe(logger);
        REQUIRE(write(filled[1], "x", 1) == 1);
        exit(0);
    }
    char bytes[4096];
    REQUIRE(read(filled[0], bytes, 1) == 1);
    close(ends[1]);
    fcntl(ends[0], F_SETFL, 0);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    for (ssize_t size; (size = read(ends[0], bytes, sizeof bytes)) > 0;)
        REQUIRE(write(file, bytes, (size_t)size) == size);
    close(file);
    wait_for(child);
    REQUIRE(count_events(path, "line") == piped_lines);
    _exit(0); /* the pipe is closed here */
}

int main(void) {
    close(mkstemp(path));
    close(mkstemp(said));
    run(drop_and_sample);
    REQUIRE(count_events(path, "log.dropped") >= 1);
    REQUIRE(count_events(path, "log.sampled") >= 1);
    run(exit_with_a_full_disk);
    REQUIRE(count_events(said, "log.write_failed") >= 1);
    REQUIRE(count_events(said, "log.lines_lost") == 1);
    run(exit_beside_a_thread);
    run(fork_with_a_full_disk);
    REQUIRE(count_events(said, "log.lines_lost") == 1);
    run(read_what_a_forked_child_logs);
    unlink(path);
    unlink(said);
    return 0;
}
