/* SPDX-License-Identifier: MIT */
#include "log/logger.h"

#include "base/clock.h"
#include "base/futex.h"
#include "log/default_logger.h"
#include "log/kept.h"
#include "log/quiet_signals.h"

/* What the process knows of its loggers: the registry, process_fork and exit. */

ati_lock ati_log_registry_lock;
ati_log_core *ati_log_registry_first;

static bool prepared; /* guarded by prepare_lock */
static ati_lock prepare_lock;

static _Atomic uint64_t last_id;

/* The logger that exit is flushing: it may not be destroyed meanwhile. Guarded by the registry's
 * lock; draining_changed is a futex that counts its changes. */
static ati_log_core *draining;
static _Atomic uint32_t draining_changed;
static _Atomic uint32_t hold_count; /* crashes that go through the registry: nobody may leave */

enum {
    exit_wait_ms = 5000, /* for each logger whose sinks are stuck when the process exits */
    exit_lock_ms = 100,  /* and then, if one is stuck inside a write */
};

uint64_t ati_log_new_id(void) {
    return atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
}

void ati_log_registry_add(ati_log_core *core) {
    ati_lock_acquire(&ati_log_registry_lock);
    core->next_core = ati_log_registry_first;
    if (ati_log_registry_first)
        ati_log_registry_first->previous_core = core;
    ati_log_registry_first = core;
    ati_logger_set_levels(core->root);
    ati_lock_release(&ati_log_registry_lock);
}

/* Waits until something changes that keeps a core from leaving; under the registry's lock. */
static void wait_for_change(void) {
    uint32_t seen = atomic_load_explicit(&draining_changed, memory_order_relaxed);
    ati_lock_release(&ati_log_registry_lock);
    ati_futex_wait(&draining_changed, seen, AT_FOREVER);
    ati_lock_acquire(&ati_log_registry_lock);
}

void ati_log_registry_remove(ati_log_core *core) {
    ati_lock_acquire(&ati_log_registry_lock);
    while (draining == core || atomic_load_explicit(&hold_count, memory_order_relaxed) > 0)
        wait_for_change();
    if (core->next_core)
        core->next_core->previous_core = core->previous_core;
    if (core->previous_core)
        core->previous_core->next_core = core->next_core;
    else
        ati_log_registry_first = core->next_core;
    while (core->holders > 0)
        wait_for_change();
    ati_lock_release(&ati_log_registry_lock);
}

ati_log_core *ati_log_core_hold(uint64_t serial) {
    ati_lock_acquire(&ati_log_registry_lock);
    ati_log_core *core = ati_log_registry_first;
    while (core && core->serial != serial)
        core = core->next_core;
    if (core)
        core->holders++;
    ati_lock_release(&ati_log_registry_lock);
    return core;
}

void ati_log_core_let_go(ati_log_core *core) {
    if (!core)
        return;
    ati_lock_acquire(&ati_log_registry_lock);
    bool last = --core->holders == 0;
    atomic_fetch_add_explicit(&draining_changed, last, memory_order_relaxed);
    ati_lock_release(&ati_log_registry_lock);
    if (last)
        ati_futex_wake(&draining_changed, INT32_MAX);
}

void ati_log_registry_hold(at_deadline deadline) {
    bool locked = ati_lock_acquire_until(&ati_log_registry_lock, deadline);
    atomic_fetch_add_explicit(&hold_count, 1, memory_order_relaxed);
    if (locked)
        ati_lock_release(&ati_log_registry_lock);
}

void ati_log_registry_let_go(void) {
    atomic_fetch_sub_explicit(&hold_count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&draining_changed, 1, memory_order_relaxed);
    ati_futex_wake(&draining_changed, INT32_MAX);
}

/* From now on callers write their lines themselves. */
static void change_mode(ati_log_core *core, uint32_t mode) {
    atomic_store_explicit(&core->mode, mode, memory_order_relaxed);
    /* ORDER log_core.id: release. Publishes the mode.
     * Pairs with: acquire in ati_log_find_ring(). If relaxed: a line goes into a ring that nobody
     * empties any more. */
    atomic_store_explicit(&core->id, ati_log_new_id(), memory_order_release);
}

/* Takes a logger that exit has not drained yet; NULL: there is none. */
static ati_log_core *take_undrained(void) {
    ati_lock_acquire(&ati_log_registry_lock);
    ati_log_core *core = ati_log_registry_first;
    while (core && core->exit_drained)
        core = core->next_core;
    if (core)
        core->exit_drained = true;
    draining = core;
    atomic_fetch_add_explicit(&draining_changed, 1, memory_order_relaxed);
    ati_lock_release(&ati_log_registry_lock);
    ati_futex_wake(&draining_changed, INT32_MAX);
    return core;
}

