/* SPDX-License-Identifier: MIT */
/* How functions fail: with a sentence, with the error of what they called, or with both. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Gives a status: at_fail_status makes the error and gives its status back. */
static at_status read_port(const char *text, int *port) {
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || *end)
        return at_fail_status(AT_ERROR_INVALID, "not a number: %s", text);
    if (number < 1 || number > 65535)
        return at_fail_status(AT_ERROR_INVALID, "not a port: %ld", number);
    *port = (int)number;
    return AT_OK;
}

/* Calls such functions: AT_TRY_STATUS returns the status of the first that fails. */
static at_status read_range(const char *first, const char *last, int *count) {
    int lowest, highest;
    AT_TRY_STATUS(read_port(first, &lowest));
    AT_TRY_STATUS(read_port(last, &highest));
    *count = highest - lowest + 1;
    return AT_OK;
}

/* A work function gives a pointer. AT_TRY returns AT_FAILED, and so does at_fail. */
static void *count_ports(void *range) {
    static int count;
    const char **texts = range;
    AT_TRY(read_range(texts[0], texts[1], &count));
    return count > 0 ? &count
                     : at_fail(AT_ERROR_INVALID, "no ports from %s to %s", texts[0], texts[1]);
}

/* Says what the failure means here, and keeps the error behind it. */
static void *start_server(void *range) {
    int *count = count_ports(range);
    if (count == AT_FAILED)
        return at_fail_from(at_error_take(), AT_ERROR_UNAVAILABLE, "the server cannot start");
    return count;
}

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

int main(void) {
    const char *good[] = {"8000", "8009"}, *bad[] = {"8000", "http"};
    int *count = start_server(good);
    expect(count != AT_FAILED && *count == 10, "ten ports");
    expect(start_server(bad) == AT_FAILED, "a failure");

    const at_error *error = at_error_last(); /* borrowed, until the next call that fails here */
    puts(at_error_message(error));           /* all of it, in one line */
    expect(at_error_status(error) == AT_ERROR_UNAVAILABLE, "the status that was given last");
    expect(strcmp(at_error_text(error), "the server cannot start") == 0, "the sentence alone");
    expect(strncmp(at_error_origin(error), "errors.c:", 9) == 0, "where it was made");
    expect(at_error_status(at_error_cause(error)) == AT_ERROR_INVALID, "the error behind it");

    at_error *kept = at_error_retain(error); /* the slot may go on to the next error */
    at_error_clear();
    expect(!at_error_last() && strstr(at_error_message(kept), "not a number: http"), "kept");
    at_error_release(kept);
    return 0;
}
