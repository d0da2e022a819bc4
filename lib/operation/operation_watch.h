/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_OPERATION_OPERATION_WATCH_H
#define ASYNCTOOLS_OPERATION_OPERATION_WATCH_H

/* How the end of an operation and those who watch it keep out of each other's way. */
#include "operation/operation.h"

/* In at_operation.watched; see operation_watch.c. */
enum {
    ATI_WATCHED_NOT,
    ATI_WATCHED_CHOSEN,
    ATI_WATCHED_WRITTEN,
    ATI_WATCHED_AWAITED,
    ATI_WATCHED_ENDED,
};

void ati_operation_leave_watch_chosen(at_operation *operation); /* of the next */

/* Of one that is listed no more: nobody logs for it any longer. */
static inline void ati_operation_leave_watch(at_operation *operation) {
    /* ORDER operation.watched: acquire. What was logged for it comes before its end.
     * Pairs with: release in end_writing(). If relaxed: its logger goes while it is being used. */
    if (__builtin_expect(
            atomic_load_explicit(&operation->watched, memory_order_acquire) != ATI_WATCHED_NOT, 0))
        ati_operation_leave_watch_chosen(operation);
}

/* In the child of a process fork: whoever watched is not there. */
static inline void ati_operation_forget_watch(at_operation *operation) {
    atomic_store_explicit(&operation->watched, ATI_WATCHED_NOT, memory_order_relaxed);
}

#endif
