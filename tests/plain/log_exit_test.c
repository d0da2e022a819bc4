/* SPDX-License-Identifier: MIT
 *
 * exit() drains the loggers (rule J3); what is logged later, by functions given to atexit and by
 * other threads, is written too. */
#include "plain/log_support.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) /* it waits a second at each exit */
enum { round_count = 1 };
#else
enum { round_count = 10 };
#endif
enum { line_count = 200 };

static at_logger *logger;

static void log_at_exit(void) {
    at_log_info(at_logger_default(), "exit.handler");
}

/* Runs after the library's own destructor if that is linked in; in either case the line counts. */
static __attribute__((destructor(101))) void log_in_destructor(void) {
    if (logger)
        at_log_info(logger, "exit.destructor");
}

static void *leave(void *unused) {
    (void)unused;
    for (int i = 0; i < line_count; i++)
        at_log_info(logger, "line");
    exit(0);
}

/* How a child ends: from main, from a thread, or while another thread logs on. */
static void be_child(int way) {
    atexit(log_at_exit);
    if (way == 0)
        leave(NULL);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, leave, NULL) == 0);
    for (;;)
        if (way == 1)
            pause();
        else
            at_log_info(logger, "other");
}

int main(void) {
    char path[] = "/tmp/log_exit_XXXXXX";
    close(mkstemp(path));
    for (int way = 0; way < 3; way++)
        for (int round = 0; round < round_count; round++) {
            REQUIRE(truncate(path, 0) == 0);
            pid_t child = fork();
            REQUIRE(child >= 0);
            if (child == 0) {
                logger = create_logger(&(at_logger_options){.path = path});
                if (round % 2 == 0)
                    REQUIRE(at_logger_create_child(&logger, logger, NULL) == AT_OK);
                at_logger_set_default(logger);
                be_child(way);
            }
            int status;
            REQUIRE(waitpid(child, &status, 0) == child);
            REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            REQUIRE(count_events(path, "line") == line_count);
            REQUIRE(count_events(path, "exit.handler") == 1);
            REQUIRE(count_events(path, "exit.destructor") == 1);
        }
    unlink(path);
    return 0;
}
