/* SPDX-License-Identifier: MIT
 *
 * Rule H00: what is wrong with an operation's options, and the misuse of its scopes, end the
 * process with a sentence that names the call and the member. Each case runs in a process of its
 * own. */
#include "support/apart.h"

#include <asynctools/asynctools.h>

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static at_operation_scope scopes[2];

static void no_name(void) {
    at_operation_end(at_operation_begin(NULL, NULL));
}

static void begin_with(const at_operation_options *options) {
    at_operation_end(at_operation_begin("bad", options));
}

static void bad_slow(void) {
    begin_with(&(at_operation_options){.slow = -1});
}

static void bad_fields(void) {
    begin_with(&(at_operation_options){.field_count = 1});
}

static void bad_start_level(void) {
    begin_with(&(at_operation_options){.start_level = (at_log_level)77});
}

static void bad_end_level(void) {
    begin_with(&(at_operation_options){.end_level = (at_log_level)-1});
}

static void bad_log_level(void) {
    AT_OPERATION(operation, "bad", .log_level = (at_log_level)8) {
    }
}

static void bad_kept_level(void) {
    begin_with(&(at_operation_options){.kept_level = (at_log_level)8});
}

static void few_kept_bytes(void) {
    begin_with(&(at_operation_options){.kept_level = AT_LOG_DEBUG, .kept_bytes = 100});
}

static void negative_kept_bytes(void) {
    begin_with(&(at_operation_options){.kept_bytes = -1});
}

static void bad_reserved(void) {
    begin_with(&(at_operation_options){.reserved = {0, 0, 0, 1}});
}

static void leave_well(void *unused) {
    (void)unused;
    _exit(0);
}

/* It is noticed before anything of the outer one has ended. */
static void scopes_in_the_wrong_order(void) {
    at_operation_scope_begin(&scopes[0], "outer", NULL);
    if (at_defer(scopes[0].operation, leave_well, NULL) != AT_OK)
        return;
    at_operation_scope_begin(&scopes[1], "inner", NULL);
    at_operation_scope_end(&scopes[0]);
}

static void operation_ended_twice(void) {
    at_operation_scope_begin(&scopes[0], "once", NULL);
    at_operation_scope_end(&scopes[0]);
    at_operation_scope_end(&scopes[0]);
}

static void scope_ended_twice(void) {
    at_operation_scope_enter(&scopes[0], NULL);
    at_operation_scope_end(&scopes[0]);
    at_operation_scope_end(&scopes[0]);
}

static void clock_gone(void) {
    at_clock *clock;
    if (at_virtual_clock_create(&clock) != AT_OK)
        return;
    at_clock_bind(clock);
    at_operation *operation = at_operation_begin("by_the_clock", NULL);
    at_clock_bind(NULL);
    at_virtual_clock_destroy(clock);
    at_operation_end(operation);
}

static void no_function(void) {
    AT_OPERATION(operation, "bad") {
        (void)!at_defer(operation, NULL, NULL);
    }
}

static void no_fields(void) {
    AT_OPERATION(operation, "bad") {
        at_operation_add_fields(operation, NULL, 1);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
    const char *sentence;
} cases[] = {
    {"name", no_name, "`name` is NULL"},
    {"slow", bad_slow, "`slow` is negative"},
    {"fields", bad_fields, "`fields` is NULL"},
    {"start_level", bad_start_level, "`start_level` is not a level"},
    {"end_level", bad_end_level, "`end_level` is not a level"},
    {"log_level", bad_log_level, "`log_level` is not a level"},
    {"kept_level", bad_kept_level, "`kept_level` is not a level"},
    {"kept_bytes", few_kept_bytes, "`kept_bytes` is not between"},
    {"minus", negative_kept_bytes, "`kept_bytes` is not between"},
    {"reserved", bad_reserved, "`reserved` is not zero"},
    {"order", scopes_in_the_wrong_order, "a scope that was begun after this one has not ended"},
    {"operation", operation_ended_twice, "a scope ends in the function that began it, once"},
    {"twice", scope_ended_twice, "a scope ends in the function that began it, once"},
    {"clock", clock_gone, "an operation that was begun on the clock has not ended"},
    {"defer", no_function, "`run` is NULL"},
    {"add", no_fields, "`fields` is NULL"},
};

enum { case_count = sizeof cases / sizeof *cases };

int main(int count, char **arguments) {
    for (int i = 0; i < case_count; i++)
        if (count < 2) {
            apart_check_abort(cases[i].name, cases[i].sentence);
        } else if (strcmp(arguments[1], cases[i].name) == 0) {
            setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
            cases[i].run();
        }
    return 0;
}
