/* SPDX-License-Identifier: MIT */
/* What an error says about the task that it ended, and about the errors that came with it. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static void *copy_file(void *path) {
    return at_fail(AT_ERROR_IO, "cannot copy %s", (const char *)path);
}

int main(void) {
    at_pool *pool;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    char *paths[] = {"/a", "/b", "/c"};
    at_future *copies[3];
    for (int i = 0; i < 3; i++) {
        at_task_options options = {.run = copy_file, .argument = paths[i], .name = "copy"};
        copies[i] = at_pool_submit_with(pool, &options);
    }
    at_future *all = at_future_all(copies, 3); /* takes the three over */
    expect(at_future_wait(all, AT_FOREVER, NULL) == AT_ERROR_IO, "a failure");

    /* The error of `all` is the first in time. The copies that had not begun were not wanted any
     * more; those that failed meanwhile are attached. */
    const at_error *error = at_future_error(all);
    puts(at_error_message(error));
    expect(strcmp(at_error_task(error), "copy") == 0, "the name of the task");
    expect(strncmp(at_error_started_at(error), "error_of_a_task.c:", 18) == 0, "its start");
    expect(at_error_other_count(error) <= 2, "two more at most");
    for (size_t i = 0; i < at_error_other_count(error); i++)
        expect(at_error_status(at_error_other(error, i)) == AT_ERROR_IO, "of the same kind");
    at_future_release(all);
    at_pool_destroy(pool);
    return 0;
}
