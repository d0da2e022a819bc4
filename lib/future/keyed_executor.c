/* SPDX-License-Identifier: MIT */
/* Tasks under keys, which take turns.
 *
 * Each key is an executor with a queue of its own. A key is ready while it has tasks queued and may
 * run one more; the ready keys are in a list. The first of them begins a task at a time: as many as
 * its weight says, then it goes to the end, and a round is over when each has been first. That is
 * deficit round robin with tasks of one size: M. Shreedhar, G. Varghese, "Efficient Fair Queuing
 * Using Deficit Round Robin", 1996. A key that has to pause because enough of its tasks run goes on
 * where it was, if it had not had its share.
 *
 * Runners run what is ready: drains of the pool, one for each task that may run at the same time. A
 * runner ends when no key is ready. One that ends a task of a key takes the next task, so a key
 * that becomes ready thereby has a runner; one that becomes ready by a start gets another, if there
 * is one left.
 *
 * Checked by: tests/unit/keyed_executor_test.c, tests/stress/keyed_executor_test.c. */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process_fork.h"
#include "future/drain.h"
#include "future/future.h"
#include "future/key_table.h"

#include <asynctools/keyed_executor.h>

#include <string.h>

enum { runner_limit = 65536 };

typedef struct key_runner {
    ati_drain drain;
    at_keyed_executor *keyed;
    ati_key *key;            /* whose task it runs, kept, or NULL; its own */
    struct key_runner *next; /* of those that are not under way; the lock */
} key_runner;

struct at_keyed_executor {
    at_pool *pool;                     /* retained */
    _Atomic uint64_t references;       /* of the owner, of keys, of runners under way */
    uint64_t fork_count;               /* of the process that made it */
    at_keyed_executor_options options; /* as given, but with the defaults put in */

    ati_lock lock; /* guards what follows, and in keys; the pool's own nest in it */
    ati_key_table table;
    ati_key *first_ready;
    ati_key *last_ready;
    key_runner *idle_runners;
    int64_t runners_under_way;

    key_runner runners[]; /* options.max_running */
};

static size_t size_of(int64_t max_running) {
    return sizeof(at_keyed_executor) + (size_t)max_running * sizeof(key_runner);
}

static bool is_forked(const at_keyed_executor *keyed) {
    return keyed->fork_count != ati_process_fork_count();
}

static void release_keyed(at_keyed_executor *keyed) {
    /* ORDER keyed.references: acq_rel. All uses by others happen before the free.
     * Pairs with: itself in release_keyed(). If relaxed: freed while another still reads. */
    if (atomic_fetch_sub_explicit(&keyed->references, 1, memory_order_acq_rel) != 1)
        return;
    at_pool *pool = keyed->pool;
    ati_key_table_deinit(&keyed->table);
    ati_release(keyed, size_of(keyed->options.max_running));
    ati_pool_release(pool);
}

/* -- Keys -- */

static void retain_key(at_executor *executor) {
    ati_key *key = (ati_key *)executor;
    atomic_fetch_add_explicit(&key->references, 1, memory_order_relaxed);
}

/* Gives a reference back that is not the last. */
static bool release_one_of_several(ati_key *key) {
    uint64_t references = atomic_load_explicit(&key->references, memory_order_relaxed);
    while (references > 1)
        /* ORDER key.references: release. All uses happen before the free.
         * Pairs with: acq_rel in release_key(). If relaxed: freed while this thread still reads. */
        if (atomic_compare_exchange_weak_explicit(&key->references, &references, references - 1,
                                                  memory_order_release, memory_order_relaxed))
            return true;
    return false;
}

/* The last reference goes under the lock, so that nobody finds the key meanwhile. In the child of a
 * fork the lock may be held for ever, and the key stays. */
static void release_key(at_executor *executor) {
    ati_key *key = (ati_key *)executor;
    at_keyed_executor *keyed = key->keyed;
    if (release_one_of_several(key) || is_forked(keyed))
        return;
    ati_lock_acquire(&keyed->lock);
    /* ORDER key.references: acq_rel. All uses by others happen before the free.
     * Pairs with: release in release_one_of_several(). If relaxed: freed while another reads. */
    bool is_last = atomic_fetch_sub_explicit(&key->references, 1, memory_order_acq_rel) == 1;
    if (is_last)
        ati_key_table_remove(&keyed->table, key);
    ati_lock_release(&keyed->lock);
    if (!is_last)
        return;
    ati_release(key, sizeof *key + key->size);
    release_keyed(keyed);
}

/* -- Those that are ready; under the lock -- */

static bool may_begin(const ati_key *key) {
    return key->first && key->running < key->keyed->options.max_per_key;
}

static void add_ready(ati_key *key, bool is_first) {
    at_keyed_executor *keyed = key->keyed;
    key->is_ready = true;
    key->next = is_first ? keyed->first_ready : NULL;
    if (is_first || !keyed->first_ready)
        keyed->first_ready = key;
    else
        keyed->last_ready->next = key;
    if (!key->next)
        keyed->last_ready = key;
}

