/* SPDX-License-Identifier: MIT */
#include "log/core.h"

#include "base/barrier.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "log/logger.h"
#include "log/quiet_signals.h"

#include <signal.h>
#include <string.h>

enum {
    default_ring_bytes = 256 * 1024,
    default_max_ring_bytes = 64 * 1024 * 1024,
    default_rotate_count = 5,
};

/* -- Create -- */

static bool add_sink(ati_log_core *core, ati_log_sink *sink) {
    if (!sink)
        return false;
    uint32_t count = ati_log_sink_count(core);
    core->sinks[count] = sink;
    /* ORDER log_core.sink_count: release. Publishes the sink.
     * Pairs with: acquire in ati_log_sink_count(). If relaxed: an unwritten pointer is followed. */
    atomic_store_explicit(&core->sink_count, count + 1, memory_order_release);
    return true;
}

bool ati_log_add_sink(at_logger *logger, ati_log_sink *sink) {
    ati_log_core *core = logger->core;
    ati_lock_acquire(&core->write_lock);
    ati_lock_acquire(&ati_log_registry_lock); /* no fork sees half of it */
    bool fits = ati_log_sink_count(core) < ATI_LOG_SINKS_MAX && add_sink(core, sink);
    ati_lock_release(&ati_log_registry_lock);
    ati_lock_release(&core->write_lock);
    return fits;
}

static ati_log_sink *create_file(const at_logger_options *options) {
    int64_t count = options->rotate_count;
    const ati_log_file_options file = {
        .path = options->path,
        .rotate_bytes = options->rotate_bytes == AT_UNLIMITED ? 0 : options->rotate_bytes,
        .rotate_interval = options->rotate_interval == AT_FOREVER ? 0 : options->rotate_interval,
        .rotate_count = count == AT_NONE ? 0
                        : count          ? count
                                         : default_rotate_count,
    };
    return ati_log_sink_file_create(&file);
}

static at_status create_sinks(ati_log_core *core, const at_logger_options *options) {
    bool done = true;
    if (options->path)
        done = add_sink(core, create_file(options));
    if (done && options->descriptor != 0)
        done = add_sink(core, ati_log_sink_descriptor_create(options->descriptor));
    if (done && options->use_journal)
        done = add_sink(core, ati_log_sink_journal_create(options->name));
    if (done && options->memory_bytes > 0) {
        done = add_sink(core, ati_log_sink_memory_create((size_t)options->memory_bytes));
        if (done)
            core->memory = core->sinks[ati_log_sink_count(core) - 1];
    }
    if (done && !options->no_stderr && (options->use_stderr || ati_log_sink_count(core) == 0))
        done = add_sink(core, ati_log_sink_stderr_create());
    return done ? AT_OK : at_error_status(at_error_last());
}

static at_status allocate_parts(ati_log_core *core, const at_logger_options *options) {
    core->barrier_is_unequal = ati_barrier_is_unequal();
    core->ring_size = (size_t)(options->ring_bytes ? options->ring_bytes : default_ring_bytes);
    int64_t limit = options->max_ring_bytes ? options->max_ring_bytes : default_max_ring_bytes;
    core->ring_limit = limit == AT_NONE ? 0 : (uint64_t)limit / core->ring_size;
    bool done = ati_log_ring_init(&core->shared, core->ring_size);
    core->output = done ? ati_allocate(ATI_LOG_OUTPUT_SIZE) : NULL;
    if (core->output)
        core->sources = ati_allocate((core->ring_limit + 1) * sizeof *core->sources);
    if (!core->sources)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_logger_create: no memory for a logger");
    return AT_OK;
}

/* A list that a line may have found is kept, and found again when it is wanted again. */
at_status ati_log_core_redact(ati_log_core *core, const char *call, const char *names) {
    ati_redaction *wanted;
    at_status status = ati_redaction_create(&wanted, call, names);
    if (status != AT_OK)
        return status;
    ati_redaction *unwanted = NULL;
    ati_lock_acquire(&ati_log_registry_lock);
    ati_redaction *known = wanted ? core->redactions : NULL;
    while (known && !ati_redaction_is_same(known, wanted))
        known = known->older;
    if (known) {
        unwanted = wanted;
        wanted = known;
    } else if (wanted) {
        wanted->older = core->redactions;
        core->redactions = wanted;
    }
    /* ORDER log_core.redaction: release. Publishes the names.
     * Pairs with: acquire in ati_logger_redaction(). If relaxed: a caller reads an unwritten list,
     * and writes a secret. */
    atomic_store_explicit(&core->redaction, wanted, memory_order_release);
    ati_lock_release(&ati_log_registry_lock);
    ati_redaction_destroy(unwanted);
    return AT_OK;
}

/* A table that a line may have found stays. */
at_status ati_log_core_sample(ati_log_core *core, const char *call, const ati_sampling_rule *rule) {
    at_status status = ati_sampling_check(rule, call);
    if (status != AT_OK)
        return status;
    ati_sampling *sampling = atomic_load_explicit(&core->sampling, memory_order_relaxed);
    ati_sampling *made = NULL;
    if (!sampling && rule->first > 0) {
        made = ati_sampling_create(rule, ati_coarse_ns());
        if (!made)
            return ati_fail(AT_ERROR_NO_MEMORY, "%s: no memory for sampling", call);
    }
    ati_lock_acquire(&ati_log_registry_lock);
    sampling = atomic_load_explicit(&core->sampling, memory_order_relaxed);
    if (sampling) {
        ati_sampling_set(sampling, rule);
    } else {
        /* ORDER log_core.sampling: release. Publishes the table.
         * Pairs with: acquire in is_left_out(). If relaxed: a caller reads an unwritten table. */
        atomic_store_explicit(&core->sampling, made, memory_order_release);
        made = NULL;
    }
    ati_lock_release(&ati_log_registry_lock);
    ati_sampling_destroy(made);
    return AT_OK;
}

