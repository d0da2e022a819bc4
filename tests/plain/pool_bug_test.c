/* SPDX-License-Identifier: MIT
 *
 * Rule H00: what only the program text can make wrong aborts with one sentence, in every build.
 * Each case runs in a process of its own, a fresh run of this program. */
#include "support/apart.h"

#include <asynctools/asynctools.h>

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <urcu/urcu-bp.h>

extern char **environ;

static void *give(void *argument) {
    return argument;
}

static void *then_give(void *value, void *context) {
    (void)context;
    return value;
}

static void *recover_give(const at_error *error, void *context) {
    (void)error;
    return context;
}

static void finally_nothing(const at_outcome *outcome, void *context) {
    (void)outcome;
    (void)context;
}

static at_pool *make_pool(void) {
    at_pool *pool = NULL;
    plain_check(at_pool_create(&pool, &(at_pool_options){.thread_count = 1}) == AT_OK);
    return pool;
}

static at_future *make_future(void) {
    return at_pool_submit(make_pool(), give, NULL);
}

static void run_in_task(at_run_fn run) {
    at_pool *pool = make_pool();
    at_future *future = at_pool_submit(pool, run, pool);
    plain_check(at_future_wait(future, at_after(AT_SECONDS(30)), NULL) == AT_OK);
}

static void use(at_future *future) {
    at_future_release(future);
}

static void use_status(at_status status) {
    plain_check(status != AT_OK);
}

/* -- The cases ------------------------------------------------------------------------------- */

static void create_into_null(void) {
    use_status(at_pool_create(NULL, NULL));
}

static void start_on_null(void) {
    use_status(at_pool_start(NULL, give, NULL));
}

static void start_null(void) {
    use_status(at_pool_start(make_pool(), NULL, NULL));
}

static void start_with_null_options(void) {
    use_status(at_pool_start_with(make_pool(), NULL));
}

static void start_with_null_run(void) {
    at_task_options options = {.argument = &options};
    use_status(at_pool_start_with(make_pool(), &options));
}

static void start_many_null(void) {
    int items[2] = {0};
    use_status(at_pool_start_many(make_pool(), NULL, AT_ITEMS(items, 2)));
}

static void start_null_task(void) {
    use_status(at_pool_start_task(make_pool(), NULL));
}

static void init_task_with_null(void) {
    at_task task;
    at_task_init(&task, NULL, NULL);
}

static void submit_on_null(void) {
    use(at_pool_submit(NULL, give, NULL));
}

static void submit_null(void) {
    use(at_pool_submit(make_pool(), NULL, NULL));
}

static void submit_with_null_options(void) {
    use(at_pool_submit_with(make_pool(), NULL));
}

static void submit_with_null_run(void) {
    at_task_options options = {.argument = &options};
    use(at_pool_submit_with(make_pool(), &options));
}

static void submit_many_into_null(void) {
    int items[2] = {0};
    at_pool_submit_many(make_pool(), give, AT_ITEMS(items, 2), NULL);
}

static void *destroy_own_pool(void *pool) {
    at_pool_destroy(pool);
    return NULL;
}

static void destroy_from_a_task(void) {
    run_in_task(destroy_own_pool);
}

static void *shut_own_pool_down(void *pool) {
    use_status(at_pool_shutdown(pool, at_after(AT_SECONDS(1))));
    return NULL;
}

static void shutdown_from_a_task(void) {
    run_in_task(shut_own_pool_down);
}

static void *destroy_in_call(void *pool) {
    return at_blocking_call(destroy_own_pool, pool);
}

static void destroy_from_a_blocking_call(void) {
    run_in_task(destroy_in_call);
}

static void shutdown_null(void) {
    use_status(at_pool_shutdown(NULL, 0));
}

static void audit_null(void) {
    at_pool_audit_result result;
    at_pool_audit(NULL, &result);
}

static void audit_into_null(void) {
    at_pool_audit(make_pool(), NULL);
}

static void thread_count_of_null(void) {
    plain_check(at_pool_thread_count(NULL) < 0);
}

static void executor_of_null(void) {
    plain_check(at_pool_executor(NULL) == NULL);
}

static void *exit_thread(void *unused) {
    (void)unused;
    pthread_exit(NULL);
}

static void pthread_exit_in_a_task(void) {
    run_in_task(exit_thread);
}

static jmp_buf outer_task;

static void *jump(void *unused) {
    (void)unused;
    longjmp(outer_task, 1);
}

/* The wait runs the other task in place, above this one. */
static void *wait_for_jump(void *pool) {
    if (setjmp(outer_task) == 0)
        use_status(at_future_wait(at_pool_submit(pool, jump, NULL), AT_FOREVER, NULL));
    return NULL;
}

