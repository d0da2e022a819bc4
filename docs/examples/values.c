/* SPDX-License-Identifier: MIT */
/* Who owns a value, and how it moves. */
#include <asynctools/asynctools.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic int made;
static _Atomic int dropped;

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static void drop_text(void *text) {
    atomic_fetch_add(&dropped, 1);
    free(text);
}

static void *write_text(void *word) {
    char *text = malloc(64);
    if (!text)
        return at_fail(AT_ERROR_NO_MEMORY, "no memory for a text");
    strcpy(text, word);
    atomic_fetch_add(&made, 1);
    return at_return(text,
                     drop_text); /* the future owns it, and drops it with the last reference */
}

/* Takes the value out of its source if nobody else can see it, and works on a copy otherwise. */
static void *add_mark(void *value, void *context) {
    (void)context;
    at_drop_fn drop;
    if (at_value_take(&drop) != AT_OK) /* AT_ERROR_SHARED */
        value = write_text(value);
    if (value == AT_FAILED)
        return AT_FAILED;
    strcat(value, "!");
    return at_return(value, drop_text);
}

int main(void) {
    at_pool *pool;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    void *value;

    /* A wait lends the value, as long as the future. */
    at_future *text = at_pool_submit(pool, write_text, "read");
    expect(at_future_wait(text, AT_FOREVER, &value) == AT_OK, "a value");
    expect(strcmp(value, "read") == 0 && atomic_load(&dropped) == 0, "borrowed");
    at_future_release(text);

    /* The only consumer may move it out of its source. */
    at_future *marked = at_future_then(at_pool_submit(pool, write_text, "moved"), add_mark, NULL);
    expect(at_future_wait(marked, AT_FOREVER, &value) == AT_OK, "the same text");
    expect(strcmp(value, "moved!") == 0, "marked in place");
    at_future_release(marked);

    /* A second continuation needs a second reference; both see the same value. */
    text = at_pool_submit(pool, write_text, "shared");
    at_future *one = at_future_then(at_future_retain(text), add_mark, NULL);
    at_future *two = at_future_then(at_future_retain(text), add_mark, NULL);
    expect(at_future_wait(one, AT_FOREVER, &value) == AT_OK, "a copy");
    expect(strcmp(value, "shared!") == 0, "marked");
    expect(at_future_wait(two, AT_FOREVER, NULL) == AT_OK, "another");
    expect(at_future_wait(text, AT_FOREVER, &value) == AT_OK, "the first");
    expect(strcmp(value, "shared") == 0, "as it was");

    /* at_future_take moves it out, once; the caller drops it now. */
    at_drop_fn drop;
    expect(at_future_take(text, &value, &drop) == AT_OK, "the value itself");
    expect(at_future_take(text, &value, NULL) == AT_ERROR_ALREADY, "only once");
    drop(value);
    at_future_release(one);
    at_future_release(two);
    at_future_release(text);
    at_pool_destroy(pool);
    expect(atomic_load(&dropped) == atomic_load(&made), "each text dropped once");
    return 0;
}
