/* SPDX-License-Identifier: MIT */
#include "log/logger.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/futex.h"

#include <errno.h>
#include <string.h>

/* A log call, from the macro to the ring. */

enum {
    warn_wait_ms = 10,
    fatal_wait_ms = 5000,
};

ati_line_head ati_log_head(const at_logger *logger, ati_line_thread *thread, int64_t time) {
    const ati_context *context = ati_context_current();
    ati_line_head head = {
        .time = time,
        .logger_member = "",
        .operation = context ? context->operation : NULL,
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

/* A signal handler on this thread sees what is before it, and not what is behind. */
static inline void compiler_barrier(void) {
    __asm__ __volatile__("" ::: "memory");
}

/* Counts a line that finds no room. */
static void drop(ati_log_core *core, ati_log_ring *ring, at_log_level level) {
    level = ati_log_counted_level(level);
    if (ring && ring != &core->shared)
        ati_counter_add(&ring->dropped[level], 1);
    else
        atomic_fetch_add_explicit(&core->dropped[level], 1, memory_order_relaxed);
}

/* Encodes a record into room for the longest one; gives its size. */
static size_t encode_record(ati_log_record *record, at_logger *logger, ati_log_thread *thread,
                            const at_log_line *line) {
    int64_t time = ati_stamp_now();
    thread->order = time > thread->order ? time : thread->order + 1;
    record->order = thread->order;
    ati_line_head head = ati_log_head(logger, &thread->line, time);
    return sizeof *record + ati_line_encode(record->line, &head, line);
}

/* Puts a copy of a record into a ring, if there is room. */
static bool put_copy(ati_log_core *core, ati_log_ring *ring, const ati_log_record *record,
                     size_t size) {
    bool shared = ring == &core->shared;
    if (shared)
        ati_lock_acquire(&core->shared_lock);
    void *room = ati_byte_ring_reserve_spsc(&ring->ring, size);
    if (room) {
        memcpy(room, record, size);
        ati_byte_ring_commit_spsc(&ring->ring, size);
    }
    if (shared)
        ati_lock_release(&core->shared_lock);
    return room != NULL;
}

/* Waits for room in a ring until `deadline`; true: the record is in. */
static bool put_copy_until(ati_log_core *core, ati_log_ring *ring, const ati_log_record *record,
                           size_t size, at_deadline deadline) {
    for (bool in_time = true; in_time;) {
        /* ORDER log_ring.room_wanted: seq_cst. Comes before the look for room.
         * Pairs with: seq_cst in give_room_back(). If weaker: neither side sees the other, and the
         * thread sleeps until its deadline beside an empty ring. */
        atomic_store_explicit(&ring->room_wanted, 1, memory_order_seq_cst);
        if (put_copy(core, ring, record, size))
            return true;
        ati_log_backend_wake(core, true);
        in_time = ati_futex_wait(&ring->room_wanted, 1, deadline);
    }
    return put_copy(core, ring, record, size);
}

/* How long a line may wait for room. */
static at_duration patience(const ati_log_thread *thread, at_log_level level) {
    if (thread->never_waits || level < AT_LOG_WARN)
        return 0;
    return AT_MILLISECONDS(level == AT_LOG_FATAL ? fatal_wait_ms : warn_wait_ms);
}

/* The way of a line into a ring that is shared, or so full that the longest line has no room. */
static __attribute__((noinline)) bool put_line_by_copy(at_logger *logger, ati_log_ring *ring,
                                                       ati_log_thread *thread,
                                                       const at_log_line *line) {
    union {
        ati_log_record record;
        char bytes[sizeof(ati_log_record) + ATI_LINE_MAX];
    } copy;
    size_t size = encode_record(&copy.record, logger, thread, line);
    if (put_copy(logger->core, ring, &copy.record, size))
        return true;
    at_duration wait = patience(thread, ati_log_counted_level(line->level));
    return wait > 0 &&
           put_copy_until(logger->core, ring, &copy.record, size, ati_monotonic_ns() + wait);
}

static bool put_line(at_logger *logger, ati_log_ring *ring, ati_log_thread *thread,
                     const at_log_line *line) {
    ati_log_core *core = logger->core;
    if (ring != &core->shared) {
        ati_log_record *record =
            ati_byte_ring_reserve_spsc(&ring->ring, sizeof *record + ATI_LINE_MAX);
        if (record) {
            size_t size = encode_record(record, logger, thread, line);
            ati_byte_ring_commit_spsc(&ring->ring, size);
            ati_log_backend_wake(core, ati_byte_ring_half_full_spsc(&ring->ring));
            return true;
        }
    }
    if (!put_line_by_copy(logger, ring, thread, line)) {
        drop(core, ring, line->level);
        return false;
    }
    ati_log_backend_wake(core, true);
    return true;
}

/* The ring for a line, or NULL if callers write themselves. */
static ati_log_ring *find_ring(ati_log_core *core, ati_log_thread *thread) {
    /* ORDER log_core.id: acquire. A thread that sees the new id sees the mode.
     * Pairs with: release in change_mode(). If relaxed: a line goes into a ring that nobody
     * empties any more. */
    uint64_t id = atomic_load_explicit(&core->id, memory_order_acquire);
    ati_log_ring *ring = thread->last;
    if (__builtin_expect(ring != NULL && ring->core_id == id, 1))
        return ring;
    if (atomic_load_explicit(&core->mode, memory_order_relaxed) != ATI_LOG_BY_BACKEND)
        return NULL;
    return ati_log_thread_ring(thread, core, id);
}

/* A fatal line is written when the call returns, if not by the sinks then to stderr. */
static void see_fatal_written(at_logger *logger, ati_log_thread *thread, const at_log_line *line,
                              bool put) {
    at_status status = AT_ERROR_TIMED_OUT;
    if (put && !thread->never_waits)
        status = ati_log_flush(logger->core, ati_monotonic_ns() + AT_MILLISECONDS(fatal_wait_ms));
    if (status != AT_OK)
        ati_log_write_stderr(&thread->line, line);
}

static bool write_line(at_logger *logger, ati_log_thread *thread, const at_log_line *line) {
    ati_log_ring *ring = find_ring(logger->core, thread);
    if (!ring)
        return ati_log_write_direct(logger, thread, line);
    return put_line(logger, ring, thread, line);
}

void at_log_write(at_logger *logger, const at_log_line *line) {
    ATI_CALLER_CHECK(line != NULL, "at_log_write", "`line` is NULL; give the line to write");
    ati_log_thread *thread = &ati_log_thread_current;
    if (thread->busy) { /* a signal handler that interrupted a log call, or the allocator */
        if (logger)
            drop(logger->core, NULL, line->level);
        return;
    }
    int saved_errno = errno;
    thread->busy = true;
    compiler_barrier();
    if (thread->line.length == 0)
        ati_line_thread_init(&thread->line);
    if (!logger) {
        ati_log_write_stderr(&thread->line, line);
    } else {
        bool put = write_line(logger, thread, line);
        if (line->level == AT_LOG_FATAL)
            see_fatal_written(logger, thread, line, put);
    }
    compiler_barrier();
    thread->busy = false;
    errno = saved_errno;
}
