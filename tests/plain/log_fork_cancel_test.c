/* SPDX-License-Identifier: MIT
 *
 * In a forked child callers write (rule J3). While one of them is stuck in a write, a flush ends at
 * its deadline; and when that one is cancelled, others write on. */
#include "plain/log_support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static at_logger *logger;

/* Not in the frame of the loop: AddressSanitizer does not see that a cancelled thread leaves it. */
static __attribute__((noinline)) void log_line(void) {
    at_log_info(logger, "line", at_kv("text", "some text to make the line longer"));
}

static void *log_on(void *unused) {
    (void)unused;
    for (;;) {
        log_line();
        pthread_testcancel();
    }
    return NULL;
}

/* Fills the pipe, and lets the parent read it when the thread that does is stuck and cancelled. */
static void be_child(int may_read) {
    alarm(200);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, log_on, NULL) == 0);
    while (at_logger_flush(logger, at_after(AT_MILLISECONDS(10))) != AT_ERROR_TIMED_OUT)
        ;
    REQUIRE(pthread_cancel(thread) == 0);
    REQUIRE(write(may_read, "x", 1) == 1);
    void *result;
    REQUIRE(pthread_join(thread, &result) == 0);
    REQUIRE(result == PTHREAD_CANCELED);
    at_log_info(logger, "after");
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_OK);
    exit(0);
}

int main(void) {
#if defined(__SANITIZE_THREAD__)
    fputs("skipped: ThreadSanitizer does not let a child start threads\n", stderr);
    return 77;
#endif
    char path[] = "/tmp/log_fork_cancel_XXXXXX";
    int file = mkstemp(path);
    int ends[2];
    int may_read[2];
    REQUIRE(pipe(ends) == 0 && pipe(may_read) == 0);
    logger = create_logger(&(at_logger_options){.descriptor = ends[1]});
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        close(ends[0]);
        close(may_read[0]);
        be_child(may_read[1]);
    }
    at_logger_destroy(logger);
    close(ends[1]);
    close(may_read[1]);
    char bytes[4096];
    REQUIRE(read(may_read[0], bytes, 1) == 1);
    for (ssize_t size; (size = read(ends[0], bytes, sizeof bytes)) > 0;)
        REQUIRE(write(file, bytes, (size_t)size) == size);
    int status;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    REQUIRE(count_events(path, "after") == 1);
    unlink(path);
    return 0;
}
