/* SPDX-License-Identifier: MIT */
#include "log/core.h"

#include "base/barrier.h"
#include "base/clock.h"
#include "base/futex.h"
#include "log/quiet_signals.h"

#include <limits.h>

/* The logger's thread.
 *
 *            lines, half a ring, flush          1 s without a line, nothing kept by a sink
 *   NAPPING <---------------------------> AWAKE ------------------------------------> ASLEEP
 *      (5 to 25 ms)                         ^                                            |
 *                                           +---- line, flush, thread that ends ---------+
 *
 * A nap ends by itself, so callers do not look at it unless their ring is half full. Sleep has no
 * end of its own: the backend announces it in backend_state, then looks at everything that could
 * wake it; a caller writes its line, then looks at backend_state. At least one of them sees the
 * other: the backend, which announces sleep once a second at most, pays for that with the heavy
 * half of an unequal barrier, and the caller with nothing. What is rare, a flush and an end, is in
 * one total order with the announcement (seq_cst). */

enum {
    nap_ms = 5,
    quiet_after_ms = 100, /* without a line, naps become longer: they cost 15 us each */
    quiet_nap_ms = 25,
    shortest_nap_us = 60, /* less than that is not worth a nap */
    first_nap_ns = 1000,  /* what naps grow from when lines stop */
    kept_nap_ms = 100,    /* when a sink fails and nobody logs */
    sleep_after_ms = 1000,
    wanted_fill = 64, /* of 256: naps are so long that rings are a quarter full by then */
};

/* What the backend does, as seen behind everything that the caller did before. */
static uint32_t look_at_state(ati_log_core *core) {
    if (__builtin_expect(!core->barrier_is_unequal, 0))
        /* ORDER log_core.backend_state: seq_cst. In one order with the announcement: the later of
         * the two sees what was done before the earlier.
         * Pairs with: seq_cst in announce(). If weaker: the backend falls asleep beside a line. */
        return atomic_fetch_or_explicit(&core->backend_state, 0, memory_order_seq_cst);
    ati_light_barrier();
    /* ORDER log_core.backend_state: seq_cst. Comes behind the flush or the end that the backend is
     * to see; it comes behind a line by the barrier.
     * Pairs with: seq_cst in announce(). If weaker: the backend naps beside a flush. */
    return atomic_load_explicit(&core->backend_state, memory_order_seq_cst);
}

void ati_log_backend_wake(ati_log_core *core, bool napping_too) {
    uint32_t state = look_at_state(core);
    if (state == ATI_BACKEND_AWAKE || (state == ATI_BACKEND_NAPPING && !napping_too))
        return;
    if (atomic_exchange_explicit(&core->backend_state, ATI_BACKEND_AWAKE, memory_order_relaxed) !=
        ATI_BACKEND_AWAKE)
        ati_futex_wake(&core->backend_state, 1);
}

static uint64_t wanted_flush(ati_log_core *core) {
    /* ORDER log_core.flush_wanted: seq_cst. Lines before the barrier are seen by the merge that
     * follows; and it comes behind the announcement of sleep.
     * Pairs with: seq_cst in ati_log_flush(). If relaxed: the barrier is said to be reached without
     * a line before it. If acquire: the backend falls asleep beside a barrier. */
    return atomic_load_explicit(&core->flush_wanted, memory_order_seq_cst);
}

static bool is_stopping(ati_log_core *core) {
    /* ORDER log_core.stopping: seq_cst. Lines before the end are seen by the merge that follows;
     * and it comes behind the announcement of sleep. Pairs with: seq_cst in stop_backend(). If
     * relaxed: lines are lost. If acquire: the backend sleeps and is waited for. */
    return atomic_load_explicit(&core->stopping, memory_order_seq_cst);
}

