/* SPDX-License-Identifier: MIT
 *
 * process_fork (rules J3 and Z2) with what is on its way: rings half full while a sink is stuck,
 * and lines that wait for a function of the program. What the parent has logged is the parent's. */
#include "log/logger.h"
#include "plain/log_support.h"

#include <asynctools/log_callback.h>
#include <asynctools/pool.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { thread_count = 3, lines_each = 150, children = 5, deadline_s = 20 };

static char path[] = "/tmp/log_fork_sinks_XXXXXX";
static at_logger *logger;

static at_status flush(void) {
    return at_logger_flush(logger, at_after(AT_SECONDS(deadline_s)));
}

static uint64_t lost(void) {
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    return statistics.lost;
}

static void wait_for(pid_t child) {
    int status;
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* -- Rings half full -- */

static pthread_barrier_t logged;
static pthread_barrier_t done;

static void log_lines(void) {
    for (int i = 0; i < lines_each; i++)
        at_log_info(logger, "parent",
                    at_kv("text", "some text, so that rings are half full by then"));
}

static void *log_and_stay(void *unused) {
    log_lines();
    pthread_barrier_wait(&logged);
    pthread_barrier_wait(&done);
    return unused;
}

static void be_child(int number) {
    at_log_info(logger, "child", at_kv("number", number));
    REQUIRE(flush() == AT_OK);
    if (number % 2 == 0)
        at_logger_destroy(logger);
    exit(0);
}

/* The backend waits for the sinks while children are made. */
static void rings_half_full(void) {
    pthread_t threads[thread_count];
    logger = create_logger(&(at_logger_options){.path = path, .ring_bytes = 64 * 1024});
    pthread_barrier_init(&logged, NULL, thread_count + 1);
    pthread_barrier_init(&done, NULL, thread_count + 1);
    ati_lock_acquire(&logger->core->write_lock);
    for (int i = 0; i < thread_count; i++)
        REQUIRE(pthread_create(&threads[i], NULL, log_and_stay, NULL) == 0);
    log_lines();
    pthread_barrier_wait(&logged);
    for (int i = 0; i < children; i++) {
        pid_t child = fork();
        if (child == 0)
            be_child(i);
        wait_for(child);
    }
    REQUIRE(count_events(path, "child") == children && count_events(path, NULL) == children);
    ati_lock_release(&logger->core->write_lock);
    pthread_barrier_wait(&done);
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    at_logger_destroy(logger);
    REQUIRE(count_events(path, "parent") == (thread_count + 1) * lines_each);
    REQUIRE(count_events(path, "child") == children);
}

/* -- Functions -- */

typedef struct listener {
    pthread_mutex_t gate; /* held: calls are stuck */
    atomic_int calls;
    atomic_int lines;
    atomic_int dropped;
} listener;

static listener heard = {.gate = PTHREAD_MUTEX_INITIALIZER};

static void hear(void *context, const char *line, size_t length) {
    listener *it = context;
    it->calls++;
    pthread_mutex_lock(&it->gate);
    pthread_mutex_unlock(&it->gate);
    REQUIRE(line[length - 1] == '\n');
    it->lines++;
}

static void drop_listener(void *context) {
    ((listener *)context)->dropped++;
}

/* The function is not called here for the parent's lines. For the child's it is if the pool starts
 * afresh; else they are lost for it, and counted. */
static void be_child_with_callback(bool is_afresh, bool destroys) {
    heard = (listener){.gate = PTHREAD_MUTEX_INITIALIZER};
    uint64_t lost_before = lost();
    for (int i = 0; i < 10; i++)
        at_log_warn(logger, "child");
    REQUIRE(flush() == AT_OK);
    REQUIRE(lost() - lost_before == (is_afresh ? 0 : 10));
    if (destroys)
        at_logger_destroy(logger);
    REQUIRE(heard.dropped == destroys);
    REQUIRE(heard.lines == (is_afresh ? 10 : 0));
    _exit(0);
}

static void with_callback(at_process_fork_policy policy) {
    at_pool *pool;
    REQUIRE(at_pool_create(&pool, &(at_pool_options){.thread_count = 1, .process_fork = policy}) ==
            AT_OK);
    logger = create_logger(&(at_logger_options){.path = path});
    const at_log_callback_options options = {.drop = drop_listener};
    heard = (listener){.gate = PTHREAD_MUTEX_INITIALIZER};
    REQUIRE(at_logger_add_callback(logger, pool, hear, &heard, &options) == AT_OK);
    pthread_mutex_lock(&heard.gate);
    for (int i = 0; i < 100; i++)
        at_log_info(logger, "parent");
    while (heard.calls == 0) /* one is under way, the others wait */
        REQUIRE(at_logger_flush(logger, at_after(AT_MILLISECONDS(10))) == AT_ERROR_TIMED_OUT);
    for (int i = 0; i < children; i++) {
        pid_t child = fork();
        if (child == 0)
            be_child_with_callback(policy == AT_PROCESS_FORK_START_AFRESH, i % 2 == 0);
        wait_for(child);
    }
    pthread_mutex_unlock(&heard.gate);
    REQUIRE(flush() == AT_OK);
    REQUIRE(heard.lines == 100 && lost() == 0);
    at_logger_destroy(logger);
    REQUIRE(heard.dropped == 1);
    at_pool_destroy(pool);
    REQUIRE(count_events(path, "parent") == 100);
    REQUIRE(count_events(path, "child") == children * 10);
}

int main(void) {
#if defined(__SANITIZE_ADDRESS__)
    fputs("skipped: a fork may copy a lock of AddressSanitizer's allocator that is held\n", stderr);
    return 77;
#endif
    int file = mkstemp(path);
    REQUIRE(file >= 0);
    rings_half_full();
    REQUIRE(ftruncate(file, 0) == 0);
    with_callback(AT_PROCESS_FORK_FAIL);
#if !defined(__SANITIZE_THREAD__) /* it does not let a child start threads */
    REQUIRE(ftruncate(file, 0) == 0);
    with_callback(AT_PROCESS_FORK_START_AFRESH);
#endif
    close(file);
    unlink(path);
    return 0;
}
