/* SPDX-License-Identifier: MIT */
#include "log/logger.h"

#include "base/check.h"
#include "base/clock.h"
#include "log/kept.h"
#include "log/verbose.h"

#include <errno.h>

/* A log call, from the macro to the ring. */

enum {
    warn_wait_ms = 10,
    fatal_wait_ms = 5000,
    unwanted_count = 1024, /* so many lines at the second test, and the first may be too low */
};

/* A line, and who writes it. */
typedef struct call {
    at_logger *logger;
    const ati_context *context; /* that it belongs to, or NULL */
    ati_log_thread *thread;
    const at_log_line *line;
    at_log_level level; /* that it is counted under */
    ati_member_text members;
    at_deadline fatal_until; /* of a fatal line: whatever the call waits for, it ends then */
} call;

const ati_redaction *ati_logger_redaction(const at_logger *logger) {
    if (!logger)
        return NULL;
    /* ORDER log_core.redaction: acquire. Sees the names.
     * Pairs with: release in ati_log_core_redact(). If relaxed: the caller reads an unwritten list,
     * and writes a secret. */
    return atomic_load_explicit(&logger->core->redaction, memory_order_acquire);
}

ati_line_head ati_log_head(const at_logger *logger, const ati_context *context,
                           ati_line_thread *thread, int64_t time) {
    ati_line_head head = {
        .time = time,
        .logger_member = "",
        .operation = context ? context->operation : NULL,
        .redaction = ati_logger_redaction(logger),
        .thread = thread,
    };
    if (logger) {
        head.logger_member = logger->name_member.bytes;
        head.logger_member_length = logger->name_member.length;
        head.logger_fields = logger->fields;
        head.logger_cut = logger->cut;
    }
    return head;
}

/* Encodes a line that has `time` into ATI_LINE_MAX bytes. */
static size_t encode(char *bytes, const call *of, int64_t time) {
    ati_line_head head = ati_log_head(of->logger, of->context, &of->thread->line, time);
    head.members = of->members;
    return ati_line_encode(bytes, &head, of->line);
}

/* Encodes a record into room for the longest one; gives its size. */
static size_t encode_record(ati_log_record *record, const call *of) {
    int64_t time = ati_stamp_clock_now(&of->thread->clock);
    record->order = ati_log_next_order(of->thread, time);
    if (record->order - time < ATI_STAMP_CLOCK_WINDOW)
        time = record->order; /* the thread's clock ran ahead a little */
    return sizeof *record + encode(record->line, of, time);
}

/* Until when a line may wait for room; 0: not at all. */
static at_deadline patience(const call *of) {
    if (of->thread->never_waits || of->level < AT_LOG_WARN)
        return 0;
    if (of->level == AT_LOG_FATAL)
        return of->fatal_until;
    return ati_monotonic_ns() + AT_MILLISECONDS(warn_wait_ms);
}

/* The way of a line into a ring that is shared, or so full that the longest line has no room. */
static __attribute__((noinline)) bool put_by_copy(ati_log_ring *ring, const call *of) {
    ati_log_copy copy;
    size_t size = encode_record(&copy.record, of);
    return ati_log_put_record(of->logger->core, ring, &copy.record, size, of->level, patience(of));
}

static bool put(ati_log_ring *ring, const call *of) {
    ati_log_core *core = of->logger->core;
    ati_log_record *record = NULL;
    if (ring != &core->shared)
        record = ati_byte_ring_reserve_spsc(&ring->ring, sizeof *record + ATI_LINE_MAX);
    if (!record)
        return put_by_copy(ring, of);
    size_t size = encode_record(record, of);
    ati_byte_ring_commit_spsc(&ring->ring, size);
    ati_log_backend_wake(core, ati_byte_ring_half_full_spsc(&ring->ring));
    return true;
}

/* A caller that writes itself. */
static __attribute__((noinline)) bool write_direct(const call *of) {
    char bytes[ATI_LINE_MAX];
    size_t size = encode(bytes, of, ati_stamp_now());
    return ati_log_write_direct(of->logger->core, bytes, size, of->level);
}

