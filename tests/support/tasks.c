/* SPDX-License-Identifier: MIT */
#include "support/tasks.h"

#include "support/test.h"

#include <dirent.h>
#include <sched.h>

at_clock *bind_virtual_clock(void) {
    at_clock *clock = NULL;
    cr_assert_eq(at_virtual_clock_create(&clock), AT_OK);
    at_clock_bind(clock);
    return clock;
}

void unbind_virtual_clock(at_clock *clock) {
    at_clock_bind(NULL);
    at_virtual_clock_destroy(clock);
}

at_pool *create_pool(int64_t thread_count) {
    at_pool *pool = NULL;
    at_status status = at_pool_create(&pool, &(at_pool_options){.thread_count = thread_count});
    cr_assert_eq(status, AT_OK, "%s", at_error_message(at_error_last()));
    cr_assert_not_null(pool);
    return pool;
}

at_pool_audit_result destroy_pool(at_pool *pool) {
    at_pool_audit_result audit = {0};
    cr_assert_eq(at_pool_shutdown(pool, PATIENCE), AT_OK);
    at_pool_audit(pool, &audit);
    cr_expect(audit.balanced);
    cr_expect_eq(audit.accepted, audit.succeeded + audit.failed + audit.cancelled);
    cr_expect_eq(audit.pending, 0);
    cr_expect_eq(audit.running, 0);
    at_pool_destroy(pool);
    return audit;
}

void *wait_value(at_future *future) {
    void *value = NULL;
    at_status status = at_future_wait(future, PATIENCE, &value);
    cr_assert_eq(status, AT_OK, "%s", at_error_message(at_error_last()));
    return value;
}

void expect_outcome(at_future *future, at_status status) {
    void *untouched = &future;
    at_status found = at_future_wait(future, PATIENCE, &untouched);
    cr_assert_eq(found, status, "%s, not %s", at_status_name(found), at_status_name(status));
    cr_expect(at_future_is_done(future));
    if (status == AT_OK)
        return;
    cr_expect_eq(untouched, &future);
    cr_expect_eq(at_error_status(at_error_last()), status);
    cr_expect_eq(at_error_status(at_future_error(future)), status);
}

at_promise *create_promise(at_pool *pool, at_future **future) {
    at_promise *promise = NULL;
    cr_assert_eq(at_promise_create(&promise, at_pool_executor(pool)), AT_OK);
    cr_assert_not_null(promise);
    *future = at_promise_future(promise);
    cr_assert_not_null(*future);
    return promise;
}

int count_threads(void) {
    DIR *directory = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

bool threads_fall_to(int count) {
    at_deadline deadline = at_after(AT_SECONDS(10));
    while (count_threads() > count) {
        if (at_after(0) > deadline)
            return false;
        sched_yield();
    }
    return true;
}

void *gate_pass(void *argument) {
    struct gate *gate = argument;
    pthread_mutex_lock(&gate->mutex);
    gate->entered++;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->open)
        pthread_cond_wait(&gate->changed, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
    return gate;
}

void gate_await(struct gate *gate, int count) {
    pthread_mutex_lock(&gate->mutex);
    while (gate->entered < count)
        pthread_cond_wait(&gate->changed, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

void gate_open(struct gate *gate) {
    pthread_mutex_lock(&gate->mutex);
    gate->open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->mutex);
}

void *tally_run(void *tally) {
    atomic_fetch_add_explicit(&((struct tally *)tally)->runs, 1, memory_order_relaxed);
    return tally;
}

void tally_drop(void *tally) {
    atomic_fetch_add_explicit(&((struct tally *)tally)->drops, 1, memory_order_relaxed);
}

int tally_runs(const struct tally *tally) {
    return atomic_load_explicit(&((struct tally *)tally)->runs, memory_order_relaxed);
}

int tally_drops(const struct tally *tally) {
    return atomic_load_explicit(&((struct tally *)tally)->drops, memory_order_relaxed);
}
