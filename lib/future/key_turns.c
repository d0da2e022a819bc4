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
#include "base/memory.h"
#include "future/future.h"
#include "future/keyed_executor.h"
#include "pool/pool.h"

/* -- Keys -- */

void ati_key_retain(at_executor *executor) {
    ati_key *key = (ati_key *)executor;
    atomic_fetch_add_explicit(&key->references, 1, memory_order_relaxed);
}

/* Gives a reference back that is not the last. */
static bool release_one_of_several(ati_key *key) {
    uint64_t references = atomic_load_explicit(&key->references, memory_order_relaxed);
    while (references > 1)
        /* ORDER key.references: release. All uses happen before the free.
         * Pairs with: acq_rel in ati_key_release(). If relaxed: freed while this thread still
         * reads. */
        if (atomic_compare_exchange_weak_explicit(&key->references, &references, references - 1,
                                                  memory_order_release, memory_order_relaxed))
            return true;
    return false;
}

/* The last reference goes under the lock, so that nobody finds the key meanwhile. In the child of a
 * fork the lock may be held for ever, and the key stays. */
void ati_key_release(at_executor *executor) {
    ati_key *key = (ati_key *)executor;
    at_keyed_executor *keyed = key->keyed;
    if (release_one_of_several(key) || ati_keyed_is_forked(keyed))
        return;
    ati_lock_acquire(&keyed->lock);
    /* ORDER key.references: acq_rel. All uses by others happen before the free.
     * Pairs with: release in release_one_of_several(). If relaxed: freed while another reads. */
    bool is_last = atomic_fetch_sub_explicit(&key->references, 1, memory_order_acq_rel) == 1;
    if (is_last)
        ati_key_table_remove(&keyed->table, key);
    size_t wanted_size = is_last ? ati_key_table_wanted_size(&keyed->table) : 0;
    ati_lock_release(&keyed->lock);
    if (!is_last)
        return;
    ati_keyed_fit_table(keyed, wanted_size);
    ati_release(key, sizeof *key + key->size);
    ati_keyed_release(keyed);
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
    keyed->queued--;
    key->running++;
    keyed->running++;
    ati_key_retain(&key->executor);
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
    key->keyed->running--;
    if (!key->is_ready && may_begin(key))
        add_ready(key, key->left > 0);
}

/* -- Runners -- */

static void push_runner(ati_key_runner **list, ati_key_runner *runner) {
    runner->next = *list;
    *list = runner;
}

static ati_key_runner *pop_runner(ati_key_runner **list) {
    ati_key_runner *runner = *list;
    if (runner)
        *list = runner->next;
    return runner;
}

/* Places have been taken back: there are more runners than places. Then none is idle. */
static bool has_surplus(const at_keyed_executor *keyed) {
    return keyed->runner_count > keyed->options.max_running + keyed->lent;
}

static void put_away(at_keyed_executor *keyed, ati_key_runner *runner) {
    push_runner(&keyed->surplus_runners, runner);
    keyed->runner_count--;
}

static bool may_leave(const at_keyed_executor *keyed) {
    return has_surplus(keyed) &&
           (!keyed->first_ready || keyed->runners_under_way - 1 > keyed->waiting);
}

static void end_runner(at_keyed_executor *keyed, ati_key_runner *runner) {
    keyed->runners_under_way--;
    if (has_surplus(keyed))
        put_away(keyed, runner);
    else
        push_runner(&keyed->idle_runners, runner);
}

static bool take(ati_drain *drain, ati_work *work) {
    ati_key_runner *runner = (ati_key_runner *)drain;
    at_keyed_executor *keyed = runner->keyed;
    ati_key *ended = runner->key;
    ati_lock_acquire(&keyed->lock);
    if (ended)
        end_task(ended);
    ati_key *key = may_leave(keyed) ? NULL : take_task(keyed, work);
    runner->key = key;
    runner->task = key ? ati_future_of_work(work) : NULL;
    if (!key)
        end_runner(keyed, runner);
    ati_lock_release(&keyed->lock);
    if (ended)
        ati_key_release(&ended->executor);
    if (!key)
        ati_keyed_release(keyed);
    return key;
}