static void longjmp_out_of_a_task(void) {
    run_in_task(wait_for_jump);
}

static void wait_for_null(void) {
    use_status(at_future_wait(NULL, 0, NULL));
}

static void retain_null(void) {
    use(at_future_retain(NULL));
}

static void is_done_of_null(void) {
    plain_check(at_future_is_done(NULL));
}

static void error_of_null(void) {
    plain_check(at_future_error(NULL) == NULL);
}

static void take_of_null(void) {
    void *value;
    use_status(at_future_take(NULL, &value, NULL));
}

static void ignore_null(void) {
    at_future_ignore(NULL);
}

static void then_on_null(void) {
    use(at_future_then(NULL, then_give, NULL));
}

static void then_null(void) {
    use(at_future_then(make_future(), NULL, NULL));
}

static void recover_on_null(void) {
    use(at_future_recover(NULL, recover_give, NULL));
}

static void recover_null(void) {
    use(at_future_recover(make_future(), NULL, NULL));
}

static void finally_on_null(void) {
    use(at_future_finally(NULL, finally_nothing, NULL));
}

static void finally_null(void) {
    use(at_future_finally(make_future(), NULL, NULL));
}

static void all_of_null(void) {
    use(at_future_all(NULL, 2));
}

static void all_with_a_null(void) {
    at_future *sources[2] = {make_future(), NULL};
    use(at_future_all(sources, 2));
}

static void any_with_a_null(void) {
    at_future *sources[2] = {make_future(), NULL};
    use(at_future_any(sources, 2));
}

static void *return_null_future(void *unused) {
    (void)unused;
    return at_return_future(NULL);
}

static void return_future_of_null(void) {
    run_in_task(return_null_future);
}

static void promise_without_executor(void) {
    at_promise *promise;
    use_status(at_promise_create(&promise, NULL));
}

static void promise_into_null(void) {
    use_status(at_promise_create(NULL, at_executor_inline()));
}

static void set_null_promise(void) {
    use_status(at_promise_set(NULL, NULL, NULL));
}

static void fail_null_promise(void) {
    use_status(at_promise_fail(NULL, NULL));
}

static void future_of_null_promise(void) {
    use(at_promise_future(NULL));
}

/* -- Waits ----------------------------------------------------------------------------------- */

/* On a stack of its own: while the first task sleeps, another stack runs the worker's loop. */
static void *sleep_for_long(void *unused) {
    at_sleep(AT_SECONDS(20));
    return unused;
}

static void pthread_exit_on_a_fiber(void) {
#if defined(__SANITIZE_THREAD__)
    pthread_exit_in_a_task(); /* its pthread_exit knows no fibers, and ends the process itself */
#endif
    at_pool *pool = make_pool();
    plain_check(at_pool_start(pool, sleep_for_long, NULL) == AT_OK);
    use(at_pool_submit(pool, exit_thread, NULL));
    at_pool_destroy(pool);
}

static void *call_exit_thread(void *unused) {
    return at_blocking_call(exit_thread, unused);
}

static void pthread_exit_in_a_blocking_call(void) {
    run_in_task(call_exit_thread);
}

static void *sleep_in_read_section(void *unused) {
    urcu_bp_read_lock();
    at_sleep(AT_MICROSECONDS(1));
    urcu_bp_read_unlock();
    return unused;
}

static void sleep_in_a_read_section(void) {
    run_in_task(sleep_in_read_section);
}

static void *yield_in_read_section(void *unused) {
    urcu_bp_read_lock();
    at_yield();
    urcu_bp_read_unlock();
    return unused;
}

static void yield_in_a_read_section(void) {
    run_in_task(yield_in_read_section);
}

static void *wait_in_read_section(void *pool) {
    at_promise *promise = NULL;
    plain_check(at_promise_create(&promise, at_pool_executor(pool)) == AT_OK);
    urcu_bp_read_lock();
    use_status(at_future_wait(at_promise_future(promise), AT_FOREVER, NULL));
    urcu_bp_read_unlock();
    return NULL;
}

static void wait_in_a_read_section(void) {
    run_in_task(wait_in_read_section);
}

static void *begin_only(void *unused) {
    at_blocking_begin();
    return unused;
}

static void blocking_begin_without_end(void) {
    run_in_task(begin_only);
}

/* The task that waits runs the one that it waits for in place, inside its own section. */
static void *wait_in_section(at_run_fn run) {
    at_blocking_begin();
    at_task_options options = {.run = run, .name = "inner"};
    at_future *future = at_pool_submit_with(at_pool_current(), &options);
    plain_check(at_future_wait(future, AT_FOREVER, NULL) == AT_OK);
    at_future_release(future);
    at_blocking_end();
    return NULL;
}

static void *wait_for_begin_only(void *unused) {
    (void)unused;
    return wait_in_section(begin_only);
}

