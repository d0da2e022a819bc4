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
    at_pool *pool;    /* that keeps the time, and that the function runs on, or NULL */
    ati_watch *watch; /* for the end of the grace, once it has begun while the function runs */
    at_cancel_callback on_cancel;
};

static const at_duration grace = AT_SECONDS(5);

static at_deadline add_grace(at_deadline deadline) {
    return deadline < AT_FOREVER - grace ? deadline + grace : AT_FOREVER;
}

static void cancel_late(ati_context *context) {
    (void)ati_cancel(context, AT_CANCEL_DEADLINE);
}

/* Without memory there is none. */
static void begin_grace(void *argument) {
    ati_shield *shield = argument;
    if (!shield->pool || shield->watch)
        return;
    shield->watch = ati_watch_create(shield->pool, shield->context, cancel_late);
    if (shield->watch)
        ati_watch_set(shield->watch, add_grace(at_clock_now(shield->pool->options.clock)));
    else
        cancel_late(shield->context);
}

ati_shield *ati_shield_begin(ati_context *outer) {
    ati_shield *shield = ati_allocate_zeroed(sizeof *shield);
    if (!shield)
        return NULL;
    bool has_begun = ati_is_cancelled(outer);
    at_deadline deadline = has_begun ? at_after(grace) : add_grace(outer->deadline);
    shield->context =
        ati_context_create_scope(outer, deadline, ATI_CONTEXT_SHIELDED | ATI_CONTEXT_EXACT);
    if (!shield->context) {
        ati_release(shield, sizeof *shield);
        return NULL;
    }
    if (!has_begun) {
        shield->pool = at_pool_current();
        ati_cancel_call(&shield->on_cancel, outer, begin_grace, shield);
    }
    return shield;
}

ati_context *ati_shield_context(const ati_shield *shield) {
    return shield->context;
}

static void look(ati_context *context) {
    (void)ati_is_cancelled(context);
}

/* What is left behind ends with the operation around: waits in it that have begun know of a later
 * deadline, so somebody has to look for them. */
static void watch_outer(const ati_shield *shield) {
    ati_context *outer = shield->context->parent;
    if (!shield->pool || outer->deadline == AT_FOREVER)
        return;
    ati_watch *watch = ati_watch_create(shield->pool, outer, look);
    if (!watch)
        return;
    ati_watch_set(watch, outer->deadline);
    ati_watch_leave(watch);
}

void ati_shield_end(ati_shield *shield) {
    bool has_left = ati_context_has_others(shield->context, 1);
    bool stays = has_left && !ati_context_end_shield(shield->context);
    if (has_left && !stays)
        watch_outer(shield);
    at_cancel_callback_unregister(&shield->on_cancel);
    uint32_t held = shield->watch ? 2 : 1;
    if (stays && ati_context_has_others(shield->context, held)) {
        /* The callback may not have come to it. */
        begin_grace(shield);
        ati_watch_leave(shield->watch);
    } else {
        ati_watch_end(shield->watch);
    }
    ati_context_release(shield->context);
    ati_release(shield, sizeof *shield);
}
