/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_QUEUE_WORK_H
#define ASYNCTOOLS_QUEUE_WORK_H

#include <stddef.h>
#include <stdint.h>

/* What queues carry: a function and its argument, by value, so that starting a task allocates
 * nothing. Half a cache line. */
typedef struct ati_work {
    void *(*run)(void *argument);
    void *argument;
    void *context;    /* the operation it runs under, owned, or NULL; in its lowest bits the lane */
    const char *site; /* where it was started, see AT_SITE; NULL: work of the library itself */
} ati_work;

/* Works that are moved together. They lie one behind the other; or, with a step, all are like the
 * first, their arguments so many bytes apart. */
typedef struct ati_works {
    const ati_work *first;
    size_t count;
    size_t step;
} ati_works;

static inline ati_work ati_works_get(const ati_works *works, size_t index) {
    if (works->step == 0)
        return works->first[index];
    ati_work work = *works->first;
    work.argument = (char *)work.argument + index * works->step;
    return work;
}

/* The way that a work takes through a pool, by its priority. */
typedef enum ati_lane { ATI_LANE_NORMAL, ATI_LANE_HIGH, ATI_LANE_LOW, ATI_LANE_COUNT } ati_lane;

#define ATI_LANE_MASK ((uintptr_t)3)

static inline ati_lane ati_work_lane(const ati_work *work) {
    return (ati_lane)((uintptr_t)work->context & ATI_LANE_MASK);
}

/* The pointer to the operation alone. */
static inline void *ati_work_context(const ati_work *work) {
    return (char *)work->context - ati_work_lane(work);
}

static inline void *ati_context_in_lane(void *context, ati_lane lane) {
    return (char *)context + lane;
}

#endif