static void nested_blocking_begin_without_end(void) {
    run_in_task(wait_for_begin_only);
}

static void *end_only(void *unused) {
    at_blocking_end();
    return unused;
}

static void blocking_end_without_begin(void) {
    run_in_task(end_only);
}

static void *wait_for_end_only(void *unused) {
    (void)unused;
    return wait_in_section(end_only);
}

static void nested_blocking_end_without_begin(void) {
    run_in_task(wait_for_end_only);
}

static void *begin_scope_only(void *unused) {
    static at_scope scope;
    at_scope_begin(&scope, NULL);
    return unused;
}

static void scope_begin_without_end(void) {
    run_in_task(begin_scope_only);
}

static void *end_scope_twice(void *unused) {
    at_scope scope;
    at_scope_begin(&scope, NULL);
    at_scope_end(&scope);
    at_scope_end(&scope);
    return unused;
}

static void scope_end_twice(void) {
    run_in_task(end_scope_twice);
}

static void scope_ends_before_the_inner_one(void) {
    at_scope outer, inner;
    at_scope_begin(&outer, NULL);
    at_scope_begin(&inner, NULL);
    at_scope_end(&outer);
}

static void blocking_call_of_null(void) {
    at_blocking_call(NULL, NULL);
}

static at_clock *make_clock(void) {
    at_clock *clock = NULL;
    plain_check(at_virtual_clock_create(&clock) == AT_OK);
    return clock;
}

static void *bind_clock(void *unused) {
    at_clock_bind(NULL);
    return unused;
}

static void bind_in_a_task(void) {
    run_in_task(bind_clock);
}

static void destroy_bound_clock(void) {
    at_clock *clock = make_clock();
    at_clock_bind(clock);
    at_virtual_clock_destroy(clock);
}

static void destroy_held_clock(void) {
    at_clock *clock = make_clock();
    at_virtual_clock_hold(clock);
    at_virtual_clock_destroy(clock);
}

static void destroy_clock_of_a_pool(void) {
    at_clock *clock = make_clock();
    at_pool *pool = NULL;
    plain_check(at_pool_create(&pool, &(at_pool_options){.clock = clock}) == AT_OK);
    at_virtual_clock_destroy(clock);
}

static void release_without_hold(void) {
    at_virtual_clock_release(make_clock());
}

static void advance_without_hold(void) {
    at_virtual_clock_advance(make_clock(), 1);
}

static void advance_beyond_the_end(void) {
    at_clock *clock = make_clock();
    at_virtual_clock_hold(clock);
    at_virtual_clock_advance(clock, AT_FOREVER);
}

static void *advance(void *unused) {
    at_clock *clock = make_clock();
    at_virtual_clock_hold(clock);
    at_virtual_clock_advance(clock, 1);
    return unused;
}

static void advance_in_a_task(void) {
    run_in_task(advance);
}

static void hold_the_real_clock(void) {
    at_virtual_clock_hold(at_clock_real());
}

