/* SPDX-License-Identifier: MIT */
/* What a program calls of a keyed executor, and its life. Its keys and their turns are in
 * key_turns.c. */
#include "future/keyed_executor.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "future/future.h"
#include "pool/pool.h"

#include <string.h>

enum {
    runner_limit = 65536,
    fetch_ahead = 2, /* spare keys */
};

static size_t size_of(int64_t max_running) {
    return sizeof(at_keyed_executor) + (size_t)max_running * sizeof(ati_key_runner);
}

/* Under table_lock, or while nobody uses it. NULL: there is none. The ones after it, which runners
 * have used last, are fetched ahead. */
static ati_key *take_spare(at_keyed_executor *keyed) {
    if (keyed->spare_count == 0)
        return NULL;
    ati_key *spare = keyed->spares[--keyed->spare_count];
    if (keyed->spare_count >= fetch_ahead) {
        const char *next = (const char *)keyed->spares[keyed->spare_count - fetch_ahead];
        for (size_t i = 0; i < sizeof(ati_key); i += ATI_CACHE_LINE)
            __builtin_prefetch(next + i, 1);
    }
    return spare;
}

void ati_keyed_release(at_keyed_executor *keyed) {
    /* ORDER keyed.references: acq_rel. All uses by others happen before the free.
     * Pairs with: itself in ati_keyed_release(). If relaxed: freed while another still reads. */
    if (atomic_fetch_sub_explicit(&keyed->references, 1, memory_order_acq_rel) != 1)
        return;
    at_pool *pool = keyed->pool;
    ati_part_remove(&keyed->part);
    ati_keyed_free_runners(keyed);
    for (ati_key *spare; (spare = take_spare(keyed));)
        ati_release(spare, sizeof *spare);
    ati_key_table_deinit(&keyed->table);
    ati_release(keyed, size_of(keyed->options.max_running));
    ati_pool_release(pool);
}

void ati_keyed_fit_table(at_keyed_executor *keyed, size_t wanted_size) {
    if (wanted_size == 0)
        return;
    size_t bucket_count = wanted_size;
    ati_key **buckets = ati_key_table_make_buckets(bucket_count);
    if (!buckets)
        return;
    ati_lock_acquire(&keyed->table_lock);
    if (ati_key_table_wanted_size(&keyed->table) == wanted_size)
        ati_key_table_swap(&keyed->table, &buckets, &bucket_count);
    ati_lock_release(&keyed->table_lock);
    ati_key_table_free_buckets(buckets, bucket_count);
}

/* -- Submitting -- */

/* What a caller calls a key by. */
typedef struct key_name {
    const void *bytes;
    size_t size;
    uint64_t hash;
} key_name;

static void init_key(ati_key *key, at_keyed_executor *keyed, const key_name *name, int64_t weight) {
    memset(key, 0, sizeof *key);
    key->executor = (at_executor){.start = ati_key_start,
                                  .retain = ati_key_retain,
                                  .release = ati_key_release,
                                  .pool = keyed->pool};
    if (keyed->is_serial) {
        key->executor.serial_name = "a key of a keyed executor";
        key->executor.visit_queued = ati_key_visit_queued;
    }
    key->keyed = keyed;
    key->weight = weight;
    key->hash = name->hash;
    key->size = name->size;
    if (name->size > 0)
        memcpy(key->bytes, name->bytes, name->size);
}

/* Under table_lock. */
static void add_key(at_keyed_executor *keyed, ati_key *key) {
    if (keyed->table.count == 0)
        atomic_fetch_add_explicit(&keyed->references, 1, memory_order_relaxed);
    ati_key_table_add(&keyed->table, key);
}

static void count_found(at_keyed_executor *keyed, ati_key *key) {
    uint64_t found = atomic_load_explicit(&key->found, memory_order_relaxed);
    atomic_store_explicit(&key->found, found + 1, memory_order_relaxed);
    ati_counter_add(&keyed->found, 1);
}

/* Finds a key and keeps it. NULL: it is not there, and `*spare` is memory for it, if there is some.
 * It is made at once if there is, and all weigh the same. */
