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
 * runner takes the first ready key off the list, and all that it has queued, if it is the only one
 * that may run it. It runs one task after the other, and looks before each whether the key has had
 * its share and another is ready: then it puts back what is left.
 *
 * Producers and runners have locks and cache lines of their own. Who starts a task takes the lock
 * of its key, and arrival_lock only if that makes the key ready; runners take what has arrived over
 * into their list, which ready_lock guards, when that is empty or a key goes to its end. The order
 * of the locks: that of a key, ready_lock, arrival_lock; of two keys none has both.
 *
 *   1. is_ready is set by who puts the key into a list, or is about to, and cleared by the runner
 *      that has taken it off. So a key is in one list at most, once.
 *   2. While keys are ready either no runner is idle, or one is arriving: it was started and has
 *      not looked yet. It looks after that has ended, and starts the next if it leaves a key.
 *      Runners become idle under both locks, when neither list has a key.
 *   3. `taken`, `left` and `given_back` of a runner belong to who runs it. A key that only one may
 *      run points to it while it has tasks of the key.
 *
 * A task that waits for one of the same executor that has not begun lends its place, else as many
 * of those as there are places could keep out all that they wait for. While it waits there is one
 * runner more. Afterwards the first runner that ends a task leaves: the one that comes back goes on
 * at once, and nothing is begun before fewer than max_running are left. So nobody waits for a place
 * who holds anything.
 *
 * Checked by: tests/unit/keyed_executor_test.c, tests/stress/keyed_executor_test.c. */
#include "base/error.h"
#include "future/future.h"
#include "future/keyed_executor.h"
#include "pool/pool.h"

enum { linger_least = 4 }; /* tasks that a runner has run before it lingers */

static ati_task_node *first_of(const ati_key *key) {
    return atomic_load_explicit(&((ati_key *)key)->first, memory_order_relaxed);
}

static void set_first(ati_key *key, ati_task_node *node) {
    atomic_store_explicit(&key->first, node, memory_order_relaxed);
}

static bool may_begin(const ati_key *key) {
    return first_of(key) && key->running < key->keyed->options.max_per_key;
}

/* -- The list of those that are ready; under ready_lock -- */

static ati_key *first_ready(const at_keyed_executor *keyed) {
    return atomic_load_explicit(&((at_keyed_executor *)keyed)->first_ready, memory_order_relaxed);
}

static void set_first_ready(at_keyed_executor *keyed, ati_key *key) {
    atomic_store_explicit(&keyed->first_ready, key, memory_order_relaxed);
}

static void append_ready(at_keyed_executor *keyed, ati_key *first, ati_key *last) {
    if (first_ready(keyed))
        keyed->last_ready->next = first;
    else
        set_first_ready(keyed, first);
    keyed->last_ready = last;
}

/* Those that have arrived are ready. */
static void take_arrived(at_keyed_executor *keyed) {
    if (!atomic_load_explicit(&keyed->first_arrived, memory_order_relaxed))
        return;
    ati_lock_acquire(&keyed->arrival_lock);
    ati_key *first = atomic_load_explicit(&keyed->first_arrived, memory_order_relaxed);
    ati_key *last = keyed->last_arrived;
    atomic_store_explicit(&keyed->first_arrived, NULL, memory_order_relaxed);
    ati_lock_release(&keyed->arrival_lock);
    if (first)
        append_ready(keyed, first, last);
}

static void add_ready(ati_key *key, bool is_first) {
    at_keyed_executor *keyed = key->keyed;
    if (!is_first) {
        take_arrived(keyed);
        key->next = NULL;
        append_ready(keyed, key, key);
        return;
    }
    key->next = first_ready(keyed);
    if (!key->next)
        keyed->last_ready = key;
    set_first_ready(keyed, key);
}

/* What comes next was written on another CPU: the first task of the next key, and the one after.
 * Looking at it is all that is done, and it may have changed. */
static void prefetch_next(const ati_key *key) {
    if (!key)
        return;
    ati_prefetch_node(first_of(key));
    if (key->next)
        __builtin_prefetch(&key->next->lock, 1);
}

/* NULL: none is ready. */
static ati_key *pop_ready(at_keyed_executor *keyed) {
    if (!first_ready(keyed))
        take_arrived(keyed);
    ati_key *key = first_ready(keyed);
    if (!key)
        return NULL;
    set_first_ready(keyed, key->next);
    prefetch_next(key->next);
    ati_key_begin_use(key);
    return key;
}

/* -- Keys in turn; under the lock of the key -- */

