/* SPDX-License-Identifier: MIT */
#include "operation/operation.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "log/kept.h"
#include "log/logger.h"
#include "log/verbose.h"
#include "operation/fields.h"
#include "operation/live.h"
#include "operation/tracker.h"
#include "pool/scope.h"

#include <string.h>

enum {
    kept_default = 64 * 1024,
    kept_least = 8 * 1024,
    kept_most = 16 * 1024 * 1024,
};

/* The section of another is short, and there is hardly ever another: the lock with the cheapest
 * release will do. */
static __attribute__((noinline)) void acquire_in_turn(ati_try_lock *lock) {
    do
        ati_try_lock_settle(lock);
    while (!ati_try_lock_acquire(lock));
}

static inline void acquire(at_operation *operation) {
    ati_context_adopt(ati_operation_context(operation));
    if (__builtin_expect(!ati_try_lock_acquire(&operation->lock), 0))
        acquire_in_turn(&operation->lock);
}

/* -- Options -- */

static void check_level(at_log_level level, const char *sentence) {
    ATI_CALLER_CHECK(level >= AT_LOG_DEFAULT && level <= AT_LOG_OFF, "at_operation_begin",
                     sentence);
}

static void check_options(const at_operation_options *options) {
    ATI_CALLER_CHECK(options->slow >= 0, "at_operation_begin", "`slow` is negative");
    ATI_CALLER_CHECK(options->fields || options->field_count == 0, "at_operation_begin",
                     "`fields` is NULL and `field_count` is not 0");
    check_level(options->start_level, "`start_level` is not a level");
    check_level(options->end_level, "`end_level` is not a level");
    check_level(options->log_level, "`log_level` is not a level");
    check_level(options->kept_level, "`kept_level` is not a level");
    ATI_CALLER_CHECK(options->kept_bytes == 0 ||
                         (options->kept_bytes >= kept_least && options->kept_bytes <= kept_most),
                     "at_operation_begin", "`kept_bytes` is not between 8 KiB and 16 MiB");
    ATI_CALLER_CHECK(ati_all_zero(options->reserved, sizeof options->reserved),
                     "at_operation_begin", "`reserved` is not zero");
}

/* -- Begin -- */

/* The last thing that happens to it, on whatever thread. */
static void deinit_operation(ati_context *context) {
    at_operation *operation = (at_operation *)context->bytes;
    at_error_release(operation->error);
    ati_tracker_end_use(operation->tracker);
    ati_log_verbose_remove(operation->verbose_level);
    if (operation->keeps_lines)
        ati_log_kept_destroy(context->kept_lines);
    ati_metadata_deinit(&operation->metadata);
}

/* In the child of a process fork: if another thread was in the middle of adding metadata, that is
 * lost. */
static void put_in_order(ati_context *context) {
    at_operation *operation = (at_operation *)context->bytes;
    if (atomic_load_explicit(&operation->lock.held, memory_order_relaxed) == 0)
        return;
    operation->metadata.dropped += operation->metadata.count;
    operation->metadata.count = 0;
    operation->metadata.size = 0;
    atomic_store_explicit(&operation->lock.held, 0, memory_order_relaxed);
}

static const ati_context_kind kind = {.deinit = deinit_operation, .after_fork = put_in_order};

at_operation *ati_operation_of(const ati_context *context) {
    const ati_context *operation = context ? context->operation : NULL;
    if (!operation || operation->kind != &kind)
        return NULL;
    return (at_operation *)operation->bytes;
}

/* The parts that it has of `fields`, its own and those around it. */
static ati_context *make_with_fields(ati_context_parts *parts, const ati_operation_fields *fields) {
    const ati_cut_keys cut = ati_members_cut_keys(&fields->members);
    parts->log_fields = fields->bytes;
    parts->log_fields_length = (size_t)(fields->members.at - fields->bytes);
    parts->extra += ati_cut_keys_size(&cut);
    ati_context *context = ati_context_make(parts);
    if (context && cut.count > 0) {
        char *copy = context->bytes + sizeof(at_operation);
        ati_cut_keys_copy(copy, &cut);
        context->log_cut = (const ati_cut_keys *)copy;
    }
    return context;
}

