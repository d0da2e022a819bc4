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
 * runner takes the first ready key off the list. If it is the only one that may run it, it takes
 * all that is queued, runs one task after the other, and looks before each whether the key has had
 * its share and another is ready: then it puts the key back, which keeps what was taken.
 *
 * Producers and runners have locks and cache lines of their own. Who starts a task takes the lock
 * of its key, and arrival_lock only if that makes the key ready; runners take what has arrived over
 * into their list, which ready_lock guards, when that is empty or a key goes to its end. The order
 * of the locks: ready_lock or table_lock, that of one key, arrival_lock.
 *
 *   1. is_ready is set by who puts the key into a list, or is about to. It is cleared by the runner
 *      that has taken it off, or, if that has it alone, when nothing is left. So a key is in one
 *      list at most, once.
 *   2. While keys are ready either no runner is idle, or one is arriving: it was started and has
 *      not looked yet. It looks after that has ended, and starts the next if it leaves a key.
 *      Runners become idle under both locks, when neither list has a key.
 *   3. What is taken of a key, and what else stands beside it, belongs to the runner that has the
 *      key alone. It passes to the next by ready_lock, or by the key's lock and arrival_lock.
 *
 * A task that waits for one of the same executor that has not begun lends its place, else as many
 * of those as there are places could keep out all that they wait for. While it waits there is one
 * runner more. Afterwards a runner that ends a task leaves: the one that comes back goes on at
 * once, and nothing is begun before fewer than max_running are left. So nobody waits for a place
 * who holds anything. Waits that come to the same by a detour are found by the search for
 * deadlocks, which lets one of them lend its place. It looks when a wait begins; so a runner leaves
 * only if some other task does not wait, which will come to its end or begin a wait.
 *
 * Checked by: tests/unit/keyed_executor_test.c, tests/unit/keyed_wait_test.c,
 * tests/stress/keyed_executor_test.c. */
#include "base/error.h"
#include "future/future.h"
#include "future/keyed_executor.h"
#include "pool/pool.h"

enum { linger_least = 4 }; /* tasks that a runner has run before it lingers */

