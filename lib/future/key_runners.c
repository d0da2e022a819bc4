/* SPDX-License-Identifier: MIT */
/* The runners of a keyed executor: those that are idle and those that run, and places that are
 * lent. See key_turns.c. */
#include "base/error.h"
#include "base/memory.h"
#include "future/future.h"
#include "future/keyed_executor.h"
#include "pool/pool.h"

static void push_runner(ati_key_runner **list, ati_key_runner *runner) {
    runner->next = *list;
    *list = runner;
}

static ati_key_runner *pop_runner(ati_key_runner **list) {
    ati_key_runner *runner = *list;
    *list = runner->next;
    return runner;
}

/* Under arrival_lock, when those that are idle or have a place have changed. With more runners than
 * places none is idle. */
static void show_runners(at_keyed_executor *keyed) {
    atomic_store_explicit(&keyed->has_idle, keyed->idle_runners != NULL, memory_order_relaxed);
    atomic_store_explicit(&keyed->has_surplus,
                          keyed->runner_count > keyed->options.max_running + keyed->lent,
                          memory_order_relaxed);
}

/* -- Starting and ending -- */

/* The first idle runner is about to begin, or does. */
static void note_started(at_keyed_executor *keyed) {
    (void)pop_runner(&keyed->idle_runners);
    keyed->is_arriving = true;
    keyed->runners_under_way++;
    atomic_fetch_add_explicit(&keyed->references, 1, memory_order_relaxed);
    show_runners(keyed);
}

at_status ati_keyed_start_runner(at_keyed_executor *keyed) {
    ati_key_runner *runner = keyed->idle_runners;
    if (!runner || keyed->is_arriving)
        return AT_OK;
    runner->is_arriving = true;
    at_status status = ati_drain_start(&runner->drain);
    if (status != AT_OK) {
        runner->is_arriving = false;
        return keyed->runners_under_way > 0 ? AT_OK : status;
    }
    note_started(keyed);
    return AT_OK;
}

void ati_keyed_call_runner(at_keyed_executor *keyed) {
    ati_lock_acquire(&keyed->arrival_lock);
    (void)ati_keyed_start_runner(keyed); /* a pool that has stopped runs nothing any more */
    ati_lock_release(&keyed->arrival_lock);
}

void ati_key_runner_arrive(ati_key_runner *runner) {
    at_keyed_executor *keyed = runner->keyed;
    ati_lock_acquire(&keyed->arrival_lock);
    keyed->is_arriving = false;
    runner->is_arriving = false;
    ati_lock_release(&keyed->arrival_lock);
}

static void put_away(at_keyed_executor *keyed, ati_key_runner *runner) {
    push_runner(&keyed->surplus_runners, runner);
    keyed->runner_count--;
}

/* Under both locks. See key_turns.c. */
static bool may_leave(const at_keyed_executor *keyed) {
    return ati_keyed_has_surplus(keyed) &&
           (!ati_keyed_has_ready(keyed) || keyed->runners_under_way - 1 > keyed->waiting);
}

bool ati_keyed_may_leave(at_keyed_executor *keyed) {
    if (!ati_keyed_has_surplus(keyed))
        return false;
    ati_lock_acquire(&keyed->arrival_lock);
    bool leaves = may_leave(keyed);
    ati_lock_release(&keyed->arrival_lock);
    return leaves;
}

bool ati_key_runner_end(ati_key_runner *runner) {
    at_keyed_executor *keyed = runner->keyed;
    ati_lock_acquire(&keyed->ready_lock);
    ati_lock_acquire(&keyed->arrival_lock);
    bool ends = may_leave(keyed) || !ati_keyed_has_ready(keyed);
    if (ends) {
        runner->ran = 0;
        atomic_store_explicit(&runner->worker, NULL, memory_order_relaxed);
        keyed->runners_under_way--;
        if (ati_keyed_has_surplus(keyed))
            put_away(keyed, runner);
        else
            push_runner(&keyed->idle_runners, runner);
        show_runners(keyed);
    }
    ati_lock_release(&keyed->arrival_lock);
    ati_lock_release(&keyed->ready_lock);
    return ends;
}

/* -- Making -- */

static void init_runner(ati_key_runner *runner, at_keyed_executor *keyed) {
    *runner = (ati_key_runner){.keyed = keyed};
    ati_drain_init(&runner->drain, keyed->pool, ati_key_runner_take, ati_key_runner_pause);
}

void ati_keyed_init_runners(at_keyed_executor *keyed) {
    keyed->runner_count = keyed->options.max_running;
    for (int64_t i = keyed->runner_count; i-- > 0;) {
        init_runner(&keyed->runners[i], keyed);
        push_runner(&keyed->idle_runners, &keyed->runners[i]);
    }
    show_runners(keyed);
}

void ati_keyed_free_runners(at_keyed_executor *keyed) {
    while (keyed->lent_runners) {
        ati_key_runner *runner = keyed->lent_runners;
        keyed->lent_runners = runner->older;
        ati_release(runner, sizeof *runner);
    }
}

