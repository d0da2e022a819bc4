/* SPDX-License-Identifier: MIT
 *
 * Tasks that say that they have begun, and what they were told in the end. */
#ifndef TEST_SUPPORT_STARTED_H
#define TEST_SUPPORT_STARTED_H

#include "support/tasks.h"

/* Longer than any test; on a virtual clock, too. */
#define LONG_TIME AT_SECONDS(100000)

struct started {
    struct gate began;      /* open: it only counts */
    at_future *target;      /* what the task waits for or goes on with */
    at_status status;       /* what the call gave that the task waited in */
    at_status again;        /* and the next one */
    _Atomic bool was_asked; /* the test has cancelled it */
};
#define STARTED                                                                                    \
    {                                                                                              \
        .began = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, true}, .status = 1,      \
        .again = 1                                                                                 \
    }

/* All are work functions of a `struct started`. */
void *sleep_long(void *started);        /* fails as its sleep does */
void *sleep_quietly(void *started);     /* the same, one of many with the same argument */
void *wait_target(void *started);       /* fails as its wait does */
void *check_for_ever(void *started);    /* until at_check has something to say */
void *go_on_with_target(void *started); /* at once */
void *go_on_when_asked(void *started);  /* waits for `was_asked`, deaf */
void *end_when_asked(void *started);    /* the same, and gives its argument */

void *begin_started(void *started); /* the beginning of all of them; gives its argument */
void await_started(struct started *started, int count);
void ask_started(struct started *started);

void *value_of(void *value, void *context); /* an at_then_fn that hands on the value */

/* Returns when the worker of a pool with one thread has ended all that it had begun, and what was
 * queued before. */
void pass_worker(at_pool *pool);

#endif