static void remove_first_ready(at_keyed_executor *keyed) {
    keyed->first_ready->is_ready = false;
    keyed->first_ready = keyed->first_ready->next;
}

/* Takes the next task of the first key, which is kept for it, and puts the key where it belongs. */
static ati_key *take_task(at_keyed_executor *keyed, ati_work *work) {
    ati_key *key = keyed->first_ready;
    if (!key)
        return NULL;
    ati_task_node *node = key->first;
    key->first = node->next;
    *work = node->work;
    if (key->left == 0)
        key->left = key->weight;
    key->left--;
    key->queued--;
    key->running++;
    retain_key(&key->executor);
    if (!key->first)
        key->left = 0;
    if (!may_begin(key) || key->left == 0) {
        remove_first_ready(keyed);
        if (may_begin(key))
            add_ready(key, false);
    }
    return key;
}

static void end_task(ati_key *key) {
    key->running--;
    if (!key->is_ready && may_begin(key))
        add_ready(key, key->left > 0);
}

/* -- Runners -- */

static bool take(ati_drain *drain, ati_work *work) {
    key_runner *runner = (key_runner *)drain;
    at_keyed_executor *keyed = runner->keyed;
    ati_key *ended = runner->key;
    ati_lock_acquire(&keyed->lock);
    if (ended)
        end_task(ended);
    ati_key *key = take_task(keyed, work);
    runner->key = key;
    if (!key) {
        runner->next = keyed->idle_runners;
        keyed->idle_runners = runner;
        keyed->runners_under_way--;
    }
    ati_lock_release(&keyed->lock);
    if (ended)
        release_key(&ended->executor);
    if (!key)
        release_keyed(keyed);
    return key;
}

/* The task has ended, and the next is not taken before others of the pool have had their turn. */
static void pause_runner(ati_drain *drain) {
    key_runner *runner = (key_runner *)drain;
    at_keyed_executor *keyed = runner->keyed;
    ati_key *ended = runner->key;
    ati_lock_acquire(&keyed->lock);
    end_task(ended);
    runner->key = NULL;
    ati_lock_release(&keyed->lock);
    release_key(&ended->executor);
}

/* Starts a runner, if one is left. It waits for the lock, if it begins at once. */
static at_status start_runner(at_keyed_executor *keyed) {
    key_runner *runner = keyed->idle_runners;
    if (!runner)
        return AT_OK;
    at_status status = ati_drain_start(&runner->drain);
    if (status != AT_OK)
        return status;
    keyed->idle_runners = runner->next;
    keyed->runners_under_way++;
    atomic_fetch_add_explicit(&keyed->references, 1, memory_order_relaxed);
    return AT_OK;
}

/* As many as the key can use. One that is under way already would do. */
static at_status start_runners(ati_key *key, size_t count) {
    at_keyed_executor *keyed = key->keyed;
    int64_t places = keyed->options.max_per_key - key->running;
    at_status status = AT_OK;
    for (size_t i = 0; status == AT_OK && i < count && (int64_t)i < places && keyed->idle_runners;
         i++)
        status = start_runner(keyed);
    return keyed->runners_under_way > 0 ? AT_OK : status;
}

/* -- Starting -- */

static void append(ati_key *key, ati_task_node *nodes, size_t count) {
    if (key->first)
        key->last->next = nodes;
    else
        key->first = nodes;
    key->last = nodes;
    while (key->last->next)
        key->last = key->last->next;
    key->queued += (int64_t)count;
    if (!key->is_ready && may_begin(key))
        add_ready(key, false);
}

static at_status start_locked(ati_key *key, ati_task_node *nodes, size_t count,
                              bool is_continuation) {
    int64_t bound = key->keyed->options.queue_bound_per_key;
    if (!is_continuation && key->queued >= bound)
        return ati_fail(AT_ERROR_FULL,
                        "keyed executor: the queue of the key is full, queue_bound_per_key is %lld",
                        (long long)bound);
    at_status status = start_runners(key, count);
    if (status == AT_OK)
        append(key, nodes, count);
    return status;
}

static at_status start(at_executor *executor, ati_task_node *nodes, size_t count,
                       bool is_continuation) {
    ati_key *key = (ati_key *)executor;
    at_keyed_executor *keyed = key->keyed;
    if (is_forked(keyed))
        return ati_fail(AT_ERROR_FORKED,
                        "the keyed executor belongs to the parent of this forked process");
    at_status status = is_continuation ? AT_OK : ati_pool_check_open(keyed->pool);
    if (status != AT_OK)
        return status;
    ati_lock_acquire(&keyed->lock);
    status = start_locked(key, nodes, count, is_continuation);
    ati_lock_release(&keyed->lock);
    return status;
}

/* -- Submitting -- */