/* A fatal line is written when the call returns, if not by the sinks then to stderr. */
static void see_fatal_written(const call *of, bool done) {
    at_status status = AT_ERROR_TIMED_OUT;
    if (done && !of->thread->never_waits)
        status = ati_log_flush_by_caller(of->logger->core, of->fatal_until);
    if (status != AT_OK)
        ati_log_write_stderr(of->logger, of->context, &of->thread->line, of->line);
}

/* Whether sampling leaves a line out; counts it then. */
static bool is_left_out(const call *of) {
    ati_log_core *core = of->logger->core;
    /* ORDER log_core.sampling: acquire. Sees the table.
     * Pairs with: release in ati_log_core_sample(). If relaxed: the caller reads an unwritten
     * table. */
    ati_sampling *sampling = atomic_load_explicit(&core->sampling, memory_order_acquire);
    if (__builtin_expect(sampling == NULL, 1))
        return false;
    const char *event = of->line->event ? of->line->event : "";
    if (of->level > AT_LOG_INFO || ati_sampling_take(sampling, event, of->level, ati_coarse_ns()))
        return false;
    atomic_fetch_add_explicit(&core->sampled[of->level], 1, memory_order_relaxed);
    return true;
}

static void write_line(const call *of) {
    if (is_left_out(of))
        return;
    ati_log_ring *ring = ati_log_find_ring(of->logger->core, of->thread);
    bool done = ring ? put(ring, of) : write_direct(of);
    if (of->level == AT_LOG_FATAL)
        see_fatal_written(of, done);
}

/* Keeps a line until it is known whether its operation fails. */
static __attribute__((noinline)) void keep_line(const call *of) {
    char bytes[ATI_LINE_MAX];
    size_t size = encode(bytes, of, ati_stamp_now());
    ati_log_kept_add(of->context->kept_lines, of->logger->core->serial, of->level, bytes, size);
}

typedef enum fate { FATE_UNWANTED, FATE_KEPT, FATE_WRITTEN } fate;

/* The second test: what the logger writes, or the operation asks for. */
static fate fate_of(const at_logger *logger, const ati_context *context, at_log_level level) {
    int32_t lowest = atomic_load_explicit(&logger->level, memory_order_relaxed);
    bool may_decide = context && lowest != AT_LOG_OFF;
    if (may_decide && context->log_level != AT_LOG_DEFAULT)
        lowest = context->log_level;
    if ((int32_t)level >= lowest)
        return FATE_WRITTEN;
    bool is_kept = may_decide && context->kept_level != AT_LOG_DEFAULT && context->kept_lines &&
                   (int32_t)level >= context->kept_level;
    return is_kept ? FATE_KEPT : FATE_UNWANTED;
}

static __attribute__((noinline)) void count_unwanted(ati_log_thread *thread) {
    if (++thread->unwanted % unwanted_count == 0)
        ati_log_verbose_settle(ati_monotonic_ns());
}

void ati_log_write_in(at_logger *logger, const ati_context *context, const at_log_line *line,
                      ati_member_text members) {
    ati_log_thread *thread = &ati_log_thread_current;
    at_log_level level = ati_log_counted_level(line->level);
    fate decided = logger ? fate_of(logger, context, level) : FATE_WRITTEN;
    if (decided == FATE_UNWANTED) {
        count_unwanted(thread);
        return;
    }
    if (!ati_log_thread_enter(thread)) {
        if (logger)
            ati_log_drop(logger->core, NULL, level);
        return;
    }
    int saved_errno = errno;
    call of = {logger, context, thread, line, level, members, 0};
    if (level == AT_LOG_FATAL)
        of.fatal_until = ati_monotonic_ns() + AT_MILLISECONDS(fatal_wait_ms);
    if (decided == FATE_KEPT)
        keep_line(&of);
    else if (logger)
        write_line(&of);
    else
        ati_log_write_stderr(NULL, context, &thread->line, line);
    errno = saved_errno;
    ati_log_thread_leave(thread);
}

void at_log_write(at_logger *logger, const at_log_line *line) {
    ATI_CALLER_CHECK(line != NULL, "at_log_write", "`line` is NULL; give the line to write");
    ati_log_write_in(logger, ati_context_current(), line, (ati_member_text){0});
}
