/* SPDX-License-Identifier: MIT */
/* How the record of an operation is made: where it hangs in the tree, and what it has of whom.
 *
 * A record keeps its parent. If each step of some work runs in an operation and starts the next
 * one there, each would be below the last, and none could be freed. So what is made under records
 * that are over goes below the nearest one that is not: those that it passes by cannot be cancelled
 * any more, but by what is above them and by their deadline, and both count for it, too. Of an
 * operation that is over it has the ids and fields, as a copy where the record would keep others.
 *
 * Checked by: tests/unit/context_test.c, tests/unit/operation_chain_test.c. */
#include "base/context.h"
#include "base/memory.h"
#include "base/random.h"

#include <string.h>

/* -- Where it hangs -- */

/* Where a record is in the tree. */
typedef struct place {
    ati_context *parent;
    bool is_shielded;  /* neither cancellation nor deadline of the parent count */
    bool is_cut;       /* some are passed by */
    bool is_cancelled; /* the first of those */
} place;

static bool is_over(const ati_context *context) {
    /* ORDER context.has_ended: acquire. Sees that the token was kept before the end.
     * Pairs with: release in ati_context_end(). If relaxed: passes by one that will be cancelled.
     */
    return atomic_load_explicit(&((ati_context *)context)->has_ended, memory_order_acquire);
}

/* Whether the record of one task, which belongs to an operation that is over, is no more than the
 * way to what is above it. */
static bool is_over_with_lender(const ati_context *context) {
    return context->lender && is_over(context->lender);
}

static bool has_token(const ati_context *context) {
    return atomic_load_explicit(&((ati_context *)context)->has_token, memory_order_relaxed);
}

static bool is_passed_by(const ati_context *context) {
    return (is_over(context) || is_over_with_lender(context)) && !has_token(context);
}

/* What is under `outer`, which is passed by. A task that is cancelled alone does not hand that on.
 */
static place find_place(ati_context *outer) {
    place found = {.is_cut = true, .is_cancelled = ati_context_reason(outer) != AT_CANCEL_NONE};
    ati_context *context = outer;
    do {
        found.is_shielded |= ati_context_is_shielded(context);
        context = context->parent;
    } while (context && (is_passed_by(context) || (context->is_own && !has_token(context))));
    found.parent = context;
    return found;
}

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

/* What cancels it, besides itself. */
static void set_place(ati_context *context, const place *found, const ati_context_parts *parts) {
    const ati_context *outer = parts->parent;
    const ati_context *parent = found->parent;
    bool is_shielded = parts->bits & ATI_CONTEXT_SHIELDED;
    bool inherits = outer && !is_shielded && outer->deadline <= parts->deadline;
    bool is_foreign = inherits && found->is_cut &&
                      (!parent || found->is_shielded || outer->deadline < parent->deadline);
    context->deadline = inherits ? outer->deadline : parts->deadline;
    context->has_foreign_deadline =
        is_foreign || (!inherits && (parts->bits & ATI_CONTEXT_FOREIGN));
    context->is_exact = (parts->bits & ATI_CONTEXT_EXACT) || (outer && outer->is_exact);
    atomic_init(&context->is_shielded, is_shielded || found->is_shielded);
    if (found->is_cancelled && !is_shielded)
        atomic_init(&context->cancelled, AT_CANCEL_PARENT);
    ati_context_retain(found->parent);
    context->parent = found->parent;
}

/* -- Whose it is -- */

static uint64_t not_zero(uint64_t id) {
    return id != 0 ? id : 1;
}

/* It belongs to the same trace. */
static void set_trace(ati_context *context, const ati_context *of) {
    memcpy(context->trace_id, of->trace_id, sizeof context->trace_id);
    context->trace_flags = of->trace_flags;
}

static void set_lines(ati_context *context, const ati_context *of) {
    context->log_level = of->log_level;
    context->kept_level = of->kept_level;
    context->kept_lines = of->kept_lines;
}

/* Who it is, and what it has of the one around it. */
static void set_identity(ati_context *context, const ati_context *outer, uint32_t bits) {
    if (!outer) {
        uint64_t numbers[3];
        ati_random_fill(numbers, 3);
        context->id = not_zero(numbers[0]);
        context->trace_id[0] = numbers[1];
        context->trace_id[1] = not_zero(numbers[2]); /* all zero is not a trace id */
        context->trace_flags = 1;                    /* sampled */
    } else {
        context->id = not_zero(ati_random_next());
        set_trace(context, outer);
        context->operation = outer->operation;
        if (outer->operation)
            context->parent_id = outer->operation->id;
    }
    if (context->parent)
        set_lines(context, context->parent);
    if (bits & ATI_CONTEXT_OPERATION)
        context->operation = context;
}

/* -- Making -- */