/* Finds a key and keeps it; one that is not there becomes `made`, if that is given. */
static ati_key *find_key(at_keyed_executor *keyed, const void *bytes, size_t size, uint64_t hash,
                         ati_key *made) {
    ati_lock_acquire(&keyed->lock);
    ati_key *key = ati_key_table_find(&keyed->table, bytes, size, hash);
    if (!key && made) {
        key = made;
        ati_key_table_add(&keyed->table, key);
    } else if (key) {
        retain_key(&key->executor);
    }
    ati_lock_release(&keyed->lock);
    return key;
}

/* NULL: no memory. */
static ati_key *make_key(at_keyed_executor *keyed, const void *bytes, size_t size, uint64_t hash,
                         int64_t weight) {
    ati_key *key = ati_allocate_zeroed(sizeof *key + size);
    if (!key)
        return NULL;
    key->executor = (at_executor){
        .start = start, .retain = retain_key, .release = release_key, .pool = keyed->pool};
    if (keyed->options.max_per_key == 1)
        key->executor.serial_name = "a key of a keyed executor";
    key->keyed = keyed;
    atomic_init(&key->references, 1);
    key->weight = weight;
    key->hash = hash;
    key->size = size;
    if (size > 0)
        memcpy(key->bytes, bytes, size);
    return key;
}

/* Gives a key, kept; NULL: the status and the error say why not. */
static at_status use_key(at_keyed_executor *keyed, const void *bytes, size_t size, ati_key **key) {
    if (is_forked(keyed))
        return ati_fail(AT_ERROR_FORKED,
                        "the keyed executor belongs to the parent of this forked process");
    if (!bytes && size > 0)
        return ati_fail(AT_ERROR_INVALID, "key: is NULL, and its size is %zu", size);
    uint64_t hash = ati_hash_bytes(&keyed->table.seed, bytes, size);
    *key = find_key(keyed, bytes, size, hash, NULL);
    if (*key)
        return AT_OK;
    const at_keyed_executor_options *options = &keyed->options;
    int64_t weight = options->weight ? options->weight(bytes, size, options->context) : 1;
    if (weight < 1)
        return ati_fail(AT_ERROR_INVALID, "weight: gave %lld, less than 1", (long long)weight);
    ati_key *made = make_key(keyed, bytes, size, hash, weight);
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "no memory for a key");
    atomic_fetch_add_explicit(&keyed->references, 1, memory_order_relaxed);
    *key = find_key(keyed, bytes, size, hash, made);
    if (*key != made) { /* somebody else was faster */
        ati_release(made, sizeof *made + size);
        release_keyed(keyed);
    }
    return AT_OK;
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
    at_status status = use_key(keyed, bytes, size, &key);
    at_future *future;
    if (status == AT_OK) {
        future = ati_future_submit_with(call, site, &key->executor, options);
        release_key(&key->executor);
    } else {
        future = refuse(keyed, options, status);
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

static void init_runners(at_keyed_executor *keyed) {
    for (int64_t i = keyed->options.max_running; i-- > 0;) {
        key_runner *runner = &keyed->runners[i];
        ati_drain_init(&runner->drain, keyed->pool, take, pause_runner);
        runner->keyed = keyed;
        runner->next = keyed->idle_runners;
        keyed->idle_runners = runner;
    }
}

at_status at_keyed_executor_create(at_keyed_executor **keyed, at_pool *pool,
                                   const at_keyed_executor_options *options) {
    ATI_CALLER_CHECK(keyed, "at_keyed_executor_create", "`keyed` is NULL");
    ATI_CALLER_CHECK(pool, "at_keyed_executor_create", "`pool` is NULL");
    at_keyed_executor_options completed = options ? *options : (at_keyed_executor_options){0};
    at_status status = complete_options(&completed, pool);
    if (status != AT_OK)
        return status;
    at_keyed_executor *made = ati_allocate_zeroed(size_of(completed.max_running));
    if (!made || !ati_key_table_init(&made->table)) {
        if (made)
            ati_release(made, size_of(completed.max_running));
        return ati_fail(AT_ERROR_NO_MEMORY, "at_keyed_executor_create: out of memory");
    }
    made->pool = pool;
    made->options = completed;
    made->fork_count = ati_process_fork_count();
    atomic_init(&made->references, 1);
    init_runners(made);
    ati_pool_retain(pool);
    *keyed = made;
    return AT_OK;
}

int64_t at_keyed_executor_key_count(at_keyed_executor *keyed) {
    ATI_CALLER_CHECK(keyed, "at_keyed_executor_key_count", "`keyed` is NULL");
    if (is_forked(keyed))
        return 0;
    ati_lock_acquire(&keyed->lock);
    size_t count = keyed->table.count;
    ati_lock_release(&keyed->lock);
    return (int64_t)count;
}

void at_keyed_executor_destroy(at_keyed_executor *keyed) {
    if (keyed)
        release_keyed(keyed);
}
