/* SPDX-License-Identifier: MIT */
#include "library.h"
#include "serial.h"

#include <asynctools/future.h>
#include <asynctools/keyed_executor.h>
#include <asynctools/strand.h>

#include <stdlib.h>

/* The library: tasks in no order, on a strand, and under keys. Each gives a future, which is let go
 * at once. */
struct library_serial {
    at_pool *pool;
    at_strand *strand;
    at_keyed_executor *keyed;
};

static void *create(int workers) {
    struct library_serial *serial = calloc(1, sizeof(*serial));
    if (serial)
        serial->pool = library_create_pool(workers);
    return serial;
}

static void *create_with_strand(int workers) {
    struct library_serial *serial = create(workers);
    if (serial)
        library_expect(at_strand_create(&serial->strand, serial->pool, NULL));
    return serial;
}

static void *create_with_keys(int workers) {
    struct library_serial *serial = create(workers);
    if (serial)
        library_expect(at_keyed_executor_create(&serial->keyed, serial->pool, NULL));
    return serial;
}

static void submit(void *pool, long key, peer_run_fn run, void *argument) {
    struct library_serial *serial = pool;
    (void)key;
    at_future_release(at_pool_submit(serial->pool, run, argument));
}

static void submit_to_strand(void *pool, long key, peer_run_fn run, void *argument) {
    struct library_serial *serial = pool;
    (void)key;
    at_future_release(at_executor_submit(at_strand_executor(serial->strand), run, argument));
}

static void submit_with_key(void *pool, long key, peer_run_fn run, void *argument) {
    struct library_serial *serial = pool;
    at_future_release(at_keyed_executor_submit(serial->keyed, &key, sizeof(key), run, argument));
}

static void destroy(void *pool) {
    struct library_serial *serial = pool;
    at_keyed_executor_destroy(serial->keyed);
    at_strand_destroy(serial->strand);
    at_pool_destroy(serial->pool);
    free(serial);
}

const struct serial_peer serial_library_future = {
    .name = "asynctools future, no order",
    .is_library = true,
    .is_parallel = true,
    .create = create,
    .submit = submit,
    .destroy = destroy,
};

const struct serial_peer serial_library_strand = {
    .name = "asynctools strand",
    .is_library = true,
    .create = create_with_strand,
    .submit = submit_to_strand,
    .destroy = destroy,
};

const struct serial_peer serial_library_keyed = {
    .name = "asynctools keyed executor",
    .is_library = true,
    .create = create_with_keys,
    .submit = submit_with_key,
    .destroy = destroy,
};