/* The runner takes what it runs next. True: the key goes back to those that are ready. */
static bool take_tasks(ati_key_runner *runner, ati_key *key) {
    at_keyed_executor *keyed = runner->keyed;
    int64_t count = keyed->takes_all ? key->queued : 1;
    runner->taken = first_of(key);
    runner->taken_last = keyed->takes_all ? key->last : runner->taken;
    ati_counter_add(&runner->taken_count, (uint64_t)count);
    set_first(key, keyed->takes_all ? NULL : runner->taken->next);
    key->queued -= count;
    key->running++;
    key->is_ready = false;
    if (key->left == 0)
        key->left = key->weight;
    runner->left = key->left;
    if (keyed->is_serial) {
        atomic_store_explicit(&key->runner, runner, memory_order_relaxed);
        return false;
    }
    key->left = first_of(key) ? key->left - 1 : 0;
    key->is_ready = may_begin(key);
    return key->is_ready;
}

static void put_back_taken(ati_key_runner *runner, ati_key *key) {
    if (!runner->taken)
        return;
    uint64_t count = ati_counter_read(&runner->taken_count);
    ati_task_node *first = first_of(key);
    runner->taken_last->next = first;
    if (!first)
        key->last = runner->taken_last;
    set_first(key, runner->taken);
    key->queued += (int64_t)count;
    ati_counter_add(&runner->taken_count, -count);
    runner->taken = NULL;
}

/* The task has ended. True: the key is to be put back to those that are ready. */
static bool leave_tasks(ati_key_runner *runner, ati_key *key, bool *is_first) {
    put_back_taken(runner, key);
    if (runner->keyed->is_serial) {
        key->left = first_of(key) ? runner->left : 0;
        atomic_store_explicit(&key->runner, NULL, memory_order_relaxed);
    }
    key->running--;
    bool is_ready = !key->is_ready && may_begin(key);
    key->is_ready |= is_ready;
    *is_first = key->left > 0;
    return is_ready;
}

/* -- Runners -- */

/* The runner has ended the task of its key. Under ready_lock from then on. */
static void leave_key(ati_key_runner *runner, ati_key_list *unkept) {
    ati_key *key = runner->key;
    bool is_first;
    ati_lock_acquire(&key->lock);
    bool is_ready = leave_tasks(runner, key, &is_first);
    ati_lock_release(&key->lock);
    uint64_t given_back = runner->given_back;
    runner->given_back = 0;
    runner->key = NULL;
    if (given_back > 0)
        /* ORDER key.references: release. All uses happen before the free; it is in use still.
         * Pairs with: acq_rel in ati_keyed_let_go(). If relaxed: freed while this thread still
         * reads. */
        atomic_fetch_sub_explicit(&key->references, given_back, memory_order_release);
    ati_lock_acquire(&runner->keyed->ready_lock);
    if (is_ready)
        add_ready(key, is_first);
    ati_key_end_use(key, unkept);
}

/* Gives the key whose turn it is, or NULL: none is ready, or there is no place. */
static ati_key *next_key(ati_key_runner *runner) {
    at_keyed_executor *keyed = runner->keyed;
    ati_key_list unkept;
    unkept.count = 0;
    if (runner->key)
        leave_key(runner, &unkept);
    else
        ati_lock_acquire(&keyed->ready_lock);
    ati_key *key = ati_keyed_has_surplus(keyed) ? NULL : pop_ready(keyed);
    ati_lock_release(&keyed->ready_lock);
    ati_keyed_let_go(keyed, &unkept);
    return key;
}

/* The same; one that finds none lets some gather first, if it has run a few. NULL: it has ended. */
static ati_key *find_key(ati_key_runner *runner) {
    at_keyed_executor *keyed = runner->keyed;
    int looks = runner->ran == linger_least ? ATI_LINGER_TIMES : 0;
    for (;;) {
        ati_key *key = next_key(runner);
        if (key)
            return key;
        if (looks-- > 0 && !ati_keyed_has_surplus(keyed) && ati_worker_linger(ati_worker_current))
            continue;
        if (ati_key_runner_end(runner))
            break;
    }
    ati_keyed_forget(keyed);
    ati_keyed_release(keyed);
    return NULL;
}

static void begin_key(ati_key_runner *runner, ati_key *key) {
    at_keyed_executor *keyed = runner->keyed;
    runner->key = key;
    ati_lock_acquire(&key->lock);
    bool stays_ready = take_tasks(runner, key);
    bool is_first = key->left > 0;
    ati_lock_release(&key->lock);
    if (stays_ready) {
        ati_lock_acquire(&keyed->ready_lock);
        add_ready(key, is_first);
        ati_lock_release(&keyed->ready_lock);
    }
    if (atomic_load_explicit(&keyed->has_idle, memory_order_relaxed) && ati_keyed_has_ready(keyed))
        ati_keyed_call_runner(keyed);
}

