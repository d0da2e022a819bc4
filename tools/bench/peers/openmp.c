/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <omp.h>
#include <stdlib.h>

/* Tasks of OpenMP belong to a parallel region: its team is the workers and the producers, who also
 * run tasks: at the end of the region, and at once when 64 a thread are queued (libgomp). */
struct openmp_pool {
    int workers;
};

static void *create(int workers) {
    struct openmp_pool *pool = malloc(sizeof(*pool));
    if (pool)
        pool->workers = workers;
    return pool;
}

static void submit(void *pool, peer_run_fn run, void *argument) {
    (void)pool;
#pragma omp task firstprivate(run, argument)
    run(argument);
}

static void enter(void *pool, int producers, peer_body_fn body, void *context) {
    int team = ((struct openmp_pool *)pool)->workers + producers;
#pragma omp parallel num_threads(team)
    {
        int thread = omp_get_thread_num();
        if (thread < producers)
            body(context, thread);
    }
}

const struct peer peer_openmp = {
    .name = "OpenMP tasks (libgomp)",
    .is_beside = true, /* see above */
    .no_hand_over = true,
    .create = create,
    .submit = submit,
    .enter = enter,
    .destroy = free,
};
