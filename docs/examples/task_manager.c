/* SPDX-License-Identifier: MIT */
/* Tasks that belong together: at most so many at a time, gathered in order, stopped by a failure.
 */
#include <asynctools/asynctools.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s: %s\n", what, at_error_message(at_error_last()));
        exit(1);
    }
}

static void *process_item(void *item) {
    AT_TRY(at_sleep(AT_MILLISECONDS(1))); /* waits without holding a worker */
    if (*(int *)item < 0)
        return at_fail(AT_ERROR_INVALID, "item %d", *(int *)item);
    int *result = malloc(sizeof *result);
    if (!result)
        return at_fail(AT_ERROR_NO_MEMORY, "no room for a result");
    *result = *(int *)item * 2;
    return at_return(result, free);
}

/* A child that starts further ones. */
static void *process_folder(void *tasks) {
    static int found[] = {100, 101};
    for (int i = 0; i < 2; i++)
        AT_TRY(at_task_manager_start(tasks, process_item, &found[i]));
    return NULL;
}

static void gather_all(at_pool *pool, int *items, size_t n) {
    at_task_manager *tasks;
    at_task_manager_options options = {.max_concurrent = 10};
    expect(at_task_manager_create(&tasks, pool, &options) == AT_OK, "a task manager");
    for (size_t i = 0; i < n; i++)
        expect(at_task_manager_start(tasks, process_item, &items[i]) == AT_OK, "a child");

    at_outcome *outcomes = calloc(n, sizeof *outcomes);
    expect(outcomes, "memory");
    at_status status = at_task_manager_gather(tasks, outcomes, n); /* in the order of the starts */
    expect(status == AT_OK, "all of them");
    expect(*(int *)outcomes[3].value == 2 * items[3], "the result of item 3");
    at_outcomes_release(outcomes, n);
    free(outcomes);
    at_task_manager_destroy(tasks);
}

static void join_all(at_pool *pool) {
    at_task_manager *tasks;
    at_task_manager_options options = {.name = "folders", .no_outcomes = true};
    expect(at_task_manager_create(&tasks, pool, &options) == AT_OK, "a task manager");
    expect(at_task_manager_start(tasks, process_folder, tasks) == AT_OK, "a child");
    int *owned = malloc(sizeof *owned);
    expect(owned, "memory");
    *owned = 7;
    at_task_options task = {
        .run = process_item, .argument = owned, .drop = free, .name = "the seventh"};
    expect(at_task_manager_start_with(tasks, &task) == AT_OK, "a child that owns its argument");
    expect(at_task_manager_join(tasks, at_after(AT_SECONDS(30))) == AT_OK, "all of them");
    at_task_manager_counts counts;
    at_task_manager_count(tasks, &counts);
    expect(counts.succeeded == 4, "four children");
    at_task_manager_destroy(tasks);
    free(owned); /* it was run, so it was not dropped, and process_item leaves it alone */
}

static void stop_early(at_pool *pool) {
    static int items[] = {1, -2, 3};
    at_task_manager *tasks;
    expect(at_task_manager_create(&tasks, pool, NULL) == AT_OK, "a task manager");
    for (int i = 0; i < 3; i++)
        expect(at_task_manager_start(tasks, process_item, &items[i]) == AT_OK, "a child");
    at_status status = at_task_manager_join(tasks, AT_FOREVER);
    expect(status == AT_ERROR_INVALID, "the first failure, which has cancelled the others");
    printf("%s\n", at_error_message(at_error_last()));
    expect(at_task_manager_cancel(tasks) == AT_ERROR_ALREADY, "they are cancelled");
    at_task_manager_destroy(tasks);
}

/* Enough have answered when three have. */
static at_task_manager_decision count_answers(const at_outcome *outcome, void *missing) {
    bool is_enough = outcome->status == AT_OK && atomic_fetch_sub((_Atomic int *)missing, 1) == 1;
    return is_enough ? AT_TASK_MANAGER_SUCCEED : AT_TASK_MANAGER_GO_ON;
}

static void ask_for_quorum(at_pool *pool) {
    static int items[] = {1, -2, 3, -4, 5};
    _Atomic int missing = 3;
    at_task_manager *tasks;
    at_task_manager_options options = {.decide = count_answers, .context = &missing};
    expect(at_task_manager_create(&tasks, pool, &options) == AT_OK, "a task manager");
    for (int i = 0; i < 5; i++)
        expect(at_task_manager_start(tasks, process_item, &items[i]) == AT_OK, "a child");
    expect(at_task_manager_join(tasks, AT_FOREVER) == AT_OK, "three answers");
    at_task_manager_destroy(tasks);
}

/* A child with a future: it can be waited for, and cancelled, alone. */
static void submit_one(at_pool *pool) {
    static int item = 21;
    at_task_manager *tasks;
    expect(at_task_manager_create(&tasks, pool, NULL) == AT_OK, "a task manager");
    at_future *future = at_task_manager_submit(tasks, process_item, &item);
    at_task_options named = {.run = process_item, .argument = &item, .name = "the other"};
    at_future *other = at_task_manager_submit_with(tasks, &named);
    at_future_cancel(other);
    at_future_release(other);
    void *result;
    expect(at_future_wait(future, AT_FOREVER, &result) == AT_OK, "its value");
    expect(*(int *)result == 42, "which is the future's");
    at_status status = at_task_manager_join(tasks, AT_FOREVER);
    expect(status == AT_ERROR_CANCELLED || status == AT_OK, "one cancelled, if not too late");
    at_future_release(future);
    at_task_manager_destroy(tasks);
}

int main(void) {
    at_pool *pool;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    int items[50];
    for (int i = 0; i < 50; i++)
        items[i] = i;
    gather_all(pool, items, 50);
    join_all(pool);
    stop_early(pool);
    ask_for_quorum(pool);
    submit_one(pool);
    at_pool_destroy(pool);
    return 0;
}