static ati_key *find_key(at_keyed_executor *keyed, const key_name *name, ati_key **spare) {
    size_t wanted_size = 0;
    ati_lock_acquire(&keyed->table_lock);
    ati_key *key = ati_key_table_find(&keyed->table, name->bytes, name->size, name->hash);
    if (!key && name->size <= ATI_SMALL_KEY)
        *spare = take_spare(keyed);
    if (*spare && !keyed->options.weight) {
        key = *spare;
        init_key(key, keyed, name, 1);
        add_key(keyed, key);
        wanted_size = ati_key_table_wanted_size(&keyed->table);
    }
    if (key)
        count_found(keyed, key);
    ati_lock_release(&keyed->table_lock);
    ati_keyed_fit_table(keyed, wanted_size);
    return key;
}

/* Adds a key, unless somebody else was faster; keeps the one that is there. */
static ati_key *add_or_find_key(at_keyed_executor *keyed, const key_name *name, ati_key *made) {
    ati_lock_acquire(&keyed->table_lock);
    ati_key *key = ati_key_table_find(&keyed->table, name->bytes, name->size, name->hash);
    bool is_new = !key;
    if (is_new) {
        key = made;
        add_key(keyed, key);
    }
    count_found(keyed, key);
    size_t wanted_size = is_new ? ati_key_table_wanted_size(&keyed->table) : 0;
    ati_lock_release(&keyed->table_lock);
    ati_keyed_fit_table(keyed, wanted_size);
    return key;
}

/* Makes a key that was not there, of the spare memory if there is some. */
static at_status make_key(at_keyed_executor *keyed, const key_name *name, ati_key *spare,
                          ati_key **key) {
    const at_keyed_executor_options *options = &keyed->options;
    int64_t weight =
        options->weight ? options->weight(name->bytes, name->size, options->context) : 1;
    if (weight < 1) {
        ati_release(spare, sizeof *spare);
        return ati_fail(AT_ERROR_INVALID, "weight: gave %lld, less than 1", (long long)weight);
    }
    size_t size = ati_key_size_of(name->size);
    ati_key *made = spare ? spare : ati_allocate_aligned(size, _Alignof(ati_key));
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "no memory for a key");
    init_key(made, keyed, name, weight);
    *key = add_or_find_key(keyed, name, made);
    if (*key != made)
        ati_release(made, size);
    return AT_OK;
}

/* Gives a key, kept; NULL: the status and the error say why not. */
static at_status use_key(at_keyed_executor *keyed, const void *bytes, size_t size, ati_key **key) {
    if (ati_keyed_is_forked(keyed))
        return ati_fail(AT_ERROR_FORKED,
                        "the keyed executor belongs to the parent of this forked process");
    if (!bytes && size > 0)
        return ati_fail(AT_ERROR_INVALID, "key: is NULL, and its size is %zu", size);
    key_name name = {bytes, size, ati_hash_bytes(&keyed->table.seed, bytes, size)};
    ati_key *spare = NULL;
    *key = find_key(keyed, &name, &spare);
    return *key ? AT_OK : make_key(keyed, &name, spare, key);
}

/* The argument is dropped, and the future says why. */
static at_future *refuse(at_keyed_executor *keyed, const at_task_options *options,
                         at_status status) {
    at_error *error = at_error_last() ? at_error_take() : ati_error_static(status);
    ati_call_drop(options->drop, options->argument);
    return ati_future_failed(&keyed->pool->executor, error);
}

static at_future *submit(const char *call, const char *site, at_keyed_executor *keyed,
                         const void *bytes, size_t size, const at_task_options *options) {
    ati_key *key = NULL;
    ati_frame_slot slot = ati_frame_put_slot_aside();
    at_status status = ati_future_check_options(call, options);
    if (status == AT_OK)
        status = use_key(keyed, bytes, size, &key);
    at_future *future;
    if (status != AT_OK) {
        future = refuse(keyed, options, status);
    } else if ((future = ati_future_create_task(site, &key->executor, options))) {
        ati_future_start_tasks(&future, 1);
    } else {
        atomic_fetch_add_explicit(&keyed->refused, 1, memory_order_relaxed);
        future = ati_future_no_memory();
    }
    ati_frame_put_slot_back(slot);
    return future;
}

