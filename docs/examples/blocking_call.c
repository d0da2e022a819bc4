/* SPDX-License-Identifier: MIT */
/* A read that blocks, on a pool of one worker: the task that will write runs meanwhile. */
#include <asynctools/asynctools.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

struct line {
    int from;
    char text[32];
};

/* On a spare thread. What fails here fails the task. */
static void *read_line(void *argument) {
    struct line *line = argument;
    ssize_t length = read(line->from, line->text, sizeof line->text - 1);
    if (length < 0)
        return at_fail(AT_ERROR_IO, "read: %s", strerror(errno));
    line->text[length] = '\0';
    return line;
}

static void *read_in_task(void *line) {
    return at_blocking_call(read_line, line);
}

static void *write_line(void *to) {
    AT_TRY(at_sleep(AT_MILLISECONDS(5)));
    return write(*(int *)to, "hello", 5) == 5 ? NULL : at_fail(AT_ERROR_IO, "write failed");
}

int main(void) {
    int ends[2];
    at_pool *pool;
    expect(pipe(ends) == 0, "a pipe");
    expect(at_pool_create(&pool, &(at_pool_options){.thread_count = 1}) == AT_OK, "a pool");
    struct line line = {.from = ends[0]};
    at_future *read = at_pool_submit(pool, read_in_task, &line);
    expect(at_pool_start(pool, write_line, &ends[1]) == AT_OK, "a start");
    expect(at_future_wait(read, AT_FOREVER, NULL) == AT_OK, "a line");
    puts(line.text);
    at_future_release(read);
    at_pool_destroy(pool);
    close(ends[0]);
    close(ends[1]);
    return 0;
}
