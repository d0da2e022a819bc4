/* SPDX-License-Identifier: MIT */
#include "fetch_gate.h"

#include <asynctools/future.h>

/* Acquire and release: what all tasks did happens before the end of the gate. */
static void give_place_up(struct fetch_gate *gate) {
    if (atomic_fetch_sub_explicit(&gate->places, 1, memory_order_acq_rel) == 1)
        at_promise_set(gate->ended, NULL, NULL);
}

/* Its task was cancelled before it began. */
static void drop_turn(void *item) {
    give_place_up(((struct fetch_turn *)item)->gate);
}

static void *run_turn(void *item);

/* Starts the next item in the caller's place, or gives that up. */
static void start_next(struct fetch_gate *gate) {
    size_t index = atomic_fetch_add_explicit(&gate->next, 1, memory_order_relaxed);
    if (index >= gate->items.count) {
        give_place_up(gate);
        return;
    }
    struct fetch_turn *turn =
        (struct fetch_turn *)((char *)gate->items.data + index * gate->items.size);
    turn->gate = gate;
    at_status status = at_pool_start_with(
        gate->pool, &(at_task_options){.run = run_turn, .argument = turn, .drop = drop_turn});
    if (status != AT_OK) {
        int none = AT_OK;
        atomic_compare_exchange_strong_explicit(&gate->failure, &none, status, memory_order_relaxed,
                                                memory_order_relaxed);
        give_place_up(gate);
    }
}

static void *run_turn(void *item) {
    struct fetch_gate *gate = ((struct fetch_turn *)item)->gate;
    gate->run(item);
    start_next(gate);
    return NULL;
}

at_status fetch_gate_open(struct fetch_gate *gate, at_pool *pool, at_run_fn run, at_items items,
                          size_t limit) {
    *gate = (struct fetch_gate){.pool = pool, .run = run, .items = items};
    AT_TRY_STATUS(at_promise_create(&gate->ended, at_pool_executor(pool)));
    atomic_store_explicit(&gate->places, limit, memory_order_relaxed);
    for (size_t i = 0; i < limit; i++)
        start_next(gate);
    return AT_OK;
}

at_status fetch_gate_join(struct fetch_gate *gate) {
    at_future *ended = at_promise_future(gate->ended);
    at_status status = at_future_wait(ended, AT_FOREVER, NULL);
    at_future_release(ended);
    at_promise_destroy(gate->ended);
    return status != AT_OK ? status : atomic_load_explicit(&gate->failure, memory_order_relaxed);
}