static bool is_reopen_wanted(ati_log_core *core) {
    /* ORDER log_core.reopen_wanted: seq_cst. Comes behind the announcement of sleep.
     * Pairs with: seq_cst in at_logger_reopen(). If acquire: the backend falls asleep, and the
     * files stay open. */
    return atomic_load_explicit(&core->reopen_wanted, memory_order_seq_cst);
}

static uint64_t reached_flush(ati_log_core *core) {
    return atomic_load_explicit(&core->flush_reached, memory_order_relaxed);
}

/* Says what the backend is about to do, before it looks at what could wake it. */
static void announce(ati_log_core *core, uint32_t state) {
    /* ORDER log_core.backend_state: seq_cst. Comes before the looks at what could wake the backend.
     * Pairs with: seq_cst in look_at_state(). If weaker: the backend falls asleep beside a line. */
    (void)atomic_exchange_explicit(&core->backend_state, state, memory_order_seq_cst);
    if (state == ATI_BACKEND_ASLEEP && core->barrier_is_unequal)
        ati_heavy_barrier();
}

/* The barrier to wait for. A later one has to wait until this one is reached: what a sink has taken
 * meanwhile is before the later one only. */
static uint64_t hold_flush(ati_log_core *core) {
    core->flush_seen = wanted_flush(core);
    if (core->flush_held == reached_flush(core))
        core->flush_held = core->flush_seen;
    return core->flush_held;
}

/* Naps until `deadline`, or sleeps. */
static void rest(ati_log_core *core, uint32_t state, at_deadline deadline) {
    announce(core, state);
    bool needed = wanted_flush(core) != core->flush_seen || is_stopping(core) ||
                  is_reopen_wanted(core) ||
                  (state == ATI_BACKEND_ASLEEP && !ati_log_merge_idle(core));
    while (!needed && atomic_load_explicit(&core->backend_state, memory_order_relaxed) == state)
        needed = !ati_futex_wait(&core->backend_state, state, deadline);
    atomic_store_explicit(&core->backend_state, ATI_BACKEND_AWAKE, memory_order_relaxed);
}

typedef enum kept_state {
    KEPT_NOTHING,
    KEPT_WAITING, /* a descriptor would block */
    KEPT_REFUSED, /* a sink fails */
} kept_state;

/* Lets the sinks write what they kept; under write_lock. */
static void settle_sinks(ati_log_core *core, bool now) {
    ati_log_reopen_if_wanted(core);
    for (uint32_t i = 0; i < ati_log_sink_count(core); i++)
        core->sinks[i]->kind->settle(core->sinks[i], now);
}

/* Under write_lock. */
static void note_barrier(const ati_log_core *core, ati_log_barrier *barrier) {
    *barrier = (ati_log_barrier){0};
    for (uint32_t i = 0; i < ati_log_sink_count(core); i++)
        barrier->taken[i] = core->sinks[i]->settled + core->sinks[i]->kept;
}

/* What the sinks keep: all, or (`barrier`) what they had taken then; under write_lock. */
static kept_state look_at_kept(const ati_log_core *core, const ati_log_barrier *barrier) {
    kept_state result = KEPT_NOTHING;
    for (uint32_t i = 0; i < ati_log_sink_count(core); i++) {
        const ati_log_sink *sink = core->sinks[i];
        if (sink->kept == 0 || (barrier && sink->settled >= barrier->taken[i]))
            continue;
        if (sink->error_number != 0)
            result = KEPT_REFUSED;
        else if (result == KEPT_NOTHING)
            result = KEPT_WAITING;
    }
    return result;
}

/* A flush behind it has the report too: what asks for one comes before the barrier. */
static bool is_report_wanted(ati_log_core *core) {
    return atomic_load_explicit(&core->report_wanted, memory_order_relaxed) &&
           atomic_exchange_explicit(&core->report_wanted, false, memory_order_relaxed);
}

/* What a round of the backend is for, and what the sinks keep behind it. */
typedef struct round {
    bool stopping;
    bool flushing;
    bool begins_flush; /* the lines before the barrier have come with this round */
    kept_state kept;
    kept_state kept_of_flush;
} round;

