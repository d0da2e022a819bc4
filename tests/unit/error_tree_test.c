/* SPDX-License-Identifier: MIT
 *
 * Rules F2, G2 and J1: errors with the others that came with them, and which item, task and caller
 * each belongs to. */
#include "support/fault.h"
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/gather.h>
#include <asynctools/log.h>
#include <asynctools/task_manager.h>

#include <stdio.h>
#include <string.h>

FAULT_INSTALL;

TestSuite(error_tree, .timeout = 200);

static at_pool *pool;

static void create(void) {
    pool = create_pool(1);
}

static void destroy(void) {
    destroy_pool(pool);
}

static void *fail_with_number(void *number) {
    at_fail(AT_ERROR_TIMED_OUT, "no answer");
    return at_fail_from(at_error_take(), AT_ERROR_IO, "no page %d", *(int *)number);
}

/* All of `count` items fail, in order: one worker, and a policy that lets each end. */
static at_status fail_all(int count) {
    static int numbers[200];
    for (int i = 0; i < count; i++)
        numbers[i] = 100 + i;
    at_gather_options options = {.limit = 1, .policy = AT_TASK_MANAGER_COLLECT};
    return at_gather(pool, fail_with_number, AT_ITEMS(numbers, count), NULL, &options);
}

Test(error_tree, g2_each_error_names_its_item, .init = create, .fini = destroy) {
    cr_assert_eq(fail_all(5), AT_ERROR_IO);
    const at_error *error = at_error_last();
    cr_assert_eq(at_error_item(error), 0);
    cr_assert_str_eq(at_error_text(error), "no page 100");
    cr_assert_str_eq(at_error_task(error), "fail_with_number");
    cr_assert(strstr(at_error_started_at(error), "error_tree_test.c:"));
    cr_assert_eq(at_error_other_count(error), 4);
    for (size_t i = 0; i < 4; i++) {
        const at_error *other = at_error_other(error, i);
        cr_assert_eq(at_error_item(other), (int64_t)i + 1);
        cr_assert_str_eq(at_error_task(other), "fail_with_number");
        cr_assert(strstr(at_error_origin(other), "error_tree_test.c:"));
        cr_assert_eq(at_error_status(at_error_cause(other)), AT_ERROR_TIMED_OUT);
    }
    cr_assert(strstr(at_error_message(error), "in task fail_with_number, item 0, from"));
    cr_assert_eq(at_error_item(NULL), AT_NONE);
    cr_assert_eq(at_error_item(at_error_cause(error)), AT_NONE);
}

Test(error_tree, g2_the_others_are_bounded_and_counted, .init = create, .fini = destroy) {
    cr_assert_eq(fail_all(200), AT_ERROR_IO);
    cr_assert_eq(at_error_other_count(at_error_last()), 64);
    cr_assert(strstr(at_error_message(at_error_last()), "and 191 more"));
}

static void *fail_inside(void *unused) {
    (void)unused;
    AT_TRY(fail_all(3));
    return NULL;
}

/* The error of an inner gather becomes the cause of that of an outer one. */
Test(error_tree, g2_trees_nest, .init = create, .fini = destroy) {
    int items[2] = {0};
    cr_assert_eq(
        at_gather(pool, fail_inside, AT_ITEMS(items, 2), NULL, &(at_gather_options){.limit = 1}),
        AT_ERROR_IO);
    const at_error *error = at_error_last();
    cr_assert_eq(at_error_item(error), 0);
    cr_assert_str_eq(at_error_task(error), "fail_inside");
    cr_assert_eq(at_error_other_count(at_error_cause(error)), 2);
}

static void *pass_on(void *future) {
    AT_TRY(at_future_wait(*(at_future **)future, AT_FOREVER, NULL));
    return NULL;
}

/* An error that others hold does not change: the item is said of a copy. */
Test(error_tree, f2_a_shared_error_is_copied, .init = create, .fini = destroy) {
    int number = 7;
    at_future *failed = at_pool_submit(pool, fail_with_number, &number);
    at_future *items[3] = {failed, failed, failed};
    at_gather_options options = {.policy = AT_TASK_MANAGER_COLLECT};
    cr_assert_eq(at_gather(pool, pass_on, AT_ITEMS(items, 3), NULL, &options), AT_ERROR_IO);
    cr_assert_eq(at_error_other_count(at_error_last()), 2);
    cr_assert_neq(at_error_item(at_error_other(at_error_last(), 1)), AT_NONE);
    cr_assert_eq(at_error_item(at_future_error(failed)), AT_NONE);
    at_future_release(failed);
}

Test(error_tree, g2_printed_by_one_call, .init = create, .fini = destroy) {
    cr_assert_eq(fail_all(70), AT_ERROR_IO);
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    at_error_print(at_error_last(), file);
    at_error_print(NULL, file);
    fclose(file);
    cr_assert_eq(strncmp(text, "AT_ERROR_IO: no page 100\n  (error_tree_test.c:", 46), 0, "%s",
                 text);
    cr_assert(strstr(text, "in task fail_with_number, item 0, from error_tree_test.c:"));
    cr_assert(strstr(text, "\n  caused by AT_ERROR_TIMED_OUT: no answer\n"));
    cr_assert(strstr(text, "\n  also AT_ERROR_IO: no page 101\n    (error_tree_test.c:"));
    cr_assert(strstr(text, "\n    caused by AT_ERROR_TIMED_OUT: no answer\n"));
    cr_assert(strstr(text, "\n  and 5 more\nsuccess\n"), "%s", text);
    free(text);
}

/* However deep it is, printing has an end. */
Test(error_tree, g2_a_deep_tree_is_cut) {
    for (int i = 0; i < 1000; i++)
        at_fail_from(at_error_take(), AT_ERROR_IO, "number %d", i);
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    at_error_print(at_error_last(), file);
    fclose(file);
    cr_assert(strstr(text, "and further errors\n"));
    cr_assert_lt(size, 2000);
    free(text);
    at_error_clear();
}

Test(error_tree, j1_the_log_has_the_others, .init = create, .fini = destroy) {
    at_logger *logger;
    at_logger_options options = {.memory_bytes = 65536};
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    cr_assert_eq(fail_all(70), AT_ERROR_IO);
    at_log_error(logger, "failed", at_kv_error(at_error_last()), at_kv("after", 1));
    cr_assert_eq(at_logger_flush(logger, PATIENCE), AT_OK);
    char *line;
    cr_assert_eq(at_logger_memory_lines(logger, &line), AT_OK);
    cr_assert(strstr(line, "\"error.item\":0"), "%s", line);
    cr_assert(strstr(line, "\"error.other_count\":69"));
    cr_assert(strstr(line,
                     "\"error.others\":[{\"status\":\"AT_ERROR_IO\",\"message\":\"no page 101\","
                     "\"origin\":\"error_tree_test.c:"));
    cr_assert(strstr(line, "\"item\":2}"));
    cr_assert(strstr(line, "\"after\":1"));
    cr_assert_lt(strlen(line), 8193);
    at_logger_memory_release(line);
    at_logger_destroy(logger);
}