static bool may_begin(const ati_key *key) {
    return key->first && key->running < key->keyed->options.max_per_key;
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

/* What comes next was written on another CPU: the first task of the next key, and the one after. A
 * line that producers write is not looked at before something has to be taken there. */
static void prefetch_next(const ati_key *key) {
    if (!key)
        return;
    if (key->taken)
        ati_prefetch_node(key->taken);
    else
        __builtin_prefetch(&key->lock, 1);
    if (key->next)
        __builtin_prefetch(&key->next->taken, 1);
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

/* -- Keys that one runner alone may run -- */

/* Under the lock: the runner takes what is queued, before which nothing is taken. */
static void take_queued(ati_key *key, ati_task_node *first) {
    bool takes_all = key->keyed->takes_all;
    int64_t count = takes_all ? key->queued : 1;
    key->taken = first;
    key->taken_last = takes_all ? key->last : first;
    key->first = takes_all ? NULL : first->next;
    key->queued -= count;
    ati_counter_add(&key->taken_count, (uint64_t)count);
}

/* False: nothing is queued. */
static bool take_more(ati_key *key) {
    ati_lock_acquire(&key->lock);
    ati_task_node *first = key->first;
    if (first)
        take_queued(key, first);
    ati_lock_release(&key->lock);
    return first;
}

static ati_task_node *take_node(ati_key *key) {
    ati_task_node *node = key->taken;
    key->taken = node == key->taken_last ? NULL : node->next;
    if (key->taken)
        ati_prefetch_node(key->taken);
    key->left--;
    ati_counter_add(&key->taken_count, (uint64_t)-1);
    return node;
}

static ati_task_node *begin_alone(ati_key_runner *runner, ati_key *key) {
    atomic_store_explicit(&key->runner, runner, memory_order_relaxed);
    if (!key->taken)
        (void)take_more(key); /* something is queued: it was ready */
    if (key->left == 0)
        key->left = key->weight;
    return take_node(key);
}

/* True: the key is to be put back to those that are ready. */
static bool leave_alone(ati_key *key) {
    if (key->taken) {
        atomic_store_explicit(&key->runner, NULL, memory_order_relaxed);
        return true;
    }
    uint64_t given_back = 0;
    ati_lock_acquire(&key->lock);
    atomic_store_explicit(&key->runner, NULL, memory_order_relaxed);
    bool is_ready = key->first;
    if (!is_ready) { /* when the lock is free it may be ready again */
        key->is_ready = false;
        key->left = 0;
        given_back = key->given_back;
        key->given_back = 0;
    }
    ati_lock_release(&key->lock);
    if (given_back > 0)
        /* ORDER key.references: release. All uses happen before the free; it is in use still.
         * Pairs with: acq_rel in ati_keyed_let_go(). If relaxed: freed while this thread still
         * reads. */
        atomic_fetch_sub_explicit(&key->others, given_back, memory_order_release);
    return is_ready;
}

/* Whether the next task is of the same key. One who finds no other key ready waits a moment for
 * more of this one. */
static bool goes_on(const ati_key_runner *runner) {
    at_keyed_executor *keyed = runner->keyed;
    ati_key *key = runner->key;
    if (!key || !keyed->is_serial || ati_keyed_has_surplus(keyed))
        return false;
    bool has_others = ati_keyed_has_ready(keyed);
    if (has_others && (key->left == 0 || !key->taken))
        return false;
    if (key->left == 0)
        key->left = key->weight; /* a round of this key alone */
    if (key->taken || take_more(key))
        return true;
    int looks = runner->ran == linger_least ? ATI_LINGER_TIMES : 0;
    while (looks-- > 0 && ati_worker_linger(ati_worker_current)) {
        if (ati_keyed_has_ready(keyed))
            return false;
        if (take_more(key))
            return true;
    }
    return false;
}

/* -- Keys that several may run: a task at a time -- */

static ati_task_node *begin_one(ati_key *key, bool *stays_ready, bool *is_first) {
    ati_lock_acquire(&key->lock);
    ati_task_node *node = key->first;
    key->first = node->next;
    key->queued--;
    key->running++;
    if (key->left == 0)
        key->left = key->weight;
    key->left = key->first ? key->left - 1 : 0;
    key->is_ready = may_begin(key);
    *stays_ready = key->is_ready;
    *is_first = key->left > 0;
    ati_lock_release(&key->lock);
    return node;
}

/* True: as leave_alone. */
static bool leave_one(ati_key *key, bool *is_first) {
    ati_lock_acquire(&key->lock);
    key->running--;
    bool is_ready = !key->is_ready && may_begin(key);
    key->is_ready |= is_ready;
    *is_first = key->left > 0;
    ati_lock_release(&key->lock);
    return is_ready;
}

/* -- Runners -- */

/* The runner has ended the task of its key. Under ready_lock from then on. */
static void leave_key(ati_key_runner *runner, ati_key_list *unkept) {
    at_keyed_executor *keyed = runner->keyed;
    ati_key *key = runner->key;
    runner->key = NULL;
    bool is_first = keyed->is_serial && key->left > 0;
    bool is_ready = keyed->is_serial ? leave_alone(key) : leave_one(key, &is_first);
    ati_lock_acquire(&keyed->ready_lock);
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
    ati_key *key = ati_keyed_may_leave(keyed) ? NULL : pop_ready(keyed);
    ati_lock_release(&keyed->ready_lock);
    ati_keyed_let_go(keyed, &unkept);
    return key;
}

/* The same. NULL: the runner has ended. */
static ati_key *find_key(ati_key_runner *runner) {
    at_keyed_executor *keyed = runner->keyed;
    do {
        ati_key *key = next_key(runner);
        if (key)
            return key;
    } while (!ati_key_runner_end(runner));
    ati_keyed_forget(keyed);
    ati_keyed_release(keyed);
    return NULL;
}

static ati_task_node *begin_key(ati_key_runner *runner, ati_key *key) {
    at_keyed_executor *keyed = runner->keyed;
    bool stays_ready = false;
    bool is_first = false;
    runner->key = key;
    ati_task_node *node =
        keyed->is_serial ? begin_alone(runner, key) : begin_one(key, &stays_ready, &is_first);
    if (stays_ready) {
        ati_lock_acquire(&keyed->ready_lock);
        add_ready(key, is_first);
        ati_lock_release(&keyed->ready_lock);
    }
    if (atomic_load_explicit(&keyed->has_idle, memory_order_relaxed) && ati_keyed_has_ready(keyed))
        ati_keyed_call_runner(keyed);
    return node;
}

bool ati_key_runner_take(ati_drain *drain, ati_work *work) {
    ati_key_runner *runner = (ati_key_runner *)drain;
    ati_worker *worker = ati_worker_current;
    if (atomic_load_explicit(&runner->worker, memory_order_relaxed) != worker)
        atomic_store_explicit(&runner->worker, worker, memory_order_relaxed);
    if (runner->is_arriving)
        ati_key_runner_arrive(runner);
    atomic_store_explicit(&runner->task, NULL, memory_order_relaxed);
    ati_task_node *node;
    if (goes_on(runner)) {
        node = take_node(runner->key);
    } else {
        ati_key *key = find_key(runner);
        if (!key)
            return false;
        node = begin_key(runner, key);
    }
    ati_counter_add_after(&runner->begun, 1);
    atomic_store_explicit(&runner->task, ati_future_of_work(&node->work), memory_order_relaxed);
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
    atomic_store_explicit(&runner->task, NULL, memory_order_relaxed);
    leave_key(runner, &unkept);
    ati_lock_release(&keyed->ready_lock);
    atomic_store_explicit(&runner->worker, NULL, memory_order_relaxed);
    ati_keyed_let_go(keyed, &unkept);
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

static at_status refuse(const at_keyed_executor *keyed, at_status status) {
    if (status != AT_ERROR_FULL)
        return status;
    return ati_fail(AT_ERROR_FULL,
                    "keyed executor: the queue of the key is full, queue_bound_per_key is %lld",
                    (long long)keyed->options.queue_bound_per_key);
}

at_status ati_key_start(at_executor *executor, ati_task_node *nodes, size_t count,
                        bool is_continuation) {
    ati_key *key = (ati_key *)executor;
    at_keyed_executor *keyed = key->keyed;
    if (ati_keyed_is_forked(keyed))
        return ati_fail(AT_ERROR_FORKED,
                        "the keyed executor belongs to the parent of this forked process");
    at_status status = is_continuation ? AT_OK : ati_pool_check_open(keyed->pool);
    if (status == AT_OK) {
        if (is_continuation) /* others were counted when the key was found */
            atomic_fetch_add_explicit(&keyed->continued, count, memory_order_relaxed);
        ati_lock_acquire(&key->lock);
        if (!is_continuation && key->queued >= keyed->options.queue_bound_per_key)
            status = AT_ERROR_FULL;
        else if (!key->is_ready && key->running < keyed->options.max_per_key)
            status = arrive(key);
        if (status == AT_OK)
            append(key, nodes, count);
        ati_lock_release(&key->lock);
    }
    if (status == AT_OK)
        return AT_OK;
    atomic_fetch_add_explicit(&keyed->refused, count, memory_order_relaxed);
    return refuse(keyed, status);
}

/* -- Those who look from outside -- */

static bool visit_nodes(const ati_task_node *node,
                        bool (*visit)(const ati_work *work, void *context), void *context) {
    while (node && visit(&node->work, context))
        node = node->next;
    return !node;
}

/* What its runner has taken stays as it is: the task that runs does not end. */
void ati_key_visit_queued(at_executor *executor, bool (*visit)(const ati_work *work, void *context),
                          void *context) {
    ati_key *key = (ati_key *)executor;
    ati_lock_acquire(&key->lock);
    if (visit_nodes(key->taken, visit, context))
        (void)visit_nodes(key->first, visit, context);
    ati_lock_release(&key->lock);
}

void ati_keyed_visit_ready(at_keyed_executor *keyed,
                           bool (*visit)(const ati_work *work, void *context), void *context) {
    bool goes_on = true;
    ati_lock_acquire(&keyed->ready_lock);
    take_arrived(keyed);
    for (ati_key *key = first_ready(keyed); key && goes_on; key = key->next) {
        ati_lock_acquire(&key->lock);
        goes_on =
            visit_nodes(key->taken, visit, context) && visit_nodes(key->first, visit, context);
        ati_lock_release(&key->lock);
    }
    ati_lock_release(&keyed->ready_lock);
}
