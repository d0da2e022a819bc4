/* SPDX-License-Identifier: MIT */
/* Purpose: what operations ask of the first tests of all loggers (verbose.h), so cheap that an
 * operation may begin with it.
 *
 * Fields. asked[level]: how many live operations ask for lines from `level` on; written by any
 * thread. promised: what a thread that adds may rely on, written under the registry's lock.
 * ati_log_verbose_level: what the loggers' first tests are told, under that lock. lowered_at: when
 * it was last lowered, under that lock.
 *
 *            add: promised is too high                      lowest asked level
 *   HIGH  ----------------------------------> LOW            AT_LOG_OFF: none
 *         <----------------------------------
 *            settle: not asked for, a second later
 *
 * Invariants
 *   1. The first test of each logger that is not off lets pass what `promised` says: lowering
 *      writes it when all loggers have been told, raising before the first one is told.
 *   2. Who adds counts, then looks at `promised`; who raises it writes it, then looks at the
 *      counts. One of them sees the other (both are sequentially consistent), and then there is a
 *      walk over the loggers: by the adder, behind the lock, or the raiser takes it back.
 *
 * Progress: an add that finds the level low takes two atomic operations; any other takes the lock.
 * Raising waits for a second, so that operations which come and go do not walk each time.
 *
 * Checked by: tests/unit/log_verbose_test.c, tests/stress/log_verbose_test.c. */
#include "log/verbose.h"

#include "base/clock.h"
#include "log/logger.h"

enum { settle_ms = 1000 };

int32_t ati_log_verbose_level = AT_LOG_OFF;

static _Atomic uint64_t asked[AT_LOG_OFF];
static _Atomic int32_t promised = AT_LOG_OFF;
static int64_t lowered_at;

static bool asks(at_log_level level) {
    return level > AT_LOG_DEFAULT && level < AT_LOG_OFF;
}

static int32_t lowest_asked(void) {
    int32_t level = AT_LOG_TRACE;
    /* ORDER log_verbose.asked: seq_cst. Comes behind the promise that is raised.
     * Pairs with: seq_cst in ati_log_verbose_add(). If weaker: neither side sees the other, and an
     * operation's lines are stopped. */
    while (level < AT_LOG_OFF && atomic_load_explicit(&asked[level], memory_order_seq_cst) == 0)
        level++;
    return level;
}

static int32_t promised_level(void) {
    /* ORDER log_verbose.promised: seq_cst. Comes behind the count of the caller, and sees what the
     * loggers were told.
     * Pairs with: seq_cst in promise(). If weaker: as in lowest_asked(), or a logger still stops
     * the operation's lines. */
    return atomic_load_explicit(&promised, memory_order_seq_cst);
}

static void promise(int32_t level) {
    /* ORDER log_verbose.promised: seq_cst. Lowered, it comes behind what the loggers are told;
     * raised, before the look at the counts.
     * Pairs with: seq_cst in promised_level(). If weaker: as there. */
    atomic_store_explicit(&promised, level, memory_order_seq_cst);
}

static void tell_loggers(int32_t level) {
    ati_log_verbose_level = level;
    for (ati_log_core *core = ati_log_registry_first; core; core = core->next_core)
        ati_logger_set_levels(core->root);
}

static void lower(int32_t level) {
    ati_lock_acquire(&ati_log_registry_lock);
    lowered_at = ati_monotonic_ns();
    if (level < ati_log_verbose_level) {
        tell_loggers(level);
        promise(level);
    }
    ati_lock_release(&ati_log_registry_lock);
}

void ati_log_verbose_add(at_log_level level) {
    if (!asks(level))
        return;
    /* ORDER log_verbose.asked: seq_cst. Comes before the look at what is promised.
     * Pairs with: seq_cst in lowest_asked(). If weaker: as there. */
    atomic_fetch_add_explicit(&asked[level], 1, memory_order_seq_cst);
    if (promised_level() > (int32_t)level)
        lower((int32_t)level);
}

void ati_log_verbose_remove(at_log_level level) {
    if (asks(level))
        atomic_fetch_sub_explicit(&asked[level], 1, memory_order_relaxed);
}

void ati_log_verbose_settle(int64_t now) {
    if (lowest_asked() <= promised_level())
        return;
    ati_lock_acquire(&ati_log_registry_lock);
    int32_t before = ati_log_verbose_level;
    int32_t level = lowest_asked();
    if (level > before && now - lowered_at >= AT_MILLISECONDS(settle_ms)) {
        promise(level);
        int32_t again = lowest_asked();
        if (again < level) { /* somebody came in between, and may rely on what was promised */
            level = again > before ? again : before;
            promise(level);
        }
        if (level > before)
            tell_loggers(level);
    }
    ati_lock_release(&ati_log_registry_lock);
}