/* The task has ended, and the next is not taken before others of the pool have had their turn. */
static void pause_runner(ati_drain *drain) {
    ati_key_runner *runner = (ati_key_runner *)drain;
    at_keyed_executor *keyed = runner->keyed;
    ati_key *ended = runner->key;
    ati_lock_acquire(&keyed->lock);
    end_task(ended);
    runner->key = NULL;
    runner->task = NULL;
    ati_lock_release(&keyed->lock);
    ati_key_release(&ended->executor);
}

/* The first idle runner is about to begin, or does. */
static void note_started(at_keyed_executor *keyed) {
    (void)pop_runner(&keyed->idle_runners);
    keyed->runners_under_way++;
    atomic_fetch_add_explicit(&keyed->references, 1, memory_order_relaxed);
}

/* Starts a runner, if one is left. It waits for the lock, if it begins at once. */
static at_status start_runner(at_keyed_executor *keyed) {
    ati_key_runner *runner = keyed->idle_runners;
    if (!runner)
        return AT_OK;
    at_status status = ati_drain_start(&runner->drain);
    if (status == AT_OK)
        note_started(keyed);
    return status;
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
    key->keyed->queued += (int64_t)count;
    if (!key->is_ready && may_begin(key))
        add_ready(key, false);
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
    ati_lock_acquire(&keyed->lock);
    bool is_full = key->queued >= bound;
    status = is_full ? AT_ERROR_FULL : start_runners(key, count);
    if (status == AT_OK)
        append(key, nodes, count);
    ati_lock_release(&keyed->lock);
    if (!is_full)
        return status;
    return ati_fail(AT_ERROR_FULL,
                    "keyed executor: the queue of the key is full, queue_bound_per_key is %lld",
                    (long long)bound);
}

void ati_key_visit_queued(at_executor *executor, bool (*visit)(const ati_work *work, void *context),
                          void *context) {
    ati_key *key = (ati_key *)executor;
    bool goes_on = true;
    ati_lock_acquire(&key->keyed->lock);
    for (const ati_task_node *node = key->first; node && goes_on; node = node->next)
        goes_on = visit(&node->work, context);
    ati_lock_release(&key->keyed->lock);
}

/* -- Making and lending places -- */

static void init_runner(ati_key_runner *runner, at_keyed_executor *keyed) {
    ati_drain_init(&runner->drain, keyed->pool, take, pause_runner);
    runner->keyed = keyed;
}

void ati_keyed_init_runners(at_keyed_executor *keyed) {
    keyed->runner_count = keyed->options.max_running;
    for (int64_t i = keyed->runner_count; i-- > 0;) {
        init_runner(&keyed->runners[i], keyed);
        push_runner(&keyed->idle_runners, &keyed->runners[i]);
    }
}

void ati_keyed_free_runners(at_keyed_executor *keyed) {
    while (keyed->made_runners) {
        ati_key_runner *runner = keyed->made_runners;
        keyed->made_runners = runner->next_made;
        ati_release(runner, sizeof *runner);
    }
}

/* Takes the lock, with a runner in surplus_runners. False: no memory. */
static bool lock_with_surplus(at_keyed_executor *keyed) {
    ati_lock_acquire(&keyed->lock);
    if (keyed->surplus_runners)
        return true;
    ati_lock_release(&keyed->lock);
    ati_key_runner *made = ati_allocate_zeroed(sizeof *made);
    if (!made)
        return false;
    init_runner(made, keyed);
    ati_lock_acquire(&keyed->lock);
    made->next_made = keyed->made_runners;
    keyed->made_runners = made;
    push_runner(&keyed->surplus_runners, made);
    return true;
}