static char *copy_to(char *to, const char **copy, const char *bytes, size_t size) {
    *copy = to;
    if (size > 0)
        memcpy(to, bytes, size);
    return to + size;
}

static __attribute__((noinline)) ati_context *make_at(const place *found,
                                                      const ati_context_parts *parts) {
    size_t name_size = strlen(parts->name) + 1;
    size_t size = sizeof(ati_context) + parts->extra + name_size + parts->log_fields_length;
    ati_context *context = ati_allocate(size);
    if (!context)
        return NULL;
    memset(context, 0, sizeof *context);
    context->size = size;
    atomic_init(&context->references, 1);
    atomic_init(&context->process, ati_context_process());
    char *to = copy_to(context->bytes + parts->extra, &context->name, parts->name, name_size);
    copy_to(to, &context->log_fields, parts->log_fields, parts->log_fields_length);
    context->log_fields_length = parts->log_fields_length;
    set_place(context, found, parts);
    set_identity(context, parts->parent, parts->bits);
    if (context->parent)
        enter_tree(context);
    return context;
}

/* A root with the ids of an operation. */
static ati_context *make_root(const ati_context *operation, ati_context_parts *parts) {
    const place root = {0};
    parts->name = operation->name;
    parts->deadline = AT_FOREVER;
    parts->bits = ATI_CONTEXT_OPERATION;
    ati_context *copy = make_at(&root, parts);
    if (!copy)
        return NULL;
    set_trace(copy, operation);
    copy->id = operation->id;
    copy->parent_id = operation->parent_id;
    return copy;
}

/* One that stands for an operation that is over, and keeps nothing of it. */
static ati_context *make_copy(const ati_context *operation) {
    const ati_context_kind *kind = operation->kind;
    ati_context_parts parts = {
        .log_fields = operation->log_fields,
        .log_fields_length = operation->log_fields_length,
        .extra = kind ? kind->copy_size(operation) : 0,
    };
    ati_context *copy = make_root(operation, &parts);
    if (copy && kind)
        kind->copy(copy, operation);
    return copy;
}

/* Has it keep the operation of `starter`, which is not above it. Of one that is over, and keeps
 * others, it keeps a copy. False: out of memory. */
static bool borrow_operation(ati_context *context, const ati_context *starter) {
    ati_context *operation = (ati_context *)starter->operation;
    bool is_copy = is_over(operation) && (operation->parent || operation->lender);
    ati_context *lender = is_copy ? make_copy(operation) : operation;
    if (!lender)
        return false;
    if (!is_copy) {
        ati_context_retain(operation);
        set_lines(context, starter);
    }
    context->lender = lender;
    context->operation = lender;
    context->parent_id = operation->id;
    return true;
}

static bool is_kept_by(const ati_context *operation, const ati_context *parent) {
    return !operation || (parent && parent->operation == operation);
}

static __attribute__((noinline)) ati_context *make_elsewhere(const ati_context_parts *parts) {
    const place found = find_place(parts->parent);
    ati_context *context = make_at(&found, parts);
    if (!context || context->operation == context || is_kept_by(context->operation, found.parent) ||
        borrow_operation(context, parts->parent))
        return context;
    ati_context_release(context);
    return NULL;
}

ati_context *ati_context_make(const ati_context_parts *parts) {
    const place found = {.parent = parts->parent};
    if (found.parent && !(parts->bits & ATI_CONTEXT_EXACT) && is_passed_by(found.parent))
        return make_elsewhere(parts);
    return make_at(&found, parts);
}

ati_context *ati_context_make_lent(ati_context *parent, const ati_context *starter) {
    ati_context *operation = (ati_context *)starter->operation;
    const ati_context_parts parts = {
        .parent = parent,
        .name = parent->name,
        .deadline = operation->deadline,
        .bits = ATI_CONTEXT_FOREIGN | (operation->is_exact ? ATI_CONTEXT_EXACT : 0),
    };
    ati_context *lent = ati_context_make(&parts);
    if (!lent)
        return NULL;
    if (!borrow_operation(lent, starter)) {
        ati_context_release(lent);
        return NULL;
    }
    set_trace(lent, operation);
    return lent;
}

/* For what is detached: the ids, and nothing else. No child of the other, else detached tasks that
 * start each other would be a chain. */
static ati_context *make_detached(const ati_context *context) {
    ati_context_parts parts = {.name = context->name, .deadline = AT_FOREVER};
    if (context->operation)
        return make_root(context->operation, &parts);
    ati_context *detached = ati_context_make(&parts);
    if (detached)
        set_trace(detached, context);
    return detached;
}

bool ati_context_share(ati_context *context, bool is_detached, ati_context **shared) {
    if (context && is_detached)
        return (*shared = make_detached(context));
    ati_context_stock_take(context, 1);
    *shared = context;
    return true;
}
