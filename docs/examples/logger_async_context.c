/* SPDX-License-Identifier: MIT */
/* Lines of a background task, which belong together by their operation. */
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

static at_logger *logger;

/* Prints the log, which then has to have this. */
static void expect_lines(const char *const *wanted) {
    char *lines;
    expect(at_logger_flush(logger, at_after(AT_SECONDS(30))) == AT_OK, "all lines written");
    expect(at_logger_memory_lines(logger, &lines) == AT_OK, "the lines");
    fputs(lines, stdout);
    for (; *wanted; wanted++)
        expect(strstr(lines, *wanted) != NULL, *wanted);
    at_logger_memory_release(lines);
}

static void *background_task(void *log) {
    at_logger *log_context = log;
    AT_OPERATION(context, "background_task", .logger = log_context,
                 AT_FIELDS(at_kv("task_id", "task_123"))) {
        at_log_info(log_context, "task_started");
        AT_TRY(at_sleep(AT_SECONDS(1)));
        at_log_info(log_context, "task_progress", at_kv("progress", 0.5));
        AT_TRY(at_sleep(AT_SECONDS(1)));
        at_log_info(log_context, "task_completed", at_kv("status", "success"));
    }
    return NULL;
}

int main(void) {
    /* Two seconds of a clock that does not wait. */
    at_clock *clock;
    at_pool *pool;
    expect(at_virtual_clock_create(&clock) == AT_OK, "a clock");
    expect(at_pool_create(&pool, &(at_pool_options){.clock = clock}) == AT_OK, "a pool");
    expect(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 65536}) == AT_OK,
           "a logger");

    at_future *done = at_pool_submit(pool, background_task, logger);
    expect(at_future_wait(done, AT_FOREVER, NULL) == AT_OK, "the task done");

    at_future_release(done);
    at_pool_destroy(pool);
    at_virtual_clock_destroy(clock);
    expect_lines((const char *const[]){
        "\"event\":\"task_started\",\"operation\":\"background_task\"",
        "\"task_id\":\"task_123\",\"progress\":0.5",
        "\"task_id\":\"task_123\",\"status\":\"success\"",
        "\"duration_ms\":2000.0,\"outcome\":\"ok\"",
        NULL,
    });
    at_logger_destroy(logger);
    return 0;
}