static ati_context *make_context(ati_context *parent, const char *name,
                                 const at_operation_options *options, const at_logger *logger) {
    const ati_context *outer = parent ? parent->operation : NULL;
    ati_context_parts parts = {
        .parent = parent,
        .name = name,
        .deadline = ati_scope_deadline(options->timeout, options->deadline),
        .bits = ATI_CONTEXT_OPERATION,
        .extra = sizeof(at_operation),
    };
    if (options->field_count > 0 || (outer && outer->log_cut)) {
        ati_operation_fields fields;
        ati_operation_fields_encode(&fields, options->fields, options->field_count, outer,
                                    ati_logger_redaction(logger ? logger : at_logger_default()));
        return make_with_fields(&parts, &fields);
    }
    if (outer) {
        parts.log_fields = outer->log_fields;
        parts.log_fields_length = outer->log_fields_length;
    }
    return ati_context_make(&parts);
}

/* Makes it a part of what a request says. */
static void take_traceparent(ati_context *context, const char *header) {
    at_traceparent parsed;
    ati_frame_slot slot = ati_frame_put_slot_aside();
    bool is_good = at_traceparent_parse(header, &parsed) == AT_OK;
    at_error_clear();
    ati_frame_put_slot_back(slot);
    if (!is_good)
        return;
    context->trace_id[0] = parsed.trace_id.high;
    context->trace_id[1] = parsed.trace_id.low;
    context->parent_id = parsed.parent_id;
    context->trace_flags = parsed.flags;
}

static at_log_level level_or(at_log_level level, at_log_level other) {
    return level == AT_LOG_DEFAULT ? other : level;
}

static at_log_level lower_of(at_log_level a, at_log_level b) {
    return a == AT_LOG_DEFAULT || (b != AT_LOG_DEFAULT && b < a) ? b : a;
}

/* Has lines written, or kept, that the loggers would not write. Without memory those are kept that
 * the operation around it keeps. */
static void ask_for_lines(at_operation *operation, const at_operation_options *options) {
    ati_context *context = ati_operation_context(operation);
    if (options->log_level != AT_LOG_DEFAULT)
        context->log_level = (uint8_t)options->log_level;
    if (options->kept_level != AT_LOG_DEFAULT) {
        size_t bytes = options->kept_bytes != 0 ? (size_t)options->kept_bytes : kept_default;
        ati_log_kept *kept = ati_log_kept_create(bytes);
        if (kept) {
            context->kept_level = (uint8_t)options->kept_level;
            context->kept_lines = kept;
            operation->keeps_lines = true;
        }
    }
    operation->verbose_level = (uint8_t)lower_of(options->log_level, options->kept_level);
    ati_log_verbose_add(operation->verbose_level);
}

/* Begins an operation under `parent` (or NULL); `is_scope`: the calling thread will end it. */
static at_operation *begin(ati_context *parent, const char *name,
                           const at_operation_options *options, bool is_scope) {
    static const at_operation_options no_options = {0};
    ATI_CALLER_CHECK(name, "at_operation_begin", "`name` is NULL; give what is being done");
    if (!options)
        options = &no_options;
    check_options(options);
    const at_operation *outer = ati_operation_of(parent);
    at_logger *logger = options->logger ? options->logger : outer ? outer->logger : NULL;
    ati_context *context = make_context(parent, name, options, logger);
    if (!context) {
        ati_live_miss();
        return NULL;
    }
    at_operation *operation = (at_operation *)context->bytes;
    memset(operation, 0, offsetof(at_operation, metadata.own));
    context->kind = &kind;
    operation->logger = logger;
    operation->clock = at_clock_current();
    ati_clock_count_operation(operation->clock, 1);
    operation->tracker = options->tracker;
    ati_tracker_begin_use(operation->tracker);
    operation->slow = options->slow != 0 ? options->slow : AT_FOREVER;
    operation->start_level = (uint8_t)level_or(options->start_level, AT_LOG_DEBUG);
    operation->end_level = (uint8_t)level_or(options->end_level, AT_LOG_INFO);
    operation->thread = ati_live_thread_id();
    if (options->traceparent)
        take_traceparent(context, options->traceparent);
    if ((options->log_level | options->kept_level) != AT_LOG_DEFAULT)
        ask_for_lines(operation, options);
    operation->started_at = at_clock_now(operation->clock);
    ati_operation_log_start(operation);
    ati_live_add(operation, is_scope); /* who watches may log from here on */
    return operation;
}

at_operation *at_operation_begin(const char *name, const at_operation_options *options) {
    return begin(ati_context_to_share(), name, options, false);
}

/* -- End -- */