/* -- Lending places -- */

/* Takes the locks, with a runner in surplus_runners. False: no memory. */
static bool lock_with_surplus(at_keyed_executor *keyed) {
    ati_lock_acquire(&keyed->ready_lock);
    ati_lock_acquire(&keyed->arrival_lock);
    if (keyed->surplus_runners)
        return true;
    ati_lock_release(&keyed->arrival_lock);
    ati_lock_release(&keyed->ready_lock);
    ati_key_runner *made = ati_allocate(sizeof *made);
    if (!made)
        return false;
    init_runner(made, keyed);
    ati_lock_acquire(&keyed->ready_lock);
    ati_lock_acquire(&keyed->arrival_lock);
    made->older = keyed->lent_runners;
    keyed->lent_runners = made;
    push_runner(&keyed->surplus_runners, made);
    return true;
}

static void unlock(at_keyed_executor *keyed) {
    ati_lock_release(&keyed->arrival_lock);
    ati_lock_release(&keyed->ready_lock);
}

/* Under both locks: who makes a key ready after this sees that a runner is idle, and what is ready
 * before is seen here. True: one is to be started. */
static bool lend_place(at_keyed_executor *keyed) {
    keyed->lent++;
    if (keyed->runner_count < keyed->options.max_running + keyed->lent) {
        push_runner(&keyed->idle_runners, pop_runner(&keyed->surplus_runners));
        keyed->runner_count++;
    }
    show_runners(keyed);
    return ati_keyed_has_ready(keyed);
}

/* Under arrival_lock. */
static void take_back(at_keyed_executor *keyed) {
    keyed->lent--;
    if (keyed->runner_count > keyed->options.max_running + keyed->lent && keyed->idle_runners)
        put_away(keyed, pop_runner(&keyed->idle_runners));
    show_runners(keyed);
}

bool ati_keyed_lend(at_keyed_executor *keyed) {
    if (!lock_with_surplus(keyed))
        return false;
    if (lend_place(keyed) && keyed->idle_runners && !keyed->is_arriving) {
        keyed->idle_runners->is_arriving = true;
        ati_drain_start_from_outside(&keyed->idle_runners->drain);
        note_started(keyed);
    }
    unlock(keyed);
    return true;
}

void ati_keyed_take_back(at_keyed_executor *keyed) {
    ati_lock_acquire(&keyed->arrival_lock);
    take_back(keyed);
    ati_lock_release(&keyed->arrival_lock);
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

static at_status begin_lending_wait(at_keyed_executor *keyed) {
    if (!lock_with_surplus(keyed))
        return ati_fail(AT_ERROR_NO_MEMORY, "at_future_wait: no memory to lend a place of the "
                                            "keyed executor to what is waited for");
    keyed->waiting++;
    bool is_wanted = lend_place(keyed);
    unlock(keyed);
    if (is_wanted)
        ati_keyed_call_runner(keyed);
    return AT_OK;
}

at_status ati_keyed_begin_wait(at_keyed_executor *keyed, const at_future *target, bool *lends) {
    *lends =
        ati_keyed_of(target->executor) == keyed && ati_future_phase(target) < ATI_PHASE_RUNNING;
    if (*lends)
        return begin_lending_wait(keyed);
    ati_lock_acquire(&keyed->arrival_lock);
    keyed->waiting++;
    ati_lock_release(&keyed->arrival_lock);
    return AT_OK;
}

void ati_keyed_end_wait(at_keyed_executor *keyed, bool lends) {
    ati_lock_acquire(&keyed->arrival_lock);
    keyed->waiting--;
    if (lends)
        take_back(keyed);
    ati_lock_release(&keyed->arrival_lock);
}

/* Whether the task of a runner is stuck, if it runs one; counts it. */
static bool is_held(const ati_key_runner *runner,
                    bool (*is_stuck)(const at_future *task, void *context), void *context,
                    int64_t *count) {
    const at_future *task =
        atomic_load_explicit(&((ati_key_runner *)runner)->task, memory_order_relaxed);
    if (!task)
        return true;
    ++*count;
    return is_stuck(task, context);
}

bool ati_keyed_is_stuck(at_keyed_executor *keyed,
                        bool (*is_stuck)(const at_future *task, void *context), void *context) {
    int64_t count = 0;
    ati_lock_acquire(&keyed->ready_lock);
    ati_lock_acquire(&keyed->arrival_lock);
    bool all = ati_keyed_has_ready(keyed) && !keyed->idle_runners;
    for (int64_t i = 0; all && i < keyed->options.max_running; i++)
        all = is_held(&keyed->runners[i], is_stuck, context, &count);
    for (const ati_key_runner *runner = keyed->lent_runners; all && runner; runner = runner->older)
        all = is_held(runner, is_stuck, context, &count);
    all = all && count == keyed->runners_under_way;
    unlock(keyed);
    return all;
}