at_future *at_keyed_executor_submit_at(const char *site, at_keyed_executor *keyed, const void *key,
                                       size_t key_size, at_run_fn run, void *argument) {
    ATI_CALLER_CHECK(keyed, "at_keyed_executor_submit", "`keyed` is NULL");
    ATI_CALLER_CHECK(run, "at_keyed_executor_submit", "`run` is NULL");
    at_task_options options = {.run = run, .argument = argument};
    return submit("at_keyed_executor_submit", site, keyed, key, key_size, &options);
}

at_future *at_keyed_executor_submit_with_at(const char *site, at_keyed_executor *keyed,
                                            const void *key, size_t key_size,
                                            const at_task_options *options) {
    ATI_CALLER_CHECK(keyed, "at_keyed_executor_submit_with", "`keyed` is NULL");
    ATI_CALLER_CHECK(options && options->run, "at_keyed_executor_submit_with", "`run` is NULL");
    return submit("at_keyed_executor_submit_with", site, keyed, key, key_size, options);
}

/* -- Making -- */

/* Puts the default in. The error names the member. */
static at_status complete(int64_t *value, const char *member, int64_t standard, int64_t max) {
    if (*value == 0)
        *value = standard;
    if (*value < 1 || *value > max)
        return ati_fail(AT_ERROR_INVALID, "at_keyed_executor_create: %s: %lld is out of range",
                        member, (long long)*value);
    return AT_OK;
}

static at_status complete_options(at_keyed_executor_options *options, const at_pool *pool) {
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "at_keyed_executor_create: reserved: is not zero");
    int64_t workers = at_pool_thread_count(pool);
    at_status status = complete(&options->max_per_key, "max_per_key", 1, AT_UNLIMITED);
    if (status == AT_OK)
        status = complete(&options->max_running, "max_running", workers, runner_limit);
    if (status == AT_OK)
        status = complete(&options->queue_bound_per_key, "queue_bound_per_key", AT_UNLIMITED,
                          AT_UNLIMITED);
    return status;
}

at_status at_keyed_executor_create(at_keyed_executor **keyed, at_pool *pool,
                                   const at_keyed_executor_options *options) {
    ATI_CALLER_CHECK(keyed, "at_keyed_executor_create", "`keyed` is NULL");
    ATI_CALLER_CHECK(pool, "at_keyed_executor_create", "`pool` is NULL");
    at_keyed_executor_options completed = options ? *options : (at_keyed_executor_options){0};
    at_status status = complete_options(&completed, pool);
    if (status != AT_OK)
        return status;
    size_t size = size_of(completed.max_running);
    at_keyed_executor *made = ati_allocate_aligned(size, _Alignof(at_keyed_executor));
    if (made)
        memset(made, 0, size);
    if (!made || !ati_key_table_init(&made->table)) {
        ati_release(made, size);
        return ati_fail(AT_ERROR_NO_MEMORY, "at_keyed_executor_create: out of memory");
    }
    made->pool = pool;
    made->options = completed;
    made->is_serial = completed.max_per_key == 1;
    made->takes_all = made->is_serial && completed.queue_bound_per_key == AT_UNLIMITED;
    made->fork_count = ati_process_fork_count();
    atomic_init(&made->references, 1);
    ati_keyed_init_runners(made);
    ati_pool_retain(pool);
    ati_part_add(pool, &made->part, &ati_keyed_section, made);
    *keyed = made;
    return AT_OK;
}

int64_t at_keyed_executor_key_count(at_keyed_executor *keyed) {
    ATI_CALLER_CHECK(keyed, "at_keyed_executor_key_count", "`keyed` is NULL");
    if (ati_keyed_is_forked(keyed))
        return 0;
    ati_keyed_forget(keyed);
    ati_lock_acquire(&keyed->table_lock);
    size_t count = keyed->table.count;
    ati_lock_release(&keyed->table_lock);
    return (int64_t)count;
}

void at_keyed_executor_destroy(at_keyed_executor *keyed) {
    if (keyed)
        ati_keyed_release(keyed);
}
