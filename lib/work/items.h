/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_WORK_ITEMS_H
#define ASYNCTOOLS_WORK_ITEMS_H

/* The items that a call is given, and their outcomes when they are not begun. */
#include <asynctools/error.h>
#include <asynctools/outcome.h>
#include <asynctools/task.h>

/* AT_OK, or AT_ERROR_INVALID of the call. */
at_status ati_items_check(at_items items, const char *call);

/* The items from number `first` on end with that error. So many as cannot be are not there:
 * nothing is filled then. `outcomes` may be NULL. */
void ati_items_fill(at_items items, at_outcome *outcomes, size_t first, const at_error *error);

#endif
