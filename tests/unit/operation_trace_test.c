/* SPDX-License-Identifier: MIT
 *
 * Operations are parts of traces (rules O1, S4): ids and flags come in by a header of a request, go
 * with the work, and go out by another. */
#include "support/fault.h"
#include "support/operations.h"
#include "support/test.h"

#include <asynctools/asynctools.h>

#include <string.h>

FAULT_INSTALL;

TestSuite(operation_trace, .init = begin_operations, .fini = end_operations, .timeout = 200);

/* Rule O1: the ids of a request come in and go out. */
Test(operation_trace, it_is_a_part_of_the_trace_of_a_request) {
    static const char header[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    AT_OPERATION(operation, "served", .traceparent = header) {
        char out[AT_TRACEPARENT_SIZE];
        at_operation_traceparent(operation, out);
        cr_expect_arr_eq(out, header, 36);
        at_traceparent parsed;
        cr_assert_eq(at_traceparent_parse(out, &parsed), AT_OK);
        cr_expect_eq(parsed.parent_id, at_operation_id(operation));
        cr_expect_eq(parsed.flags, 1);
    }
    json_t *lines;
    json_t *line = line_of("served.started", &lines);
    cr_expect_str_eq(text_of(line, "trace_id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    cr_expect_str_eq(text_of(line, "parent_operation_id"), "00f067aa0ba902b7");
    json_decref(lines);
    AT_OPERATION(operation, "unserved", .traceparent = "nonsense") {
        cr_expect_neq(at_operation_trace_id(operation).low, 0);
    }
}

static char flags_seen[4];

static void *see_flags(void *argument) {
    AT_OPERATION(operation, "task") {
        char header[AT_TRACEPARENT_SIZE];
        at_operation_traceparent(operation, header);
        memcpy(flags_seen, header + 52, 4);
    }
    return argument;
}

static void expect_flags(const at_task_options *options, const char *flags) {
    at_future *future = at_pool_submit_with(pool, options);
    cr_assert_eq(at_future_wait(future, PATIENCE, NULL), AT_OK);
    at_future_release(future);
    cr_expect_str_eq(flags_seen, flags);
}

/* Rules O1, S4: whether a trace is sampled goes with its id; what the standard has reserved is not
 * passed on. */
Test(operation_trace, flags_go_with_the_trace) {
    static const struct {
        const char *header;
        const char *flags;
    } cases[] = {
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", "-00"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", "-01"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02", "-00"},
        {"nonsense", "-01"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        AT_OPERATION(operation, "served", .traceparent = cases[i].header) {
            see_flags(NULL);
            cr_expect_str_eq(flags_seen, cases[i].flags);
            expect_flags(&(at_task_options){.run = see_flags}, cases[i].flags);
            expect_flags(&(at_task_options){.run = see_flags, .is_detached = true}, cases[i].flags);
        }
}

Test(operation_trace, traceparents_are_checked) {
    static const char *const bad[] = {
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736x00f067aa0ba902b7-01",
    };
    at_traceparent parsed = {.flags = 77};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(at_traceparent_parse(bad[i], &parsed), AT_ERROR_INVALID, "%s", bad[i]);
    cr_expect_eq(parsed.flags, 77);
    cr_expect_eq(at_traceparent_parse(
                     "42-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more", &parsed),
                 AT_OK);
    cr_expect_eq(parsed.trace_id.high, 0x4bf92f3577b34da6u);
}
