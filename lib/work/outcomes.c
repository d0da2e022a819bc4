/* SPDX-License-Identifier: MIT */
#include "work/outcomes.h"

#include "base/error.h"
#include "future/future.h"

#include <asynctools/limits.h>

at_outcome ati_outcome_failed(at_status status) {
    return (at_outcome){.status = status, .error = ati_error_static(status)};
}

/* The value moves over; one that somebody else has taken already is an error. */
static at_error *take_from_future(at_outcome *outcome, at_future *next) {
    at_status status = at_future_wait(next, AT_FOREVER, NULL);
    if (status == AT_OK)
        status = at_future_take(next, &outcome->value, &outcome->drop);
    at_error *error = status == AT_OK ? NULL : at_error_take();
    at_future_release(next);
    return error;
}

static at_error *take_error(const ati_frame *frame, const char *site) {
    at_error *error = frame->in_flight ? at_error_take() : NULL;
    return error ? error
                 : ati_error_create(site, NULL, AT_ERROR_FAILED,
                                    "returned AT_FAILED without saying why");
}

void ati_outcome_take(at_outcome *outcome, ati_frame *frame, void *returned, int64_t item,
                      const char *name, const char *site) {
    *outcome = (at_outcome){.status = AT_OK};
    at_error *error = NULL;
    if (returned == AT_FAILED) {
        error = take_error(frame, site);
    } else if (returned == ATI_CONTINUED) {
        at_future *next = frame->next_future;
        frame->next_future = NULL;
        error = take_from_future(outcome, next);
    } else {
        outcome->value = returned;
        if (returned && returned == frame->returned)
            outcome->drop = frame->returned_drop;
    }
    if (error) {
        if (item != AT_NONE)
            error = ati_error_of_item(error, item);
        ati_error_set_task(error, name, true, site);
        outcome->status = at_error_status(error);
        outcome->error = error;
    }
}