/* Takes write_lock from a backend, or another thread, that may never give it back. */
static bool lock_sinks(ati_log_core *core) {
    return ati_lock_acquire_until(&core->write_lock,
                                  ati_monotonic_ns() + AT_MILLISECONDS(exit_lock_ms));
}

/* Says on stderr what the sinks still have, as nobody may write it any more. */
static void say_what_waits(ati_log_core *core) {
    if (!lock_sinks(core)) {
        const at_field reason = at_kv_string("reason", "a sink takes no lines");
        const at_log_line line = {
            .level = AT_LOG_ERROR, .event = "log.lines_lost", .fields = &reason, .field_count = 1};
        ati_line_thread thread = {0};
        ati_line_thread_init(&thread);
        ati_log_write_stderr(NULL, NULL, &thread, &line);
        return;
    }
    for (uint32_t i = 0; i < ati_log_sink_count(core); i++)
        if (core->sinks[i]->kept > 0)
            ati_log_say_lost(core, core->sinks[i], core->sinks[i]->error_number);
    ati_lock_release(&core->write_lock);
}

/* In a forked child: lines are with the sinks already, and nobody but this thread reports. */
static void report_forked(ati_log_core *core) {
    ati_quiet_signals quiet;
    ati_quiet_signals_begin(&quiet);
    if (lock_sinks(core)) {
        ati_log_report(core, true);
        ati_lock_release(&core->write_lock);
    }
    ati_quiet_signals_end(&quiet);
}

/* A task may exit. Where nobody can take its place the other sinks are still to be waited for. */
static at_status flush(ati_log_core *core, at_deadline deadline) {
    at_status status = ati_log_flush_by_caller(core, deadline);
    return status == AT_ERROR_DEADLOCK ? ati_log_flush(core, deadline) : status;
}

static void drain(ati_log_core *core) {
    at_deadline deadline = ati_monotonic_ns() + AT_MILLISECONDS(exit_wait_ms);
    (void)flush(core, deadline);
    if (atomic_load_explicit(&core->mode, memory_order_relaxed) == ATI_LOG_FORKED) {
        report_forked(core);
    } else {
        change_mode(core, ATI_LOG_AFTER_EXIT);
        atomic_store_explicit(&core->report_wanted, true, memory_order_relaxed);
    }
    /* What came in between, and the report. */
    if (flush(core, deadline) != AT_OK)
        say_what_waits(core);
}

/* Runs when the program or the library ends, after the functions given to atexit. */
static __attribute__((destructor)) void drain_at_exit(void) {
    for (ati_log_core *core; (core = take_undrained());)
        drain(core);
}

/* process_fork: the registry and the memory sinks are held, so that the child finds them whole. The
 * rings and what sinks kept are the parent's: it writes them. */
static void fork_sinks(ati_log_core *core, ati_fork_phase phase) {
    for (uint32_t i = 0; i < ati_log_sink_count(core); i++)
        core->sinks[i]->kind->fork(core->sinks[i], phase);
}

static void before_fork(void) {
    ati_lock_acquire(&ati_log_registry_lock);
    for (ati_log_core *core = ati_log_registry_first; core; core = core->next_core)
        fork_sinks(core, ATI_FORK_PREPARE);
    ati_log_kept_before_fork();
}

static void after_fork_in_parent(void) {
    ati_log_kept_after_fork();
    for (ati_log_core *core = ati_log_registry_first; core; core = core->next_core)
        fork_sinks(core, ATI_FORK_PARENT);
    ati_lock_release(&ati_log_registry_lock);
}

static void after_fork_in_child(void) {
    ati_log_kept_after_fork();
    ati_log_thread_after_fork();
    ati_log_stderr_after_fork();
    for (ati_log_core *core = ati_log_registry_first; core; core = core->next_core) {
        /* Whoever held it is not in this process. */
        atomic_store_explicit(&core->write_lock.state, 0, memory_order_relaxed);
        core->holders = 0;
        core->exit_drained = false;
        ati_default_logger_after_fork(core->root);
        fork_sinks(core, ATI_FORK_CHILD);
        ati_log_report_after_fork(core);
        change_mode(core, ATI_LOG_FORKED);
    }
    draining = NULL;
    prepared = true;
    atomic_store_explicit(&prepare_lock.state, 0, memory_order_relaxed);
    ati_lock_release(&ati_log_registry_lock);
}

bool ati_log_process_prepare(void) {
    ati_lock_acquire(&prepare_lock);
    if (!prepared) {
        ati_stamp_clock_prepare();
        prepared = ati_log_thread_prepare() &&
                   pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
    }
    bool result = prepared;
    ati_lock_release(&prepare_lock);
    return result;
}
