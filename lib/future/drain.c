/* SPDX-License-Identifier: MIT */
/* The turns of a list of works. Each work is counted as if it had come through the pool's queue,
 * and the turns are not: the first is counted by the pool when it is queued, which is taken back
 * when it begins. Between turns everybody else's works come first. */
#include "future/drain.h"
#include "pool/suspend.h"

enum { turn_limit = 32 }; /* works */

/* What the work starts has its priority, not that of the turn. */
static void run_work(ati_worker *worker, const ati_work *work) {
    const ati_lane lane = ati_work_lane(work);
    const ati_lane *outer_lane = worker->nested_lane;
    ati_counter_add(&worker->counts.accepted, 1); /* before it can end */
    worker->nested_lane = &lane;
    ati_worker_run(worker, work);
    worker->nested_lane = outer_lane;
}

static void *run_turn(void *argument) {
    ati_drain *drain = argument;
    ati_worker *worker = ati_worker_current;
    ati_counter_add(&worker->counts.accepted, (uint64_t)-1);
    for (int i = 0; i < turn_limit; i++) {
        ati_work work;
        if (!drain->take(drain, &work))
            return NULL;
        run_work(worker, &work);
        if (ati_worker_may_have_ready(worker))
            break;
    }
    if (drain->pause)
        drain->pause(drain);
    ati_pool_start_node_last(drain->pool, &drain->node);
    return NULL;
}

void ati_drain_init(ati_drain *drain, at_pool *pool, bool (*take)(ati_drain *drain, ati_work *work),
                    void (*pause)(ati_drain *drain)) {
    *drain = (ati_drain){.pool = pool, .take = take, .pause = pause};
    drain->node.work = (ati_work){.run = run_turn, .argument = drain};
}

at_status ati_drain_start(ati_drain *drain) {
    drain->node.next = NULL;
    return ati_pool_start_nodes(drain->pool, &drain->node, 1, true);
}

void ati_drain_start_from_outside(ati_drain *drain) {
    ati_pool_start_node_last(drain->pool, &drain->node);
}