static void lend_place(at_keyed_executor *keyed) {
    keyed->lent++;
    if (keyed->runner_count < keyed->options.max_running + keyed->lent) {
        push_runner(&keyed->idle_runners, pop_runner(&keyed->surplus_runners));
        keyed->runner_count++;
    }
}

static void take_back(at_keyed_executor *keyed) {
    keyed->lent--;
    if (has_surplus(keyed) && keyed->idle_runners)
        put_away(keyed, pop_runner(&keyed->idle_runners));
}

bool ati_keyed_lend(at_keyed_executor *keyed) {
    if (!lock_with_surplus(keyed))
        return false;
    lend_place(keyed);
    if (keyed->first_ready && keyed->idle_runners) {
        ati_drain_start_from_outside(&keyed->idle_runners->drain);
        note_started(keyed);
    }
    ati_lock_release(&keyed->lock);
    return true;
}

void ati_keyed_take_back(at_keyed_executor *keyed) {
    ati_lock_acquire(&keyed->lock);
    take_back(keyed);
    ati_lock_release(&keyed->lock);
}

/* -- Waits of its tasks -- */

at_keyed_executor *ati_keyed_of_stack(void) {
    for (const ati_frame *frame = ati_frame_current(); frame; frame = frame->outer) {
        const at_future *task = frame->identity;
        at_keyed_executor *keyed = task ? ati_keyed_of(task->executor) : NULL;
        if (keyed)
            return keyed;
    }
    return NULL;
}

at_status ati_keyed_begin_wait(at_keyed_executor *keyed, const at_future *target, bool *lends) {
    *lends =
        ati_keyed_of(target->executor) == keyed && ati_future_phase(target) < ATI_PHASE_RUNNING;
    if (*lends && !lock_with_surplus(keyed))
        return ati_fail(AT_ERROR_NO_MEMORY, "at_future_wait: no memory to lend a place of the "
                                            "keyed executor to what is waited for");
    if (!*lends)
        ati_lock_acquire(&keyed->lock);
    keyed->waiting++;
    if (*lends)
        lend_place(keyed);
    if (*lends && keyed->first_ready)
        (void)start_runner(keyed); /* a pool that has stopped runs nothing any more */
    ati_lock_release(&keyed->lock);
    return AT_OK;
}

void ati_keyed_end_wait(at_keyed_executor *keyed, bool lends) {
    ati_lock_acquire(&keyed->lock);
    keyed->waiting--;
    if (lends)
        take_back(keyed);
    ati_lock_release(&keyed->lock);
}

/* -- The search for stuck waits -- */

void ati_keyed_visit_ready(at_keyed_executor *keyed,
                           bool (*visit)(const ati_work *work, void *context), void *context) {
    bool goes_on = true;
    ati_lock_acquire(&keyed->lock);
    for (const ati_key *key = keyed->first_ready; key && goes_on; key = key->next)
        for (const ati_task_node *node = key->first; node && goes_on; node = node->next)
            goes_on = visit(&node->work, context);
    ati_lock_release(&keyed->lock);
}

/* Whether the task of a runner is stuck, if it runs one; counts it. */
static bool is_held(const ati_key_runner *runner,
                    bool (*is_stuck)(const at_future *task, void *context), void *context,
                    int64_t *count) {
    if (!runner->task)
        return true;
    ++*count;
    return is_stuck(runner->task, context);
}

bool ati_keyed_is_stuck(at_keyed_executor *keyed,
                        bool (*is_stuck)(const at_future *task, void *context), void *context) {
    int64_t count = 0;
    ati_lock_acquire(&keyed->lock);
    bool all = keyed->first_ready && !keyed->idle_runners;
    for (int64_t i = 0; all && i < keyed->options.max_running; i++)
        all = is_held(&keyed->runners[i], is_stuck, context, &count);
    for (const ati_key_runner *runner = keyed->made_runners; all && runner;
         runner = runner->next_made)
        all = is_held(runner, is_stuck, context, &count);
    all = all && count == keyed->runners_under_way;
    ati_lock_release(&keyed->lock);
    return all;
}
