/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_FUTURE_WAIT_H
#define ASYNCTOOLS_FUTURE_WAIT_H

/* A wait for a future in progress, as those see it who look for cycles of waits. */
#include "future/future.h"
#include "pool/worker.h"

#include <asynctools/keyed_executor.h>

/* On the waiting stack. While its registration is in the list of the future, it stays there, and
 * the tasks of `frame` and below it are running. */
typedef struct ati_future_wait {
    ati_registration registration;
    const ati_frame *frame;   /* the innermost on that stack */
    uint64_t number;          /* of those that begin with this frame: no two waits look the same */
    at_keyed_executor *keyed; /* whose task waits, or NULL */
    bool lends;               /* its place; written before the wait, or under the target's lock */
    bool is_deadlock;         /* ended because it could not end; written before the wake */
    ati_waiter waiter;
} ati_future_wait;

/* How its registration is fired. */
void ati_fire_wait(ati_registration *registration, at_future *source, ati_completions *list);

static inline ati_future_wait *ati_future_wait_of(ati_registration *registration) {
    return (ati_future_wait *)((char *)registration - offsetof(ati_future_wait, registration));
}

/* Reports that the running task waits for `target`, which is the task of the frame `outer` below it
 * or follows from that. */
void ati_deadlock_report_own(const at_future *target, const ati_frame *outer);

/* A line of the report of a cycle of `total` tasks, under way; the rest zeroed. */
enum { ATI_NAMING_ROOM = 4096 };
typedef struct ati_naming {
    uint32_t total;
    uint32_t first; /* in this line, counted from 0 */
    uint32_t next;
    size_t length;
    char operation[120]; /* in which the next one is, in brackets, or "" */
    char line[ATI_NAMING_ROOM];
} ati_naming;

/* Says that of the next one, a task whose frame is `inner` or below it. */
void ati_naming_set_operation(ati_naming *named, const ati_frame *inner, const at_future *task);

/* Names the next of them. With the last one the report is out. */
void ati_naming_add(ati_naming *named, const at_future *task);

/* Searches waits of a worker for cycles; ends one wait of each, and reports it (deadlock.c). As
 * ati_search_fn. */
bool ati_deadlock_search(ati_worker *worker, int64_t moment);

#endif
