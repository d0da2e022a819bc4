/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_OPERATION_LIVE_H
#define ASYNCTOOLS_OPERATION_LIVE_H

/* The operations that have begun and not ended. */
#include <asynctools/operation.h>

#include <stdbool.h>
#include <stdint.h>

/* Neighbours in a list. */
typedef struct ati_live_link {
    struct ati_live_link *next;
    struct ati_live_link *previous;
} ati_live_link;

/* Where one is listed: the number of a part, or one of these. */
enum {
    ATI_LIVE_OF_THREAD = 0x10000, /* in the list of the thread that began it, which ends it too */
    ATI_LIVE_NOWHERE,             /* the parent of this process has it */
};

/* `is_scope`: the calling thread will remove it. */
void ati_live_add(at_operation *operation, bool is_scope);
void ati_live_remove(at_operation *operation);

/* Calls visit(operation, context) for each, the newest first in each list, while its list is locked
 * for a moment: it takes no lock that another holds while it begins or ends an operation, and no
 * time. What begins or ends meanwhile may be missed. */
void ati_live_visit(void (*visit)(at_operation *operation, void *context), void *context);

/* Counts one that could not be begun for want of memory. */
void ati_live_miss(void);

/* The calling thread's id, as the system counts. */
int32_t ati_live_thread_id(void);

#endif
