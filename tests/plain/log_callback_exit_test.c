/* SPDX-License-Identifier: MIT
 *
 * exit() drains the loggers (rule J3), for a function too, and in a task that holds the only worker
 * that could call it. */
#include "plain/log_support.h"

#include <asynctools/log_callback.h>
#include <asynctools/pool.h>

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { line_count = 10 };

static at_logger *logger;
static atomic_int *calls; /* in memory of both */

static void hear(void *context, const char *line, size_t length) {
    (void)context;
    (void)line;
    (void)length;
    ++*calls;
}

static void *leave(void *unused) {
    (void)unused;
    for (int i = 0; i < line_count; i++)
        at_log_info(logger, "line");
    exit(0);
}

static void be_child(void) {
    at_pool *pool;
    REQUIRE(at_pool_create(&pool, &(at_pool_options){.thread_count = 1}) == AT_OK);
    logger = create_logger(&(at_logger_options){.memory_bytes = 100000});
    REQUIRE(at_logger_add_callback(logger, pool, hear, NULL, NULL) == AT_OK);
    REQUIRE(at_pool_start(pool, leave, NULL) == AT_OK);
    for (;;)
        pause();
}

int main(void) {
    calls = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(calls != MAP_FAILED);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0)
        be_child();
    int status;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    REQUIRE(*calls == line_count);
    return 0;
}
