/* SPDX-License-Identifier: MIT
 *
 * process_fork (rules J3 and Z2) while threads log: each line is in the file once, whole, whoever
 * wrote it; children log at once, flush, destroy and leave. */
#include "plain/log_support.h"

#include "base/context.h"
#include "log/kept.h"
#include "log/verbose.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { thread_count = 3, child_count = 30, child_lines = 20, lines_between = 200 };

static at_logger *logger;
static at_logger *part; /* a child of it */
static atomic_bool stop;
static atomic_ulong sent;
static atomic_ulong forks;

/* So many lines between two forks, so that the time goes into forking. */
static void *log_on(void *unused) {
    (void)unused;
    for (unsigned long own = 0; !atomic_load(&stop);) {
        if (own >= lines_between * (atomic_load(&forks) + 1)) {
            sched_yield();
            continue;
        }
        at_log_warn(own % 2 ? logger : part, "parent.line",
                    at_kv("text", "some text to make the line longer"));
        own++;
        atomic_fetch_add(&sent, 1);
    }
    return NULL;
}

/* A logger that the child makes is a whole one. */
static inline void use_own_logger(void) {
    at_logger *own = create_logger(&(at_logger_options){.memory_bytes = 10000});
    at_log_info(own, "own.line");
    REQUIRE(at_logger_flush(own, at_after(AT_SECONDS(30))) == AT_OK);
    char *lines;
    REQUIRE(at_logger_memory_lines(own, &lines) == AT_OK);
    REQUIRE(strstr(lines, "own.line") != NULL);
    at_logger_memory_release(lines);
    at_logger_destroy(own);
}

/* The operation of the thread that forks goes on in the child, with the lines that it keeps. */
static void fail_operation(const ati_context *operation) {
    at_log_debug(part, "kept.after");
    ati_log_kept_write(operation->kept_lines);
    char *lines;
    REQUIRE(at_logger_memory_lines(logger, &lines) == AT_OK);
    REQUIRE(strstr(lines, "kept.before") < strstr(lines, "kept.after"));
    REQUIRE(strstr(lines, "kept.before") != NULL);
    at_logger_memory_release(lines);
}

/* What a child does; it leaves in one of three ways. */
static void be_child(int number) {
    fail_operation(ati_context_current());
    for (int i = 0; i < child_lines; i++)
        at_log_info(i % 2 ? logger : part, "child.line", at_kv("child", number), at_kv("line", i));
    at_logger *own;
    REQUIRE(at_logger_create_child(&own, part, &(at_logger_child_options){.name = "own"}) == AT_OK);
    at_log_info(own, "own.line");
    at_logger_destroy(own);
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(30))) == AT_OK);
    char *lines;
    REQUIRE(at_logger_memory_lines(logger, &lines) == AT_OK);
    REQUIRE(strstr(lines, "child.line") != NULL);
    REQUIRE(strstr(lines, "\"own.line\",\"logger\":\"part.own\"") != NULL);
    at_logger_memory_release(lines);
#if !defined(__SANITIZE_THREAD__) /* it does not let a child start threads */
    use_own_logger();
#endif
    if (number % 3 == 0)
        _exit(0);
    if (number % 3 == 1)
        at_logger_destroy(logger);
    exit(0);
}

int main(void) {
#if defined(__SANITIZE_ADDRESS__)
    fputs("skipped: a fork may copy a lock of AddressSanitizer's allocator that is held\n", stderr);
    return 77;
#endif
    char path[] = "/tmp/log_fork_XXXXXX";
    close(mkstemp(path));
    logger = create_logger(&(at_logger_options){.path = path, .memory_bytes = 100000});
    REQUIRE(at_logger_create_child(&part, logger, &(at_logger_child_options){.name = "part"}) ==
            AT_OK);
    pthread_t threads[thread_count];
    for (int i = 0; i < thread_count; i++)
        REQUIRE(pthread_create(&threads[i], NULL, log_on, NULL) == 0);
    ati_context *operation = ati_context_create(NULL, "work", AT_FOREVER, NULL, 0);
    operation->kept_level = AT_LOG_DEBUG;
    operation->kept_lines = ati_log_kept_create(100000);
    ati_log_verbose_add(AT_LOG_DEBUG);
    for (int i = 0; i < child_count; i++) {
        at_log_info(logger, "forks");
        atomic_fetch_add(&sent, 1);
        ati_context_exchange(operation);
        at_log_debug(logger, "kept.before");
        pid_t child = fork();
        atomic_fetch_add(&forks, 1);
        REQUIRE(child >= 0);
        if (child == 0)
            be_child(i);
        int status;
        REQUIRE(waitpid(child, &status, 0) == child);
        REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    ati_context_exchange(NULL);
    ati_log_kept_destroy(operation->kept_lines);
    ati_context_release(operation);
    atomic_store(&stop, true);
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(30))) == AT_OK);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    at_logger_destroy(logger);
    size_t own = count_events(path, "parent.line") + count_events(path, "forks");
    REQUIRE(own == statistics.written);
    REQUIRE(own + statistics.dropped[AT_LOG_WARN] + statistics.dropped[AT_LOG_INFO] == sent);
    REQUIRE(count_events(path, "child.line") == child_count * child_lines);
    unlink(path);
    return 0;
}
