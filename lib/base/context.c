/* SPDX-License-Identifier: MIT */
#include "base/context.h"

#include "base/memory.h"
#include "base/random.h"

#include <string.h>

ati_context *ati_context_create(ati_context *parent, const char *name, at_deadline deadline,
                                const char *log_fields, size_t log_fields_length) {
    size_t name_size = strlen(name) + 1;
    size_t size = sizeof(ati_context) + name_size + log_fields_length;
    ati_context *context = ati_allocate_zeroed(size);
    if (!context)
        return NULL;
    context->size = size;
    atomic_init(&context->references, 1);
    ati_context_retain(parent);
    context->parent = parent;
    context->deadline = parent && parent->deadline < deadline ? parent->deadline : deadline;
    do
        context->id = ati_random_next();
    while (context->id == 0);
    if (parent) {
        memcpy(context->trace_id, parent->trace_id, sizeof context->trace_id);
    } else {
        context->trace_id[0] = ati_random_next();
        context->trace_id[1] = ati_random_next() | 1; /* all zero is not a trace id */
    }
    memcpy(context->bytes, name, name_size);
    context->name = context->bytes;
    if (log_fields_length > 0)
        memcpy(context->bytes + name_size, log_fields, log_fields_length);
    context->log_fields = context->bytes + name_size;
    context->log_fields_length = log_fields_length;
    return context;
}

void ati_context_retain(ati_context *context) {
    if (context)
        atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
}

void ati_context_release(ati_context *context) {
    /* ORDER context.references: acq_rel. All uses by others happen before the free.
     * Pairs with: itself in ati_context_release(). If relaxed: freed while a reader still reads. */
    while (context &&
           atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) == 1) {
        ati_context *parent = context->parent;
        ati_release(context, context->size);
        context = parent;
    }
}