/* Takes what was deferred last; when there is nothing, the operation has ended. */
static ati_deferred *take_deferred(at_operation *operation) {
    acquire(operation);
    ati_deferred *deferred = operation->deferred;
    if (deferred)
        operation->deferred = deferred->next;
    else
        operation->has_ended = true;
    ati_try_lock_release(&operation->lock);
    return deferred;
}

static void run_deferred(at_operation *operation, ati_deferred *first) {
    at_operation_scope inside;
    at_scope shield;
    ati_frame_slot slot = ati_frame_put_slot_aside();
    at_operation_scope_enter(&inside, operation);
    at_scope_begin(&shield, &(at_scope_options){.is_shielded = true});
    for (ati_deferred *deferred = first; deferred; deferred = take_deferred(operation)) {
        deferred->run(deferred->argument);
        ati_release(deferred, sizeof *deferred);
    }
    (void)at_scope_end(&shield);
    at_operation_scope_end(&inside);
    at_error_clear();
    ati_frame_put_slot_back(slot);
}

/* Has the lines that it kept written if it failed or took too long: then what led to it is of
 * interest. Else the operation around it may yet fail. */
static void settle_kept_lines(at_operation *operation, const ati_operation_result *result) {
    const ati_context *context = ati_operation_context(operation);
    const ati_context *outer = context->parent;
    bool is_well = result->outcome == AT_OPERATION_OK || result->outcome == AT_OPERATION_CANCELLED;
    bool is_wanted = !is_well || result->duration >= operation->slow;
    if (!is_wanted && outer && outer->kept_lines)
        ati_log_kept_hand_on(context->kept_lines, outer->kept_lines,
                             (at_log_level)outer->kept_level);
    else
        ati_log_kept_end(context->kept_lines, is_wanted);
}

/* What was cancelled because its time is over has timed out, whoever of those that worked in it
 * says so. */
static bool has_timed_out(const at_operation *operation, const ati_operation_result *result) {
    return result->outcome == AT_OPERATION_CANCELLED && result->error &&
           ati_context_reason(ati_operation_context(operation)) == AT_CANCEL_DEADLINE;
}

/* Ends it; by this error, if nobody has said how, or well if that is NULL. */
static void finish(at_operation *operation, const at_error *in_flight) {
    ati_deferred *deferred = take_deferred(operation);
    if (deferred)
        run_deferred(operation, deferred);
    ati_live_remove(operation);
    /* From here on nobody changes it, and nobody else logs for it. */
    ati_operation_result result = {
        .outcome = operation->outcome,
        .error = operation->error,
        .duration = at_clock_now(operation->clock) - operation->started_at,
    };
    if (!operation->has_outcome && in_flight) {
        result.outcome = at_operation_outcome_of(in_flight);
        result.error = in_flight;
    }
    if (has_timed_out(operation, &result))
        result.outcome = AT_OPERATION_TIMEOUT;
    if (operation->keeps_lines)
        settle_kept_lines(operation, &result);
    ati_operation_log_end(operation, &result);
    if (operation->tracker)
        ati_operation_track(operation, &result);
    ati_clock_count_operation(operation->clock, -1);
}

void at_operation_end(at_operation *operation) {
    if (!operation)
        return;
    const ati_frame *frame = ati_frame_current();
    at_error *error = frame->in_flight ? at_error_retain(frame->error) : NULL;
    finish(operation, error);
    at_error_release(error);
    ati_context_release(ati_operation_context(operation));
}

/* -- Scopes -- */

static void enter(at_operation_scope *scope, at_operation *operation, ati_context *context) {
    const ati_frame *frame = ati_frame_current();
    scope->operation = operation;
    ati_scope_enter(&scope->scope, context, scope->is_owner);
    scope->error = scope->is_owner && frame->in_flight ? at_error_retain(frame->error) : NULL;
    scope->runs = true;
    scope->is_first = true;
}

at_operation_scope *at_operation_scope_begin(at_operation_scope *scope, const char *name,
                                             const at_operation_options *options) {
    ATI_CALLER_CHECK(scope, "at_operation_scope_begin", "`scope` is NULL");
    ati_context *outer = ati_scope_begin(&scope->scope);
    scope->is_owner = true;
    at_operation *operation = begin(outer, name, options, true);
    enter(scope, operation, operation ? ati_operation_context(operation) : NULL);
    return scope;
}

