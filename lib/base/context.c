/* SPDX-License-Identifier: MIT */
/* Purpose: the records of operations, and how cancellation spreads over their tree.
 *
 * Fields. `cancelled` is written once, by a compare-and-swap from 0. A parent knows its children by
 * borrowed pointers: a child whose last reference has gone takes itself out of the list, under the
 * parent's lock, before its memory goes; who walks the list, under that lock, takes a reference
 * unless the count has come to 0.
 *
 * Invariants
 *   1. A child is put into the list under the parent's lock, where it sees `cancelled` of the
 *      parent or is seen by the one who has cancelled it: no child of a cancelled operation is left
 *      out, whenever it was made. The same holds for one whose shield ends.
 *   2. A wait is noted under the same lock, with the same argument. It is ended, and then taken out
 *      of the ring, under the lock. The waiting code takes the lock too before it leaves, unless it
 *      sees that the wait is in no ring, which is the last thing that is done to it.
 *   3. Whoever has cancelled a record, alone, walks its children; so each is walked once, and
 *      next_cancelled belongs to that thread.
 *   4. In the child of a process fork, one thread puts a record in order before any takes a lock of
 *      it, since each looks at `process` first; nobody there holds one before that.
 *
 * Progress: blocking, by short sections; those of a cancel end batch_limit waits at most, or cancel
 * as many children, passing by those that are cancelled or shielded. No recursion: what is to be
 * walked is a list.
 *
 * Checked by: tests/unit/context_test.c, tests/unit/cancel_test.c, tests/stress/cancel_test.c,
 * tests/plain/operation_process_fork_test.c. */
#include "base/context.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/yield.h"

#include <string.h>

enum { batch_limit = 64 }; /* waits that are ended, or children cancelled, in one section */

/* -- Records -- */

static void enter_tree(ati_context *child) {
    ati_context *parent = child->parent;
    ati_context_lock(parent);
    child->older_sibling = parent->children;
    if (parent->children)
        parent->children->newer_sibling = child;
    parent->children = child;
    if (!ati_context_is_shielded(child) && ati_context_reason(parent) != AT_CANCEL_NONE)
        atomic_init(&child->cancelled, AT_CANCEL_PARENT);
    ati_context_unlock(parent);
}

static void leave_tree(ati_context *child) {
    ati_context *parent = child->parent;
    ati_context_lock(parent);
    if (child->newer_sibling)
        child->newer_sibling->older_sibling = child->older_sibling;
    else
        parent->children = child->older_sibling;
    if (child->older_sibling)
        child->older_sibling->newer_sibling = child->newer_sibling;
    ati_context_unlock(parent);
}

static uint64_t not_zero(uint64_t id) {
    return id != 0 ? id : 1;
}

/* It belongs to the same trace. */
static void set_trace(ati_context *context, const ati_context *of) {
    memcpy(context->trace_id, of->trace_id, sizeof context->trace_id);
    context->trace_flags = of->trace_flags;
}

/* Who it is, and what it has of the one around it. */
static void set_identity(ati_context *context, uint32_t bits) {
    const ati_context *parent = context->parent;
    if (!parent) {
        uint64_t numbers[3];
        ati_random_fill(numbers, 3);
        context->id = not_zero(numbers[0]);
        context->trace_id[0] = numbers[1];
        context->trace_id[1] = not_zero(numbers[2]); /* all zero is not a trace id */
        context->trace_flags = 1;                    /* sampled */
    } else {
        context->id = not_zero(ati_random_next());
        set_trace(context, parent);
        context->log_level = parent->log_level;
        context->kept_level = parent->kept_level;
        context->kept_lines = parent->kept_lines;
        context->operation = parent->operation;
        if (parent->operation)
            context->parent_id = parent->operation->id;
    }
    if (bits & ATI_CONTEXT_OPERATION)
        context->operation = context;
}

static char *copy_to(char *to, const char **copy, const char *bytes, size_t size) {
    *copy = to;
    if (size > 0)
        memcpy(to, bytes, size);
    return to + size;
}

