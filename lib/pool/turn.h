/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_TURN_H
#define ASYNCTOOLS_POOL_TURN_H

/* How a task that computes for long gives way. See turn.c. */
#include "pool/worker.h"

/* A task begins on the calling worker, or goes on. */
static inline void ati_worker_begin_task_turn(ati_worker *worker) {
    worker->turn_began = 0;
    ati_worker_ask_to_look(worker);
}

/* Lets those who are ready run first, if the running task has run for long; then it goes on. */
void ati_worker_give_turn(ati_worker *worker);

/* The same, for at_check, which has been asked to look. */
void ati_worker_check_turn(ati_worker *worker);

#endif
