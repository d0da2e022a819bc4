/* SPDX-License-Identifier: MIT */
/* A future that is completed by code which runs elsewhere, and which is to stop when nobody wants
 * it: a registration that wants nothing, and is told. */
#include "base/memory.h"
#include "future/future.h"
#include "pool/cancel.h"

typedef struct stop {
    ati_registration registration; /* first */
    ati_context *context;          /* retained */
} stop;

bool ati_future_stop(at_future *future, ati_context *context) {
    stop *added = ati_allocate(sizeof *added);
    if (!added)
        return false;
    ati_context_retain(context);
    *added = (stop){.registration.fire = ati_fire_stop, .context = context};
    ati_completions list = {0};
    ati_future_attach(future, &added->registration, &list);
    ati_completions_run(&list);
    return true;
}

void ati_fire_stop(ati_registration *registration, at_future *source, ati_completions *list) {
    (void)list;
    stop *fired = (stop *)registration;
    if (ati_future_phase(source) == ATI_PHASE_CANCELLED)
        (void)ati_cancel(fired->context, AT_CANCEL_EXPLICIT);
    ati_context_release(fired->context);
    ati_release(fired, sizeof *fired);
}