ati_context *ati_context_make(const ati_context_parts *parts) {
    ati_context *parent = parts->parent;
    bool is_shielded = parts->bits & ATI_CONTEXT_SHIELDED;
    size_t name_size = strlen(parts->name) + 1;
    size_t size = sizeof(ati_context) + parts->extra + name_size + parts->log_fields_length;
    ati_context *context = ati_allocate(size);
    if (!context)
        return NULL;
    memset(context, 0, sizeof *context);
    context->size = size;
    atomic_init(&context->references, 1);
    atomic_init(&context->process, ati_context_process());
    ati_context_retain(parent);
    context->parent = parent;
    atomic_init(&context->is_shielded, is_shielded);
    context->is_exact = (parts->bits & ATI_CONTEXT_EXACT) || (parent && parent->is_exact);
    bool inherits = parent && !is_shielded && parent->deadline <= parts->deadline;
    context->deadline = inherits ? parent->deadline : parts->deadline;
    context->has_foreign_deadline = !inherits && (parts->bits & ATI_CONTEXT_FOREIGN);
    set_identity(context, parts->bits);
    char *to = copy_to(context->bytes + parts->extra, &context->name, parts->name, name_size);
    copy_to(to, &context->log_fields, parts->log_fields, parts->log_fields_length);
    context->log_fields_length = parts->log_fields_length;
    if (parent)
        enter_tree(context);
    return context;
}

bool ati_context_end_shield(ati_context *context) {
    ati_context *parent = context->parent;
    ati_context_lock(parent);
    bool ends = ati_context_reason(parent) == AT_CANCEL_NONE;
    if (ends)
        atomic_store_explicit(&context->is_shielded, false, memory_order_relaxed);
    ati_context_unlock(parent);
    return ends;
}

ati_context *ati_context_make_lent(ati_context *parent, const ati_context *starter) {
    ati_context *operation = (ati_context *)starter->operation;
    const ati_context_parts parts = {
        .parent = parent,
        .name = parent->name,
        .deadline = AT_FOREVER,
        .bits = operation->is_exact ? ATI_CONTEXT_EXACT : 0,
    };
    ati_context *lent = ati_context_make(&parts);
    if (!lent)
        return NULL;
    ati_context_retain(operation);
    lent->lender = operation;
    lent->operation = operation;
    lent->parent_id = operation->id;
    set_trace(lent, operation);
    lent->log_level = starter->log_level;
    lent->kept_level = starter->kept_level;
    lent->kept_lines = starter->kept_lines;
    return lent;
}

/* For what is detached: the ids, and nothing else. No child of the other, else detached tasks that
 * start each other would be a chain. */
static ati_context *make_detached(const ati_context *context) {
    const ati_context *operation = context->operation;
    const ati_context_parts parts = {
        .name = operation ? operation->name : context->name,
        .deadline = AT_FOREVER,
        .bits = operation ? ATI_CONTEXT_OPERATION : 0,
    };
    ati_context *detached = ati_context_make(&parts);
    if (!detached)
        return NULL;
    set_trace(detached, context);
    if (operation) {
        detached->id = operation->id;
        detached->parent_id = operation->parent_id;
    }
    return detached;
}

bool ati_context_share(ati_context *context, bool is_detached, ati_context **shared) {
    if (context && is_detached)
        return (*shared = make_detached(context));
    ati_context_stock_take(context, 1);
    *shared = context;
    return true;
}

void ati_context_retain_many(ati_context *context, size_t count) {
    atomic_fetch_add_explicit(&context->references, (uint32_t)count, memory_order_relaxed);
}

void ati_context_retain(ati_context *context) {
    if (context)
        ati_context_retain_many(context, 1);
}