/* Whether the next task is of the same key, and in hand. */
static bool goes_on(ati_key_runner *runner) {
    at_keyed_executor *keyed = runner->keyed;
    if (!runner->taken || ati_keyed_has_surplus(keyed))
        return false;
    if (runner->left == 0) {
        if (ati_keyed_has_ready(keyed))
            return false;
        runner->left = runner->key->weight; /* a round of this key alone */
    }
    return true;
}

bool ati_key_runner_take(ati_drain *drain, ati_work *work) {
    ati_key_runner *runner = (ati_key_runner *)drain;
    ati_worker *worker = ati_worker_current;
    if (atomic_load_explicit(&runner->worker, memory_order_relaxed) != worker)
        atomic_store_explicit(&runner->worker, worker, memory_order_relaxed);
    ati_counter_add(&runner->running, -ati_counter_read(&runner->running));
    if (runner->is_arriving)
        ati_key_runner_arrive(runner);
    if (!goes_on(runner)) {
        ati_key *key = find_key(runner);
        if (!key)
            return false;
        begin_key(runner, key);
    }
    ati_task_node *node = runner->taken;
    runner->taken = node == runner->taken_last ? NULL : node->next;
    ati_prefetch_node(runner->taken);
    runner->left--;
    ati_counter_add(&runner->taken_count, (uint64_t)-1);
    ati_counter_add_after(&runner->begun, 1);
    ati_counter_add(&runner->running, 1);
    runner->ran += runner->ran < linger_least;
    *work = node->work;
    return true;
}

/* The task has ended, and the next is not taken before others of the pool have had their turn. */
void ati_key_runner_pause(ati_drain *drain) {
    ati_key_runner *runner = (ati_key_runner *)drain;
    at_keyed_executor *keyed = runner->keyed;
    ati_key_list unkept;
    unkept.count = 0;
    ati_counter_add(&runner->running, (uint64_t)-1);
    leave_key(runner, &unkept);
    ati_lock_release(&keyed->ready_lock);
    atomic_store_explicit(&runner->worker, NULL, memory_order_relaxed);
    ati_keyed_let_go(keyed, &unkept);
}

/* -- Starting -- */

static void append(ati_key *key, ati_task_node *nodes, size_t count) {
    if (first_of(key))
        key->last->next = nodes;
    else
        set_first(key, nodes);
    key->last = nodes;
    while (key->last->next)
        key->last = key->last->next;
    key->queued += (int64_t)count;
    atomic_fetch_add_explicit(&key->keyed->ever_queued, count, memory_order_relaxed);
}

/* The key becomes ready. Under its lock, so a runner that takes it off waits for its tasks. */
static at_status arrive(ati_key *key) {
    at_keyed_executor *keyed = key->keyed;
    ati_lock_acquire(&keyed->arrival_lock);
    at_status status = ati_keyed_start_runner(keyed);
    if (status == AT_OK) {
        key->is_ready = true;
        key->next = NULL;
        if (atomic_load_explicit(&keyed->first_arrived, memory_order_relaxed))
            keyed->last_arrived->next = key;
        else
            atomic_store_explicit(&keyed->first_arrived, key, memory_order_relaxed);
        keyed->last_arrived = key;
    }
    ati_lock_release(&keyed->arrival_lock);
    return status;
}

at_status ati_key_start(at_executor *executor, ati_task_node *nodes, size_t count,
                        bool is_continuation) {
    ati_key *key = (ati_key *)executor;
    at_keyed_executor *keyed = key->keyed;
    if (ati_keyed_is_forked(keyed))
        return ati_fail(AT_ERROR_FORKED,
                        "the keyed executor belongs to the parent of this forked process");
    at_status status = is_continuation ? AT_OK : ati_pool_check_open(keyed->pool);
    if (status != AT_OK)
        return status;
    int64_t bound = is_continuation ? AT_UNLIMITED : keyed->options.queue_bound_per_key;
    ati_lock_acquire(&key->lock);
    bool is_full = key->queued >= bound;
    if (is_full)
        status = AT_ERROR_FULL;
    else if (!key->is_ready && key->running < keyed->options.max_per_key)
        status = arrive(key);
    if (status == AT_OK)
        append(key, nodes, count);
    ati_lock_release(&key->lock);
    if (!is_full)
        return status;
    return ati_fail(AT_ERROR_FULL,
                    "keyed executor: the queue of the key is full, queue_bound_per_key is %lld",
                    (long long)bound);
}
