/* SPDX-License-Identifier: MIT */
/* The library's memory: where it comes from, and what happens when there is none. */
#include <asynctools/asynctools.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct account {
    _Atomic size_t bytes; /* in use */
    _Atomic bool closed;  /* gives nothing */
};

static void *allocate(void *context, size_t size, size_t alignment) {
    struct account *account = context;
    if (atomic_load(&account->closed))
        return NULL;
    void *pointer = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (pointer)
        atomic_fetch_add(&account->bytes, size);
    return pointer;
}

static void release(void *context, void *pointer, size_t size) {
    atomic_fetch_sub(&((struct account *)context)->bytes, size);
    free(pointer);
}

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static void *work(void *unused) {
    return unused;
}

int main(void) {
    static struct account account;
    at_allocator allocator = {.allocate = allocate, .release = release, .context = &account};
    expect(at_allocator_set(&allocator) == AT_OK, "to be the first call");
    at_pool *pool;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    expect(atomic_load(&account.bytes) > 0, "its memory");
    expect(at_allocator_set(NULL) == AT_ERROR_INVALID, "too late now");
    at_error_clear();

    /* No memory: a call that gives a future gives one, and it has failed. */
    atomic_store(&account.closed, true);
    at_future *future = at_pool_submit(pool, work, NULL);
    expect(at_future_wait(future, AT_FOREVER, NULL) == AT_ERROR_NO_MEMORY, "a failed future");
    puts(at_error_message(at_error_last()));
    at_future_release(future);
    atomic_store(&account.closed, false);

    at_pool_destroy(pool);
    at_error_clear(); /* the slot of this thread may hold an error */
    expect(atomic_load(&account.bytes) == 0, "all of it given back");
    return 0;
}
