/* SPDX-License-Identifier: MIT */
#include <asynctools/asynctools.h>

#include <stdio.h>
#include <string.h>

static void *measure(void *text) { /* a task: gives a value, or fails with a sentence */
    size_t length = strlen(text);
    return length > 0 ? (void *)length : at_fail(AT_ERROR_INVALID, "nothing to measure");
}

static void *square(void *length, void *context) { /* a continuation: that value, and a context */
    (void)context;
    return (void *)((size_t)length * (size_t)length);
}

int main(int argument_count, char **arguments) {
    at_pool *pool;
    if (at_pool_create(&pool, NULL) != AT_OK) /* NULL: a thread for each CPU that may be used */
        return 1;

    at_future *length = at_pool_submit(pool, measure, argument_count > 1 ? arguments[1] : "four");
    at_future *area = at_future_then(length, square, NULL); /* takes over `length` */

    void *value;
    at_status status = at_future_wait(area, at_after(AT_SECONDS(5)), &value);
    if (status == AT_OK)
        printf("%zu\n", (size_t)value);
    else
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));

    at_future_release(area);
    at_pool_destroy(pool); /* finishes what was accepted */
    return status == AT_OK ? 0 : 1;
}
