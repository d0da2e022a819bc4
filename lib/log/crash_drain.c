/* SPDX-License-Identifier: MIT */
#include "log/crash_drain.h"

#include "base/clock.h"
#include "log/logger.h"
#include "log/quiet_signals.h"

#include <string.h>

/* What was logged before a crash.
 *
 * The other threads run on while a signal handler runs. So the handler first asks the backend for a
 * flush like everybody else, which is a barrier, in order, and writes nothing twice. It waits with
 * atomics and futexes only.
 *
 * There is no answer if the backend is the thread that crashed, or waits for what that thread has
 * (a lock, memory), or for a sink. Then the handler writes itself, with write(2): what the sinks
 * kept, the batch, and the records of the rings. It changes nothing there, so that a backend that
 * is in the middle of a write does no harm; some lines are then written twice. A record that the
 * backend releases meanwhile is left to it (ati_byte_ring_copy_next). The sinks' lock is kept, so
 * the backend begins no write behind that.
 *
 * A program's alternate stacks may be small, so what is large is static: one thread at a time
 * drains, and it never comes here a second time.
 *
 * Checked by: tests/plain/log_crash_test.c, tests/unit/byte_ring_test.c */

enum {
    all_ms = 3000,     /* for everything; a sink that takes nothing costs this */
    flush_ms = 1000,   /* for the backend of each logger */
    lock_ms = 100,     /* for whoever writes at this moment */
    registry_ms = 100, /* the same */
};

typedef struct crash {
    const at_log_line *line;
    at_deadline deadline;
    ati_line_thread thread; /* the thread's own may be half written */
} crash;

static at_deadline within(at_deadline deadline, int64_t ms) {
    at_deadline then = ati_monotonic_ns() + AT_MILLISECONDS(ms);
    return then < deadline ? then : deadline;
}

static void give_to_sinks(const ati_log_core *core, const char *lines, size_t size,
                          at_deadline deadline) {
    for (uint32_t i = 0; i < ati_log_sink_count(core); i++)
        if (core->sinks[i]->kind->crash)
            core->sinks[i]->kind->crash(core->sinks[i], lines, size, deadline);
}

static void give_ring(const ati_log_core *core, ati_log_ring *ring, at_deadline deadline) {
    static ati_log_copy copy;
    size_t size;
    ati_byte_ring_view view = ati_byte_ring_look_on(&ring->ring);
    while ((size = ati_byte_ring_copy_next(&view, &copy, sizeof copy)) > sizeof copy.record)
        give_to_sinks(core, copy.record.line, size - sizeof copy.record, deadline);
}

static void give_rings(ati_log_core *core, at_deadline deadline) {
    if (core->output_size > 0 && core->output_size <= ATI_LOG_OUTPUT_SIZE)
        give_to_sinks(core, core->output, core->output_size, deadline);
    give_ring(core, &core->shared, deadline);
    /* ORDER log_core.rings: acquire. Sees the rings' bytes and their places in the list.
     * Pairs with: release in create_ring(). If relaxed: pointers are followed that are not there
     * yet. */
    for (ati_log_ring *ring = atomic_load_explicit(&core->rings, memory_order_acquire); ring;
         ring = ring->next_of_core)
        give_ring(core, ring, deadline);
}

static void give_line(ati_log_core *core, crash *it) {
    static char bytes[ATI_LINE_MAX];
    ati_line_head head =
        ati_log_head(core->root, ati_context_current(), &it->thread, ati_stamp_now());
    size_t size = ati_line_encode(bytes, &head, it->line);
    give_to_sinks(core, bytes, size, it->deadline);
}

/* Whether the backend has written what was in the rings, or a sink refuses it. */
static bool flush(ati_log_core *core, at_deadline deadline) {
    if (pthread_equal(pthread_self(), core->thread))
        return false;
    return ati_log_flush(core, within(deadline, flush_ms)) != AT_ERROR_TIMED_OUT;
}

static void drain(ati_log_core *core, crash *it) {
    /* In a forked child, rings and batch are the parent's. */
    bool is_forked = atomic_load_explicit(&core->mode, memory_order_relaxed) == ATI_LOG_FORKED;
    bool is_flushed = !is_forked && flush(core, it->deadline);
    /* Kept for good: a write that began behind this would be cut by the end of the process. */
    (void)ati_lock_acquire_until(&core->write_lock, within(it->deadline, lock_ms));
    give_to_sinks(core, NULL, 0, it->deadline);
    if (!is_forked && !is_flushed)
        give_rings(core, it->deadline);
    give_line(core, it);
}

void ati_log_crash_drain(const at_log_line *line) {
    crash it = {.line = line, .deadline = ati_monotonic_ns() + AT_MILLISECONDS(all_ms)};
    ati_quiet_signals quiet;
    ati_line_thread_init(&it.thread);
    ati_log_registry_hold(within(it.deadline, registry_ms));
    ati_quiet_signals_begin(&quiet);
    for (ati_log_core *core = ati_log_registry_first; core; core = core->next_core)
        drain(core, &it);
    ati_quiet_signals_end(&quiet);
}

void ati_log_crash_flush(at_deadline deadline) {
    ati_log_registry_hold(within(deadline, registry_ms));
    for (ati_log_core *core = ati_log_registry_first; core; core = core->next_core)
        if (atomic_load_explicit(&core->mode, memory_order_relaxed) != ATI_LOG_FORKED)
            (void)flush(core, deadline);
    ati_log_registry_let_go();
}