/* Settles the sinks and reports, if that is due. The report is before the barrier too. */
static void settle_and_report(ati_log_core *core, round *of, bool report_wanted) {
    bool now = of->flushing || of->stopping;
    ati_lock_acquire(&core->write_lock);
    settle_sinks(core, now);
    if (ati_log_report(core, report_wanted))
        settle_sinks(core, now);
    if (of->begins_flush)
        note_barrier(core, &core->flush_barrier);
    of->kept = look_at_kept(core, NULL);
    of->kept_of_flush = look_at_kept(core, &core->flush_barrier);
    ati_lock_release(&core->write_lock);
}

static void reach_flush(ati_log_core *core, uint64_t flush, bool failed) {
    if (failed)
        atomic_store_explicit(&core->flush_failed, flush, memory_order_relaxed);
    /* ORDER log_core.flush_reached: release. Publishes flush_failed and what the sinks did.
     * Pairs with: acquire in ati_log_flush(). If relaxed: a failed flush looks like a good one. */
    atomic_store_explicit(&core->flush_reached, flush, memory_order_release);
    /* ORDER log_core.flush_changed: release. Comes behind flush_reached.
     * Pairs with: acquire in ati_log_flush(). If relaxed: a caller sleeps after its flush. */
    atomic_fetch_add_explicit(&core->flush_changed, 1, memory_order_release);
    ati_futex_wake(&core->flush_changed, INT_MAX);
}

/* Lets the sinks of a forked child write what they kept. A thread that is cancelled in a write
 * would keep the lock. */
static kept_state settle_alone(ati_log_core *core, ati_log_barrier *barrier, bool begins) {
    int cancel_state;
    ati_quiet_signals quiet;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    ati_quiet_signals_begin(&quiet);
    settle_sinks(core, true);
    if (begins)
        note_barrier(core, barrier);
    kept_state kept = look_at_kept(core, barrier);
    ati_quiet_signals_end(&quiet);
    ati_lock_release(&core->write_lock);
    pthread_setcancelstate(cancel_state, NULL);
    return kept;
}

/* Without a backend: the lines are with the sinks already. */
static at_status flush_alone(ati_log_core *core, at_deadline deadline) {
    ati_log_barrier barrier;
    for (bool begins = true;; begins = false) {
        if (!ati_lock_acquire_until(&core->write_lock, deadline))
            return AT_ERROR_TIMED_OUT;
        kept_state kept = settle_alone(core, &barrier, begins);
        if (kept != KEPT_WAITING)
            return kept == KEPT_NOTHING ? AT_OK : AT_ERROR_IO;
        int64_t now = ati_monotonic_ns();
        if (now >= deadline)
            return AT_ERROR_TIMED_OUT;
        int64_t next = now + AT_MILLISECONDS(nap_ms);
        uint32_t seen = atomic_load_explicit(&core->flush_changed, memory_order_relaxed);
        (void)ati_futex_wait(&core->flush_changed, seen, next < deadline ? next : deadline);
    }
}

at_status ati_log_flush(ati_log_core *core, at_deadline deadline) {
    if (atomic_load_explicit(&core->mode, memory_order_relaxed) == ATI_LOG_FORKED)
        return flush_alone(core, deadline);
    /* ORDER log_core.flush_wanted: seq_cst. The caller's lines come before it; and it comes before
     * the look whether the backend sleeps.
     * Pairs with: seq_cst in wanted_flush(). If relaxed: the barrier overtakes a line. If release:
     * the backend falls asleep beside it. */
    uint64_t ticket = atomic_fetch_add_explicit(&core->flush_wanted, 1, memory_order_seq_cst) + 1;
    ati_log_backend_wake(core, true);
    for (bool in_time = true;;) {
        /* ORDER log_core.flush_changed: acquire. What is read next is not older than it.
         * Pairs with: release in reach_flush(). If relaxed: the caller sleeps after its flush. */
        uint32_t seen = atomic_load_explicit(&core->flush_changed, memory_order_acquire);
        /* ORDER log_core.flush_reached: acquire. Sees flush_failed.
         * Pairs with: release in reach_flush(). If relaxed: a failed flush looks like a good
         * one. */
        if (atomic_load_explicit(&core->flush_reached, memory_order_acquire) >= ticket)
            break;
        if (!in_time)
            return AT_ERROR_TIMED_OUT;
        in_time = ati_futex_wait(&core->flush_changed, seen, deadline);
    }
    bool failed = atomic_load_explicit(&core->flush_failed, memory_order_relaxed) >= ticket;
    return failed ? AT_ERROR_IO : AT_OK;
}