static at_status take_options(ati_log_core *core, const at_logger_options *options) {
    static const char call[] = "at_logger_create";
    const ati_sampling_rule rule = {options->sample_first, options->sample_every,
                                    options->sample_interval};
    at_status status =
        ati_log_rules_create(&core->rules, options->levels, "at_logger_create: `levels`");
    if (status == AT_OK)
        status = ati_log_core_redact(core, call, options->redacted_keys);
    return status == AT_OK ? ati_log_core_sample(core, call, &rule) : status;
}

at_status ati_log_core_create(ati_log_core **core, const at_logger_options *options) {
    ati_log_core *made = ati_allocate_aligned(sizeof *made, ATI_CACHE_LINE);
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_logger_create: no memory for a logger");
    memset(made, 0, sizeof *made);
    made->serial = ati_log_new_id();
    atomic_init(&made->id, made->serial);
    at_status status = allocate_parts(made, options);
    if (status == AT_OK)
        status = take_options(made, options);
    if (status == AT_OK)
        status = create_sinks(made, options);
    if (status == AT_OK)
        *core = made;
    else
        ati_log_core_destroy(made);
    return status;
}

void ati_log_core_destroy(ati_log_core *core) {
    if (!core)
        return;
    for (uint32_t i = 0; i < ati_log_sink_count(core); i++)
        core->sinks[i]->kind->destroy(core->sinks[i]);
    ati_log_rules_destroy(core->rules);
    ati_release(core->sources, (core->ring_limit + 1) * sizeof *core->sources);
    ati_release(core->output, ATI_LOG_OUTPUT_SIZE);
    ati_log_ring_deinit(&core->shared);
    ati_redaction_destroy(core->redactions);
    ati_sampling_destroy(atomic_load_explicit(&core->sampling, memory_order_relaxed));
    ati_release(core, sizeof *core);
}

/* The backend takes no signals but those that say that it is itself broken. SIGPIPE is blocked too:
 * a pipe that nobody reads is a write error like any other. */
static at_status start_backend(ati_log_core *core) {
    static const int own_signals[] = {SIGSEGV, SIGBUS, SIGFPE,  SIGILL,
                                      SIGTRAP, SIGSYS, SIGABRT, SIGPROF};
    sigset_t blocked;
    sigset_t before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof own_signals / sizeof *own_signals; i++)
        sigdelset(&blocked, own_signals[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int result = pthread_create(&core->thread, NULL, ati_log_backend_run, core);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0)
        return ati_fail(AT_ERROR_SYSTEM, "at_logger_create: cannot start a thread: %s",
                        strerrordesc_np(result));
    pthread_setname_np(core->thread, "log");
    return AT_OK;
}

at_status ati_log_core_start(ati_log_core *core, at_logger *root) {
    core->root = root;
    at_status status = start_backend(core);
    if (status == AT_OK)
        ati_log_registry_add(core);
    return status;
}

/* -- Stop -- */

static void stop_backend(ati_log_core *core) {
    ATI_CALLER_CHECK(!pthread_equal(pthread_self(), core->thread), "at_logger_destroy",
                     "called by the logger's own thread; call it elsewhere");
    /* ORDER log_core.stopping: seq_cst. The last lines come before it; and it comes before the look
     * whether the backend sleeps.
     * Pairs with: seq_cst in is_stopping(). If relaxed: lines are lost. If release: the backend
     * sleeps and is waited for. */
    atomic_store_explicit(&core->stopping, true, memory_order_seq_cst);
    ati_log_backend_wake(core, true);
    pthread_join(core->thread, NULL);
}

/* Lets a sink write what it kept; says on stderr if lines are lost by that. */
static void finish_sink(ati_log_core *core, ati_log_sink *sink) {
    int reason = sink->error_number;
    uint64_t lost_before = ati_counter_read(&sink->lost);
    ati_quiet_signals quiet;
    ati_quiet_signals_begin(&quiet);
    sink->kind->finish(sink);
    ati_quiet_signals_end(&quiet);
    if (ati_counter_read(&sink->lost) == lost_before)
        return;
    if (sink->error_number != 0)
        reason = sink->error_number;
    ati_log_say_lost(core, sink, reason);
}

/* Leaves the rings to their threads, or frees them where those have ended. `alone`: in a forked
 * child, whose threads are not there. */
static void leave_rings(ati_log_core *core, bool alone) {
    ati_lock_acquire(&ati_log_registry_lock);
    ati_log_ring *ring = atomic_load_explicit(&core->rings, memory_order_relaxed);
    while (ring) {
        ati_log_ring *next = ring->next_of_core;
        ati_log_ring_deinit(ring);
        ring->core = NULL;
        if (alone || atomic_load_explicit(&ring->thread_gone, memory_order_relaxed))
            ati_log_ring_destroy(ring);
        ring = next;
    }
    ati_lock_release(&ati_log_registry_lock);
}

void ati_log_core_stop(ati_log_core *core) {
    ati_log_registry_remove(core);
    bool forked = atomic_load_explicit(&core->mode, memory_order_relaxed) == ATI_LOG_FORKED;
    if (!forked)
        stop_backend(core);
    for (uint32_t i = 0; i < ati_log_sink_count(core); i++)
        finish_sink(core, core->sinks[i]);
    leave_rings(core, forked);
}
