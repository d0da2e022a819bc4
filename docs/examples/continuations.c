/* SPDX-License-Identifier: MIT */
/* then, recover, finally: what is done with a value, with an error, and in any case. */
#include <asynctools/asynctools.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *look_up(void *name) { /* the task */
    static char found[] = "192.0.2.7";
    if (strcmp(name, "known") != 0)
        return at_fail(AT_ERROR_NOT_FOUND, "no address of %s", (const char *)name);
    return found;
}

static void *connect_to(void *address, void *context) { /* then: the value, and a context */
    (void)context;
    char *connection = malloc(64);
    if (!connection)
        return at_fail(AT_ERROR_NO_MEMORY, "no memory for a connection");
    snprintf(connection, 64, "connected to %s", (const char *)address);
    return at_return(connection, free);
}

static void *use_default(const at_error *error, void *context) { /* recover: the error */
    if (at_error_status(error) == AT_ERROR_NOT_FOUND)
        return context;
    return at_fail_from(at_error_retain(error), at_error_status(error), "no way to go on");
}

static void count_end(const at_outcome *outcome, void *context) { /* finally: the outcome */
    printf("%s\n",
           outcome->status == AT_OK ? (char *)outcome->value : at_error_message(outcome->error));
    ++*(int *)context;
}

/* Whether `name` ends in `expected`. */
static int check(at_pool *pool, char *name, const char *expected) {
    int ends = 0;
    at_future *future = at_pool_submit(pool, look_up, name);
    future = at_future_then(future, connect_to, NULL);
    future = at_future_recover(future, use_default, "working without a connection");
    future = at_future_finally(future, count_end, &ends);
    void *value;
    at_status status = at_future_wait(future, at_after(AT_SECONDS(30)), &value);
    int right = status == AT_OK && strcmp(value, expected) == 0 && ends == 1;
    at_future_release(future); /* and with it the values of the whole chain */
    return right;
}

int main(void) {
    at_pool *pool;
    if (at_pool_create(&pool, NULL) != AT_OK)
        return 1;
    int right = check(pool, "known", "connected to 192.0.2.7") &&
                check(pool, "unknown", "working without a connection");
    at_pool_destroy(pool);
    return right ? 0 : 1;
}
