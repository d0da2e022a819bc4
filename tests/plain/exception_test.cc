/* SPDX-License-Identifier: MIT
 *
 * Rule L4: an exception that leaves the function of a task ends the process with a sentence that
 * names the task, wherever the function is called; one that is caught there is nobody's concern.
 * Each case runs in a process of its own. */
#include "support/apart.h"

#include <asynctools/asynctools.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <sched.h>
#include <stdexcept>
#include <sys/resource.h>

static at_pool *make_pool() {
    at_pool *pool = nullptr;
    at_pool_options options = {};
    options.thread_count = 2;
    plain_check(at_pool_create(&pool, &options) == AT_OK);
    return pool;
}

static void *fail(void *) {
    throw std::runtime_error("left");
}

static void *catch_own(void *value) {
    try {
        fail(value);
    } catch (const std::runtime_error &) {
        return value;
    }
    return nullptr;
}

static void run_to_the_end(at_run_fn run, void *argument) {
    at_pool *pool = make_pool();
    at_future *future = at_pool_submit(pool, run, argument);
    plain_check(at_future_wait(future, AT_FOREVER, nullptr) == AT_OK);
    at_future_release(future);
    at_pool_destroy(pool);
}

/* -- The cases ------------------------------------------------------------------------------- */

static void started() {
    at_pool *pool = make_pool();
    plain_check(at_pool_start(pool, fail, nullptr) == AT_OK);
    at_pool_destroy(pool);
}

static void started_with_a_name() {
    at_pool *pool = make_pool();
    at_task_options options = {};
    options.run = fail;
    options.name = "thrower";
    plain_check(at_pool_start_with(pool, &options) == AT_OK);
    at_pool_destroy(pool);
}

static void submitted() {
    run_to_the_end(fail, nullptr);
}

static void later() {
    at_pool *pool = make_pool();
    plain_check(at_pool_start_later(pool, fail, nullptr, AT_MICROSECONDS(1)) == AT_OK);
    at_pool_destroy(pool);
}

/* The task that waits runs the other in place, and would catch what is thrown there. */
static void *wait_and_catch(void *value) {
    at_task_options options = {};
    options.run = fail;
    options.name = "inner";
    try {
        at_future *future = at_pool_submit_with(at_pool_current(), &options);
        plain_check(at_future_wait(future, AT_FOREVER, nullptr) == AT_OK);
    } catch (...) {
        return value;
    }
    return value;
}

static void past_a_handler() {
    run_to_the_end(wait_and_catch, nullptr);
}

static void *sleep_and_fail(void *value) {
    plain_check(at_sleep(AT_MILLISECONDS(1)) == AT_OK);
    return fail(value);
}

/* The second one on a stack of its own. */
static void on_a_fiber() {
    at_pool *pool = make_pool();
    for (int i = 0; i < 4; i++)
        plain_check(at_pool_start(pool, sleep_and_fail, nullptr) == AT_OK);
    at_pool_destroy(pool);
}

static void *call_fail(void *value) {
    return at_blocking_call(fail, value);
}

static void in_a_blocking_call() {
    run_to_the_end(call_fail, nullptr);
}

static std::atomic<bool> is_taken{false};

static void *fail_elsewhere(void *value) {
    is_taken = true;
    return fail(value);
}

static void *fork_and_catch(void *value) {
    try {
        at_fork fork;
        at_fork_start(&fork, fail_elsewhere, value);
        while (!is_taken)
            sched_yield();
        return at_fork_join(&fork, fail_elsewhere);
    } catch (...) {
        return value;
    }
}

static void in_a_forked_call() {
    run_to_the_end(fork_and_catch, nullptr);
}

static void *fail_at_index(int64_t, void *context) {
    return fail(context);
}

static void *loop_and_catch(void *value) {
    try {
        plain_check(at_parallel_for(at_pool_current(), 0, 4, fail_at_index, value, nullptr) ==
                    AT_OK);
    } catch (...) {
        return value;
    }
    return value;
}

static void in_a_loop() {
    run_to_the_end(loop_and_catch, nullptr);
}

static void *then_fail(void *, void *context) {
    return fail(context);
}

static void in_a_continuation() {
    at_pool *pool = make_pool();
    at_future *future = at_future_then(at_pool_submit(pool, catch_own, pool), then_fail, nullptr);
    plain_check(at_future_wait(future, AT_FOREVER, nullptr) == AT_OK);
}

static void drop_and_fail(void *value) {
    fail(value);
}

static void *return_with_drop(void *value) {
    return at_return(value, drop_and_fail);
}

static void in_a_drop_function() {
    int value;
    run_to_the_end(return_with_drop, &value);
}

static const struct {
    const char *name;
    void (*run)();
    const char *task; /* that the sentence names */
} cases[] = {
    {"started", started, "fail"},
    {"started_with_a_name", started_with_a_name, "thrower"},
    {"submitted", submitted, "run"},
    {"later", later, "fail"},
    {"past_a_handler", past_a_handler, "inner"},
    {"on_a_fiber", on_a_fiber, "sleep_and_fail"},
    {"in_a_blocking_call", in_a_blocking_call, "run"},
    {"in_a_forked_call", in_a_forked_call, "run"},
    {"in_a_loop", in_a_loop, "run"},
    {"in_a_continuation", in_a_continuation, "then_fail"},
    {"in_a_drop_function", in_a_drop_function, "a drop function"},
};

static int run_case(const char *name) {
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (const auto &known : cases)
        if (std::strcmp(known.name, name) == 0)
            known.run();
    return 0; /* it went through, which is wrong */
}

static bool check_case(const char *name, const char *task) {
    char output[8192];
    char wanted[200];
    int status = apart_run(name, output, sizeof output);
    std::snprintf(wanted, sizeof wanted,
                  "asynctools: task: an exception may not leave the function of a task, here %s",
                  task);
    bool well = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && std::strstr(output, wanted);
    if (!well)
        std::fprintf(stderr, "%s: status %#x, wanted \"%s\", got:\n%s\n", name, (unsigned)status,
                     wanted, output);
    return well;
}

int main(int argument_count, char **arguments) {
    if (argument_count > 1)
        return run_case(arguments[1]);
#if !defined(__x86_64__) && !defined(__aarch64__)
    plain_skip("the sentence is that of the C++ runtime here");
#endif
    int value;
    run_to_the_end(catch_own, &value);
    int failed = 0;
    for (const auto &known : cases)
        failed += !check_case(known.name, known.task);
    return failed != 0;
}