/* The times that the backend goes by. */
typedef struct rhythm {
    int64_t last_merge;
    int64_t last_line;
    at_duration nap; /* the last one, or one that was too short to be taken */
} rhythm;

/* How long the backend naps so that no ring is fuller than wanted_fill by then, if lines come as
 * fast as in the last `elapsed` nanoseconds. A look that finds nothing says little when it comes
 * soon after the last one: the next nap is twice as long, no more. */
static at_duration nap_length(rhythm *times, unsigned fill, at_duration elapsed) {
    at_duration nap = fill == 0 ? 2 * times->nap : elapsed * wanted_fill / fill;
    if (nap > AT_MILLISECONDS(nap_ms))
        nap = AT_MILLISECONDS(nap_ms);
    times->nap = nap > first_nap_ns ? nap : first_nap_ns;
    return nap;
}

/* Rests as long as there is nothing to do. */
static void rest_if_idle(ati_log_core *core, rhythm *times, unsigned fill, round *of) {
    int64_t now = ati_monotonic_ns();
    at_duration nap = nap_length(times, fill, now - times->last_merge);
    times->last_merge = now;
    if (now - times->last_line >= AT_MILLISECONDS(quiet_after_ms) && of->kept != KEPT_WAITING)
        nap = AT_MILLISECONDS(quiet_nap_ms);
    if (now - times->last_line >= AT_MILLISECONDS(sleep_after_ms)) {
        of->begins_flush = false;
        settle_and_report(core, of, true);
        if (of->kept == KEPT_NOTHING) {
            rest(core, ATI_BACKEND_ASLEEP, AT_FOREVER);
            times->last_line = ati_monotonic_ns();
            return;
        }
        nap = AT_MILLISECONDS(of->kept == KEPT_REFUSED ? kept_nap_ms : nap_ms);
    }
    if (nap >= AT_MICROSECONDS(shortest_nap_us))
        rest(core, ATI_BACKEND_NAPPING, now + nap);
}

void *ati_log_backend_run(void *argument) {
    ati_log_core *core = argument;
    ati_log_thread_current.never_waits = true;
    ati_line_thread_init(&core->backend_line);
    rhythm times = {.last_merge = ati_monotonic_ns(), .nap = AT_MILLISECONDS(nap_ms)};
    times.last_line = times.last_merge;
    for (;;) {
        round of = {.stopping = is_stopping(core)};
        uint64_t held_before = core->flush_held;
        uint64_t flush = hold_flush(core);
        of.flushing = flush != reached_flush(core);
        of.begins_flush = flush != held_before;
        unsigned fill;
        uint64_t taken = ati_log_merge(core, &fill);
        settle_and_report(core, &of, of.stopping || is_report_wanted(core));
        if (taken > 0)
            times.last_line = ati_monotonic_ns();
        if (of.flushing && of.kept_of_flush != KEPT_WAITING)
            reach_flush(core, flush, of.kept_of_flush == KEPT_REFUSED);
        if (of.stopping)
            return NULL;
        if (flush == core->flush_seen || flush != reached_flush(core))
            rest_if_idle(core, &times, fill, &of);
    }
}
