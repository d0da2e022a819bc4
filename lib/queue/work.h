/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_QUEUE_WORK_H
#define ASYNCTOOLS_QUEUE_WORK_H

/* What queues carry: a function and its argument, by value, so that starting a task allocates
 * nothing. Half a cache line. */
typedef struct ati_work {
    void *(*run)(void *argument);
    void *argument;
    void *context;    /* the operation it runs under, owned, or NULL */
    const char *site; /* where it was started, see AT_SITE; NULL: work of the library itself */
} ati_work;

#endif