/* What is called, and a word of the sentence that says what is wrong. */
static const struct {
    const char *name;
    void (*run)(void);
    const char *call;
    const char *word;
} cases[] = {
#define CASE(name, call, word)                                                                     \
    { #name, name, call, word }
    CASE(pthread_exit_on_a_fiber, "task", "pthread_exit"),
    CASE(pthread_exit_in_a_blocking_call, "at_blocking_call", "pthread_exit"),
    CASE(sleep_in_a_read_section, "at_sleep", "rcu_read_lock"),
    CASE(yield_in_a_read_section, "at_yield", "rcu_read_lock"),
    CASE(wait_in_a_read_section, "at_future_wait", "rcu_read_lock"),
    CASE(blocking_begin_without_end, "at_blocking_begin", "at_blocking_end"),
    CASE(nested_blocking_begin_without_end, "at_blocking_begin", "task inner returned"),
    CASE(nested_blocking_end_without_begin, "at_blocking_end", "at_blocking_begin"),
    CASE(blocking_end_without_begin, "at_blocking_end", "at_blocking_begin"),
    CASE(scope_begin_without_end, "at_scope_begin", "at_scope_end"),
    CASE(scope_end_twice, "at_scope_end", "once"),
    CASE(scope_ends_before_the_inner_one, "at_scope_end", "begun after"),
    CASE(blocking_call_of_null, "at_blocking_call", "run"),
    CASE(create_into_null, "at_pool_create", "pool"),
    CASE(start_on_null, "at_pool_start", "pool"),
    CASE(start_null, "at_pool_start", "run"),
    CASE(start_with_null_options, "at_pool_start_with", ""),
    CASE(start_with_null_run, "at_pool_start_with", "run"),
    CASE(start_many_null, "at_pool_start_many", "run"),
    CASE(start_null_task, "at_pool_start_task", "task"),
    CASE(init_task_with_null, "at_task_init", "run"),
    CASE(submit_on_null, "at_pool_submit", "pool"),
    CASE(submit_null, "at_pool_submit", "run"),
    CASE(submit_with_null_options, "at_pool_submit_with", ""),
    CASE(submit_with_null_run, "at_pool_submit_with", "run"),
    CASE(submit_many_into_null, "at_pool_submit_many", "futures"),
    CASE(destroy_from_a_task, "at_pool_destroy", "task"),
    CASE(destroy_from_a_blocking_call, "at_pool_destroy", "task"),
    CASE(shutdown_from_a_task, "at_pool_shutdown", "task"),
    CASE(shutdown_null, "at_pool_shutdown", "pool"),
    CASE(audit_null, "at_pool_audit", "pool"),
    CASE(audit_into_null, "at_pool_audit", "result"),
    CASE(thread_count_of_null, "at_pool_thread_count", "pool"),
    CASE(executor_of_null, "at_pool_executor", "pool"),
    CASE(pthread_exit_in_a_task, "task", "pthread_exit"),
    CASE(longjmp_out_of_a_task, "task", "longjmp"),
    CASE(wait_for_null, "at_future_wait", "future"),
    CASE(retain_null, "at_future_retain", "future"),
    CASE(is_done_of_null, "at_future_is_done", "future"),
    CASE(error_of_null, "at_future_error", "future"),
    CASE(take_of_null, "at_future_take", "future"),
    CASE(ignore_null, "at_future_ignore", "future"),
    CASE(then_on_null, "at_future_then", "source"),
    CASE(then_null, "at_future_then", "run"),
    CASE(recover_on_null, "at_future_recover", "source"),
    CASE(recover_null, "at_future_recover", "run"),
    CASE(finally_on_null, "at_future_finally", "source"),
    CASE(finally_null, "at_future_finally", "run"),
    CASE(all_of_null, "at_future_all", "sources"),
    CASE(all_with_a_null, "at_future_all", "source"),
    CASE(any_with_a_null, "at_future_any", "source"),
    CASE(return_future_of_null, "at_return_future", "next"),
    CASE(promise_without_executor, "at_promise_create", "executor"),
    CASE(promise_into_null, "at_promise_create", "promise"),
    CASE(set_null_promise, "at_promise_set", "promise"),
    CASE(fail_null_promise, "at_promise_fail", "promise"),
    CASE(future_of_null_promise, "at_promise_future", "promise"),
    CASE(bind_in_a_task, "at_clock_bind", "at_pool_options.clock"),
    CASE(destroy_bound_clock, "at_virtual_clock_destroy", "bind the threads to NULL"),
    CASE(destroy_held_clock, "at_virtual_clock_destroy", "release the holds"),
    CASE(destroy_clock_of_a_pool, "at_virtual_clock_destroy", "destroy the pools"),
    CASE(release_without_hold, "at_virtual_clock_release", "at_virtual_clock_hold"),
    CASE(advance_without_hold, "at_virtual_clock_advance", "at_virtual_clock_hold"),
    CASE(advance_beyond_the_end, "at_virtual_clock_advance", "duration"),
    CASE(advance_in_a_task, "at_virtual_clock_advance", "called by a task"),
    CASE(hold_the_real_clock, "at_virtual_clock_hold", "virtual clock"),
#undef CASE
};

enum { case_count = sizeof cases / sizeof *cases };

/* -- The runs -------------------------------------------------------------------------------- */

static int run_case(const char *name) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    for (int i = 0; i < case_count; i++)
        if (strcmp(cases[i].name, name) == 0)
            cases[i].run();
    return 0; /* it went through, which is wrong */
}

/* "asynctools: at_pool_start: `run` is NULL": one line, with the call and the reason. */
static bool check_case(int i) {
    char output[8192];
    char begins[100];
    int status = apart_run(cases[i].name, output, sizeof output);
    snprintf(begins, sizeof begins, "asynctools: %s: ", cases[i].call);
    const char *sentence = strstr(output, begins);
    bool well = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && sentence &&
                strstr(sentence, cases[i].word);
    if (!well)
        fprintf(stderr, "%s: status %#x, wanted \"%s... %s\", got:\n%s\n", cases[i].name,
                (unsigned)status, begins, cases[i].word, output);
    return well;
}

int main(int argument_count, char **arguments) {
    if (argument_count > 1)
        return run_case(arguments[1]);
    int failed = 0;
    for (int i = 0; i < case_count; i++)
        failed += !check_case(i);
    fprintf(stderr, "%d passed, %d failed\n", case_count - failed, failed);
    return failed != 0;
}