void at_operation_scope_enter(at_operation_scope *scope, at_operation *operation) {
    ATI_CALLER_CHECK(scope, "at_operation_scope_enter", "`scope` is NULL");
    (void)ati_scope_begin(&scope->scope);
    scope->is_owner = false;
    ati_context *context = NULL;
    if (operation)
        context = ati_scope_part_of(&scope->scope, ati_operation_context(operation));
    enter(scope, operation, context);
}

void at_operation_scope_end(at_operation_scope *scope) {
    ATI_CALLER_CHECK(scope, "at_operation_scope_end", "`scope` is NULL");
    ati_scope_check_end(&scope->scope, "at_operation_scope_end");
    at_operation *operation = scope->operation;
    if (operation && scope->is_owner) {
        const ati_frame *frame = ati_frame_current();
        bool has_failed = frame->in_flight && frame->error != scope->error;
        finish(operation, has_failed ? frame->error : NULL);
    }
    at_error_release(scope->error);
    ati_context_release(ati_scope_end(&scope->scope));
}

/* -- What is known of it -- */

at_operation *at_operation_current(void) {
    return ati_operation_of(ati_context_current());
}

uint64_t at_operation_id(const at_operation *operation) {
    return operation ? ati_operation_context(operation)->id : 0;
}

at_trace_id at_operation_trace_id(const at_operation *operation) {
    if (!operation)
        return (at_trace_id){0};
    const ati_context *context = ati_operation_context(operation);
    return (at_trace_id){.high = context->trace_id[0], .low = context->trace_id[1]};
}

void at_operation_traceparent(const at_operation *operation, char header[AT_TRACEPARENT_SIZE]) {
    ATI_CALLER_CHECK(header, "at_operation_traceparent", "`header` is NULL");
    if (!operation) {
        header[0] = '\0';
        return;
    }
    const at_traceparent traceparent = {
        .trace_id = at_operation_trace_id(operation),
        .parent_id = at_operation_id(operation),
        .flags = ati_operation_context(operation)->trace_flags,
    };
    at_traceparent_write(&traceparent, header);
}

const char *at_operation_name(const at_operation *operation) {
    return operation ? ati_operation_context(operation)->name : "";
}

at_logger *at_operation_logger(const at_operation *operation) {
    return operation && operation->logger ? operation->logger : at_logger_default();
}

at_token *at_operation_token(at_operation *operation) {
    return operation ? (at_token *)ati_operation_context(operation) : NULL;
}

/* -- What is said of it -- */

void at_operation_add_fields(at_operation *operation, const at_field *fields, size_t count) {
    if (!operation)
        return;
    ATI_CALLER_CHECK(fields || count == 0, "at_operation_add_fields", "`fields` is NULL");
    acquire(operation);
    if (!operation->has_ended) /* else its logger may have gone */
        ati_metadata_add(&operation->metadata, fields, count,
                         ati_logger_redaction(at_operation_logger(operation)));
    ati_try_lock_release(&operation->lock);
}

at_status at_operation_set_outcome(at_operation *operation, at_operation_outcome outcome,
                                   const at_error *error) {
    if ((unsigned)outcome > AT_OPERATION_REJECTED)
        return AT_ERROR_INVALID;
    if (!operation)
        return AT_OK;
    acquire(operation);
    bool is_first = !operation->has_ended && !operation->has_outcome;
    if (is_first) {
        operation->has_outcome = true;
        operation->outcome = outcome;
        operation->error = at_error_retain(error);
    }
    ati_try_lock_release(&operation->lock);
    return is_first ? AT_OK : AT_ERROR_ALREADY;
}

at_status at_defer(at_operation *operation, void (*run)(void *argument), void *argument) {
    ATI_CALLER_CHECK(run, "at_defer", "`run` is NULL; give a function");
    ati_deferred *deferred = operation ? ati_allocate(sizeof *deferred) : NULL;
    if (!deferred)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_defer: out of memory");
    *deferred = (ati_deferred){.run = run, .argument = argument};
    acquire(operation);
    bool is_open = !operation->has_ended;
    if (is_open) {
        deferred->next = operation->deferred;
        operation->deferred = deferred;
    }
    ati_try_lock_release(&operation->lock);
    if (is_open)
        return AT_OK;
    ati_release(deferred, sizeof *deferred);
    return ati_fail(AT_ERROR_CLOSED, "at_defer: operation %s has ended",
                    at_operation_name(operation));
}
