/* SPDX-License-Identifier: MIT */
/* A clean-up has 5 seconds from the moment on at which the operation around it ends.
 *
 * By its deadline, that is known from the beginning, and so is the deadline of the shield. If it is
 * cancelled, a callback sets a watch, which cancels the shield. A pool is needed to keep the time;
 * code that runs outside one, in a loop or inline, may not wait anyway, and is not cut short.
 *
 * When the function has returned, something that it has started may still run under the shield: a
 * task, or the future that it goes on with. If the operation around has been cancelled, that keeps
 * what is left of the grace; otherwise the shield ends, and it is cancelled with the operation like
 * everything else. */
#include "pool/shield.h"

#include "base/memory.h"
#include "pool/cancel.h"
#include "pool/pool.h"
#include "pool/watch.h"

struct ati_shield {
    ati_context *context;
    at_pool *pool;    /* that keeps the time, or NULL; kept by the watch */
    ati_watch *watch; /* for the end of the grace, if it has not begun */
    bool is_set;
    at_cancel_callback on_cancel;
};

static const at_duration grace = AT_SECONDS(5);

static at_deadline add_grace(at_deadline deadline) {
    return deadline < AT_FOREVER - grace ? deadline + grace : AT_FOREVER;
}

static void cancel_late(ati_context *context) {
    (void)ati_cancel(context, AT_CANCEL_DEADLINE);
}

static void begin_grace(void *argument) {
    ati_shield *shield = argument;
    if (!shield->watch || shield->is_set)
        return;
    shield->is_set = true;
    ati_watch_set(shield->watch, add_grace(at_clock_now(shield->pool->options.clock)));
}

/* False: no memory. */
static bool await_cancel(ati_shield *shield, ati_context *outer) {
    shield->pool = at_pool_current();
    if (shield->pool) {
        shield->watch = ati_watch_create(shield->pool, shield->context, cancel_late);
        if (!shield->watch)
            return false;
        ati_cancel_call(&shield->on_cancel, outer, begin_grace, shield);
    }
    return true;
}

ati_shield *ati_shield_begin(ati_context *outer) {
    ati_shield *shield = ati_allocate_zeroed(sizeof *shield);
    if (!shield)
        return NULL;
    bool has_begun = ati_is_cancelled(outer);
    at_deadline deadline = has_begun ? at_after(grace) : add_grace(outer->deadline);
    shield->context = ati_context_create_scope(outer, outer->name, deadline, ATI_CONTEXT_SHIELDED);
    if (!shield->context || (!has_begun && !await_cancel(shield, outer))) {
        ati_context_release(shield->context);
        ati_release(shield, sizeof *shield);
        return NULL;
    }
    return shield;
}

ati_context *ati_shield_context(const ati_shield *shield) {
    return shield->context;
}

void ati_shield_end(ati_shield *shield) {
    uint32_t holders = shield->watch ? 2 : 1;
    bool is_left = ati_context_has_others(shield->context, holders) &&
                   !ati_context_end_shield(shield->context);
    at_cancel_callback_unregister(&shield->on_cancel);
    if (is_left) { /* and the callback may not have come to it */
        begin_grace(shield);
        ati_watch_leave(shield->watch);
    } else {
        ati_watch_end(shield->watch);
    }
    ati_context_release(shield->context);
    ati_release(shield, sizeof *shield);
}
