/* SPDX-License-Identifier: MIT
 *
 * The callback sink where callers write themselves, in the child of a fork (rules J3, J5 and Z2):
 * whoever logs a line may be in an operation and have an error of its own, and neither has to do
 * with the calls. And a function that forks. */
#include "plain/log_support.h"

#include <asynctools/asynctools.h>

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { deadline_s = 20, exit_returned = 70 /* a task that forked, in the child */ };

static at_pool *pool;
static at_logger *logger;
static atomic_int calls;

static at_status flush(void) {
    return at_logger_flush(logger, at_after(AT_SECONDS(deadline_s)));
}

static void start(at_process_fork_policy policy, at_log_callback_fn call) {
    const at_pool_options options = {.thread_count = 1, .process_fork = policy};
    REQUIRE(at_pool_create(&pool, &options) == AT_OK);
    logger = create_logger(&(at_logger_options){.memory_bytes = 100000});
    REQUIRE(at_logger_add_callback(logger, pool, call, NULL, NULL) == AT_OK);
}

static void end(void) {
    at_logger_destroy(logger);
    at_pool_destroy(pool);
}

static int wait_for(pid_t child) {
    int status;
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* What it logs itself has no operation. */
static void echo(void *context, const char *line, size_t length) {
    (void)context;
    (void)length;
    calls++;
    if (strstr(line, "\"in.operation\""))
        at_log_info(logger, "echo");
}

static void in_an_operation(at_token *token) {
    at_scope scope;
    AT_OPERATION(operation, "request") {
        at_scope_begin(&scope, &(at_scope_options){.token = token});
        at_log_info(logger, "in.operation");
        (void)at_scope_end(&scope);
    }
    at_log_info(logger, "outside");
    REQUIRE(flush() == AT_OK);
    while (calls < 3) /* the echo's came behind the barrier, perhaps */
        REQUIRE(flush() == AT_OK);
    char *lines;
    REQUIRE(at_logger_memory_lines(logger, &lines) == AT_OK);
    const char *line = strstr(lines, "\"in.operation\"");
    REQUIRE(line && strncmp(strchr(line, ','), ",\"operation\":\"request\"", 22) == 0);
    line = strstr(lines, "\"echo\"");
    REQUIRE(line && strncmp(strchr(line, ','), ",\"thread\":", 10) == 0);
    _exit(0);
}

/* ThreadSanitizer does not let a child start any. */
#if defined(__SANITIZE_THREAD__)
static const bool children_have_threads = false;
#else
static const bool children_have_threads = true;
#endif

static void operations_stay_out_of_it(void) {
    at_token *token;
    REQUIRE(at_token_create(&token, NULL) == AT_OK);
    start(AT_PROCESS_FORK_START_AFRESH, echo);
    for (int is_cancelled = 0; is_cancelled < 2; is_cancelled++) {
        pid_t child = fork();
        if (child == 0)
            in_an_operation(token);
        REQUIRE(wait_for(child) == 0);
        at_token_cancel(token);
    }
    at_token_release(token);
    end();
}

static void hear(void *context, const char *line, size_t length) {
    (void)context;
    (void)line;
    (void)length;
    calls++;
}

static void errors_stay_where_they_are(void) {
    start(AT_PROCESS_FORK_FAIL, hear);
    pid_t child = fork();
    if (child == 0) {
        REQUIRE(at_fail_status(AT_ERROR_NOT_FOUND, "no such customer") == AT_ERROR_NOT_FOUND);
        const at_error *error = at_error_last();
        at_log_info(logger, "refused by the pool");
        REQUIRE(at_error_last() == error);
        _exit(0);
    }
    REQUIRE(wait_for(child) == 0);
    end();
}

/* In memory of both. */
static struct forked {
    atomic_int parent_calls;
    atomic_int child_calls;
    atomic_int child_status;
} * forked;
static pid_t parent;

static void fork_once(void *context, const char *line, size_t length) {
    (void)context;
    (void)line;
    (void)length;
    if (getpid() != parent) {
        forked->child_calls++;
        return;
    }
    if (forked->parent_calls++ == 0) {
        pid_t child = fork();
        if (child != 0)
            forked->child_status = wait_for(child);
    }
}

static void lines_are_the_parents(bool is_destroyed) {
    parent = getpid();
    memset(forked, 0, sizeof *forked);
    start(AT_PROCESS_FORK_FAIL, fork_once);
    for (int i = 0; i < 4; i++)
        at_log_info(logger, "line");
    if (!is_destroyed)
        REQUIRE(flush() == AT_OK);
    end();
    REQUIRE(forked->parent_calls == 4 && forked->child_calls == 0);
    REQUIRE(forked->child_status == exit_returned);
}

int main(void) {
#if defined(__SANITIZE_ADDRESS__)
    fputs("skipped: a fork may copy a lock of AddressSanitizer's allocator that is held\n", stderr);
    return 77;
#endif
    forked = mmap(NULL, sizeof *forked, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(forked != MAP_FAILED);
    if (children_have_threads)
        operations_stay_out_of_it();
    errors_stay_where_they_are();
    lines_are_the_parents(false);
    lines_are_the_parents(true);
    return 0;
}
