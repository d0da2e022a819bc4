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
    (void)pop_runner(&keyed->idle_runners);
    keyed->is_arriving = true;
    keyed->runners_under_way++;
    atomic_fetch_add_explicit(&keyed->references, 1, memory_order_relaxed);
    show_runners(keyed);
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

bool ati_key_runner_end(ati_key_runner *runner) {
    at_keyed_executor *keyed = runner->keyed;
    ati_lock_acquire(&keyed->ready_lock);
    ati_lock_acquire(&keyed->arrival_lock);
    bool ends = ati_keyed_has_surplus(keyed) || !ati_keyed_has_ready(keyed);
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

/* Whether a task of this executor runs on this stack, or waits below. */
static bool is_inside(const at_keyed_executor *keyed) {
    for (const ati_frame *frame = ati_frame_current(); frame; frame = frame->outer) {
        const at_future *own = frame->identity;
        if (own && own->executor->start == ati_key_start &&
            ((ati_key *)own->executor)->keyed == keyed)
            return true;
    }
    return false;
}

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

/* Under both locks: who makes a key ready after this sees that a runner is idle, and what is ready
 * before is seen here. */
static bool lend_place(at_keyed_executor *keyed) {
    keyed->lent++;
    if (keyed->runner_count < keyed->options.max_running + keyed->lent) {
        push_runner(&keyed->idle_runners, pop_runner(&keyed->surplus_runners));
        keyed->runner_count++;
    }
    show_runners(keyed);
    return ati_keyed_has_ready(keyed);
}

at_status ati_keyed_lend(const at_future *target, at_keyed_executor **lender) {
    *lender = NULL;
    if (target->executor->start != ati_key_start)
        return AT_OK;
    at_keyed_executor *keyed = ((ati_key *)target->executor)->keyed;
    if (ati_future_phase(target) >= ATI_PHASE_RUNNING || !is_inside(keyed))
        return AT_OK;
    if (!lock_with_surplus(keyed))
        return ati_fail(AT_ERROR_NO_MEMORY, "at_future_wait: no memory to lend a place of the "
                                            "keyed executor to what is waited for");
    bool is_wanted = lend_place(keyed);
    ati_lock_release(&keyed->arrival_lock);
    ati_lock_release(&keyed->ready_lock);
    if (is_wanted)
        ati_keyed_call_runner(keyed);
    *lender = keyed;
    return AT_OK;
}

void ati_keyed_take_back(at_keyed_executor *lender) {
    ati_lock_acquire(&lender->arrival_lock);
    lender->lent--;
    if (lender->runner_count > lender->options.max_running + lender->lent && lender->idle_runners)
        put_away(lender, pop_runner(&lender->idle_runners));
    show_runners(lender);
    ati_lock_release(&lender->arrival_lock);
}
