/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_WORK_OUTCOMES_H
#define ASYNCTOOLS_WORK_OUTCOMES_H

/* Outcomes that own their values and errors. */
#include "base/frame.h"

#include <asynctools/outcome.h>

/* Takes the outcome of a call out of its frame, which is still the current one: `returned` is what
 * the function gave. An error names the item, unless that is AT_NONE, and the task, `name`
 * (copied), started at `site`. A function that goes on with another future is waited for. */
void ati_outcome_take(at_outcome *outcome, ati_frame *frame, void *returned, int64_t item,
                      const char *name, const char *site);

/* What never ran; no memory is needed for it. */
at_outcome ati_outcome_failed(at_status status);

#endif