/* False: the last reference has gone. */
static bool retain_if_alive(ati_context *context) {
    uint32_t count = atomic_load_explicit(&context->references, memory_order_relaxed);
    while (count != 0)
        if (atomic_compare_exchange_weak_explicit(&context->references, &count, count + 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

/* True: the last reference has gone. */
static bool drop_references(ati_context *context, uint32_t count) {
    /* ORDER context.references: acquire. All uses by others happen before the free. Nobody finds
     * one that has no parent but by a reference.
     * Pairs with: acq_rel in drop_references(). If relaxed: freed while a reader still reads. */
    if (!context->parent &&
        atomic_load_explicit(&context->references, memory_order_acquire) == count)
        return true;
    /* ORDER context.references: acq_rel. All uses by others happen before the free.
     * Pairs with: itself, and acquire, in drop_references(). If relaxed: freed while a reader still
     * reads. */
    return atomic_fetch_sub_explicit(&context->references, count, memory_order_acq_rel) == count;
}

void ati_context_release(ati_context *context) {
    if (context)
        ati_context_release_many(context, 1);
}

/* Puts it before those that are to be freed if that was its last reference; gives the first. */
static ati_context *drop_one(ati_context *context, ati_context *dead) {
    if (!context || !drop_references(context, 1))
        return dead;
    context->next_cancelled = dead; /* nobody cancels it any more */
    return context;
}

void ati_context_release_many(ati_context *context, size_t count) {
    if (!drop_references(context, (uint32_t)count))
        return;
    context->next_cancelled = NULL;
    for (ati_context *dead = context; dead;) {
        context = dead;
        dead = context->next_cancelled;
        ati_context *parent = context->parent;
        ati_context *lender = context->lender;
        if (parent)
            leave_tree(context);
        if (context->kind)
            context->kind->deinit(context);
        ati_release(context, context->size);
        dead = drop_one(lender, drop_one(parent, dead));
    }
}

/* -- In the child of a process fork -- */

/* The way back may have been half made, and the last one removed by half. */
static void put_ring_in_order(ati_cancel_link **last) {
    if (!*last)
        return;
    ati_cancel_link *first = (*last)->next;
    ati_cancel_link *link = first;
    for (; link->next != first; link = link->next)
        link->next->previous = link;
    first->previous = link;
    *last = link;
}

/* Nothing of this is used by anybody. Those who waited, and those who called callbacks, are in the
 * parent. */
static void put_in_order(ati_context *context) {
    atomic_store_explicit(&context->lock.state, 0, memory_order_relaxed);
    context->waits = NULL;
    context->calls = NULL;
    put_ring_in_order(&context->callbacks);
    ati_context *newer = NULL; /* the way back may have been half made */
    for (ati_context *child = context->children; child; child = child->older_sibling) {
        child->newer_sibling = newer;
        newer = child;
    }
    if (context->kind)
        context->kind->after_fork(context);
}

/* True: the caller is to put it in order, and nobody else will. */
static bool claim(ati_context *context, uint32_t process) {
    uint32_t seen = atomic_load_explicit(&context->process, memory_order_relaxed);
    while ((seen | 1) != (process | 1))
        if (atomic_compare_exchange_weak_explicit(&context->process, &seen, process | 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

void ati_context_adopt_now(ati_context *context) {
    const uint32_t process = ati_context_process();
    if (claim(context, process)) {
        put_in_order(context);
        /* ORDER context.process: release. Publishes the locks as they were put in order.
         * Pairs with: acquire in ati_context_adopt() and ati_context_adopt_now(). If relaxed: waits
         * for a lost thread. */
        atomic_store_explicit(&context->process, process, memory_order_release);
        return;
    }
    /* ORDER context.process: acquire. Sees the locks as they were put in order.
     * Pairs with: release in ati_context_adopt_now(). If relaxed: as there. */
    while (atomic_load_explicit(&context->process, memory_order_acquire) != process)
        (void)ati_yield_briefly();
}

/* -- Rings -- */

void ati_cancel_link_add(ati_cancel_link **last, ati_cancel_link *link) {
    if (*last) {
        link->previous = *last;
        link->next = (*last)->next;
        link->next->previous = link;
        (*last)->next = link;
    } else {
        link->next = link;
        link->previous = link;
    }
    *last = link;
}

void ati_cancel_link_remove(ati_cancel_link **last, ati_cancel_link *link) {
    if (link->next == link) {
        *last = NULL;
    } else {
        link->next->previous = link->previous;
        link->previous->next = link->next;
        if (*last == link)
            *last = link->previous;
    }
    link->previous = NULL;
}

/* -- Waits -- */

static bool is_listed(ati_cancel_wait *wait) {
    /* ORDER cancel_wait.is_listed: acquire. Whoever has ended the wait is through with it.
     * Pairs with: release in end_some_waits(). If relaxed: the waiting code leaves a link that is
     * still written. */
    return atomic_load_explicit(&wait->is_listed, memory_order_acquire);
}

bool ati_context_add_wait(ati_context *context, ati_cancel_wait *wait) {
    ati_context_lock(context);
    bool goes_on = ati_context_reason(context) == AT_CANCEL_NONE;
    if (goes_on)
        ati_cancel_link_add(&context->waits, &wait->link);
    atomic_store_explicit(&wait->is_listed, goes_on, memory_order_relaxed);
    ati_context_unlock(context);
    return goes_on;
}

void ati_context_remove_wait(ati_context *context, ati_cancel_wait *wait) {
    if (!is_listed(wait))
        return;
    ati_context_lock(context);
    if (is_listed(wait))
        ati_cancel_link_remove(&context->waits, &wait->link);
    ati_context_unlock(context);
}

/* Ends some waits; false: none is left. Under the lock. */
static bool end_some_waits(ati_context *context) {
    for (int i = 0; i < batch_limit; i++) {
        if (!context->waits)
            return false;
        ati_cancel_wait *wait = (ati_cancel_wait *)context->waits->next;
        ati_cancel_link_remove(&context->waits, &wait->link);
        wait->end(wait);
        /* ORDER cancel_wait.is_listed: release. The last access to the link.
         * Pairs with: acquire in is_listed(). If relaxed: as there. */
        atomic_store_explicit(&wait->is_listed, false, memory_order_release);
    }
    return true;
}

static void end_waits(ati_context *context) {
    bool some_left;
    do {
        ati_context_lock(context);
        some_left = end_some_waits(context);
        ati_context_unlock(context);
    } while (some_left);
}

/* -- Spreading -- */

/* True: this call has cancelled it. */
static bool set_reason(ati_context *context, at_cancel_reason reason) {
    uint32_t none = AT_CANCEL_NONE;
    return atomic_compare_exchange_strong_explicit(&context->cancelled, &none, (uint32_t)reason,
                                                   memory_order_relaxed, memory_order_relaxed);
}

/* Why a child is cancelled with its parent, where every deadline before `passed` has passed. */
static at_cancel_reason reason_of(const ati_context *child, const ati_context *parent,
                                  at_deadline passed) {
    bool is_late = child->deadline < passed && child->deadline < parent->deadline;
    return is_late && !child->has_foreign_deadline ? AT_CANCEL_DEADLINE : AT_CANCEL_PARENT;
}

/* Cancels some children and appends them to the list that ends at `*last`; `*from` is the one that
 * it went to the last time, which that list keeps, or NULL. False: none is left. Under the lock. */
static bool cancel_some_children(ati_context *context, ati_context **from, ati_context **last,
                                 at_deadline passed) {
    int count = 0;
    ati_context *child = *from ? (*from)->older_sibling : context->children;
    for (; child && count < batch_limit; child = child->older_sibling) {
        if (ati_context_is_shielded(child) ||
            !set_reason(child, reason_of(child, context, passed)) || !retain_if_alive(child))
            continue;
        child->next_cancelled = NULL;
        (*last)->next_cancelled = child;
        *last = child;
        *from = child;
        count++;
    }
    return child;
}

/* Appends the children that it cancels to the list that ends at `last`. Gives its new end. Younger
 * ones than those that it meets see by themselves that their parent is cancelled. */
static ati_context *cancel_children(ati_context *context, ati_context *last, at_deadline passed) {
    ati_context *from = NULL;
    bool some_left;
    do {
        ati_context_lock(context);
        some_left = cancel_some_children(context, &from, &last, passed);
        ati_context_unlock(context);
    } while (some_left);
    return last;
}

ati_context *ati_context_cancel(ati_context *context, at_cancel_reason reason) {
    if (!set_reason(context, reason))
        return NULL;
    ati_context_retain(context);
    context->next_cancelled = NULL;
    at_deadline passed = reason == AT_CANCEL_DEADLINE ? context->deadline : INT64_MIN;
    ati_context *last = context;
    for (ati_context *walked = context; walked; walked = walked->next_cancelled) {
        last = cancel_children(walked, last, passed);
        end_waits(walked);
    }
    return context;
}
