/* SPDX-License-Identifier: MIT
 *
 * Rule H00: what only the program text can make wrong with executors aborts with one sentence. Each
 * case runs in a process of its own. */
#include "support/apart.h"

#include <asynctools/asynctools.h>

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

static at_loop_executor *loop;

static void *dispatch_again(void *unused) {
    plain_check(at_loop_executor_dispatch(loop, 1, AT_FOREVER, NULL) == AT_OK);
    return unused;
}

static void *destroy_from_inside(void *unused) {
    at_loop_executor_destroy(loop);
    return unused;
}

static void run_in_loop(at_run_fn run) {
    plain_check(at_loop_executor_create(&loop) == AT_OK);
    at_future_release(at_executor_submit(at_loop_executor_executor(loop), run, NULL));
    plain_check(at_loop_executor_dispatch(loop, 1, AT_FOREVER, NULL) == AT_OK);
}

static void dispatch_twice(void) {
    run_in_loop(dispatch_again);
}

static void destroy_inside(void) {
    run_in_loop(destroy_from_inside);
}

static void submit_nothing(void) {
    at_future_release(at_executor_submit(at_executor_inline(), NULL, NULL));
}

static void submit_nowhere(void) {
    at_future_release(at_executor_submit(NULL, dispatch_again, NULL));
}

static void strand_without_pool(void) {
    at_strand *strand;
    plain_check(at_strand_create(&strand, NULL, NULL) == AT_OK);
}

static void keys_without_pool(void) {
    at_keyed_executor *keyed;
    plain_check(at_keyed_executor_create(&keyed, NULL, NULL) == AT_OK);
}

static const struct bug {
    const char *name;
    void (*run)(void);
    const char *sentence;
} bugs[] = {
    {"dispatch", dispatch_twice, "at_loop_executor_dispatch: called by a work that it runs"},
    {"destroy", destroy_inside, "at_loop_executor_destroy: called by a work that it runs"},
    {"no function", submit_nothing, "at_executor_submit: `run` is NULL"},
    {"no executor", submit_nowhere, "at_executor_submit: `executor` is NULL"},
    {"strand", strand_without_pool, "at_strand_create: `pool` is NULL"},
    {"keyed", keys_without_pool, "at_keyed_executor_create: `pool` is NULL"},
};

static void run_named(const char *name) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++)
        if (strcmp(bugs[i].name, name) == 0)
            bugs[i].run();
}

int main(int argument_count, char **arguments) {
    if (argument_count > 1) {
        run_named(arguments[1]);
        return 0;
    }
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++)
        apart_check_abort(bugs[i].name, bugs[i].sentence);
    return 0;
}
