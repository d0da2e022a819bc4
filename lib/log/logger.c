/* SPDX-License-Identifier: MIT */
#include "log/logger.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "log/quiet_pipe.h"

#include <signal.h>
#include <string.h>

enum {
    default_ring_bytes = 64 * 1024,
    least_ring_bytes = 32 * 1024,
    most_ring_bytes = 16 * 1024 * 1024,
    default_max_ring_bytes = 32 * 1024 * 1024,
    most_bytes = 1024 * 1024 * 1024, /* of all rings, and in memory */
    name_room = 160,                 /* for ,"logger":"name" */
};

static _Atomic(at_logger *) default_logger;

/* -- Options -- */

static at_status check_options(const at_logger_options *options) {
    if (options->level < AT_LOG_DEFAULT || options->level > AT_LOG_OFF)
        return ati_fail(AT_ERROR_INVALID, "at_logger_create: `level` %d is not a level",
                        (int)options->level);
    if (options->memory_bytes < 0 || options->memory_bytes > most_bytes)
        return ati_fail(AT_ERROR_INVALID,
                        "at_logger_create: `memory_bytes` is not between 0 and 1 GiB");
    int64_t ring = options->ring_bytes;
    if (ring != 0 && (ring < least_ring_bytes || ring > most_ring_bytes || (ring & (ring - 1))))
        return ati_fail(AT_ERROR_INVALID, "at_logger_create: `ring_bytes` is not a power of two "
                                          "between 32 KiB and 16 MiB");
    if (options->max_ring_bytes < AT_NONE || options->max_ring_bytes > most_bytes)
        return ati_fail(AT_ERROR_INVALID,
                        "at_logger_create: `max_ring_bytes` is not between 0 and 1 GiB");
    if (options->path && !*options->path)
        return ati_fail(AT_ERROR_INVALID, "at_logger_create: `path` is empty");
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "at_logger_create: `reserved` is not zero");
    return AT_OK;
}

static int32_t effective_level(at_log_level level) {
    return (int32_t)(level == AT_LOG_DEFAULT ? AT_LOG_INFO : level);
}

static void set_level(at_logger *logger, at_log_level level) {
    __atomic_store_n(&logger->inline_part.lowest_level, effective_level(level), __ATOMIC_RELAXED);
}

/* -- Create and destroy -- */

static bool add_sink(at_logger *logger, ati_log_sink *sink) {
    if (sink)
        logger->sinks[logger->sink_count++] = sink;
    return sink != NULL;
}

static at_status create_sinks(at_logger *logger, const at_logger_options *options) {
    bool done = true;
    if (options->path)
        done = add_sink(logger, ati_log_sink_file_create(options->path));
    if (done && options->memory_bytes > 0) {
        done = add_sink(logger, ati_log_sink_memory_create((size_t)options->memory_bytes));
        if (done)
            logger->memory = logger->sinks[logger->sink_count - 1];
    }
    if (done && (options->use_stderr || logger->sink_count == 0))
        done = add_sink(logger, ati_log_sink_stderr_create());
    return done ? AT_OK : at_error_status(at_error_last());
}

static at_status allocate_parts(at_logger *logger, const at_logger_options *options) {
    logger->ring_size = (size_t)(options->ring_bytes ? options->ring_bytes : default_ring_bytes);
    int64_t limit = options->max_ring_bytes ? options->max_ring_bytes : default_max_ring_bytes;
    logger->ring_limit = limit == AT_NONE ? 0 : (uint64_t)limit / logger->ring_size;
    bool done = ati_log_ring_init(&logger->shared, logger->ring_size);
    logger->output = done ? ati_allocate(ATI_LOG_OUTPUT_SIZE) : NULL;
    if (logger->output)
        logger->sources = ati_allocate((logger->ring_limit + 1) * sizeof *logger->sources);
    if (logger->sources)
        logger->name_member = ati_allocate(name_room);
    if (!logger->name_member)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_logger_create: no memory for a logger");
    if (options->name)
        logger->name_member_length =
            ati_line_encode_member(logger->name_member, name_room, "logger", options->name);
    return AT_OK;
}

static void free_logger(at_logger *logger) {
    for (uint32_t i = 0; i < logger->sink_count; i++)
        logger->sinks[i]->kind->destroy(logger->sinks[i]);
    ati_release(logger->name_member, name_room);
    ati_release(logger->sources, (logger->ring_limit + 1) * sizeof *logger->sources);
    ati_release(logger->output, ATI_LOG_OUTPUT_SIZE);
    ati_log_ring_deinit(&logger->shared);
    ati_release(logger, sizeof *logger);
}

/* The backend takes no signals but those that say that it is itself broken. SIGPIPE is blocked too:
 * a pipe that nobody reads is a write error like any other. */
static at_status start_backend(at_logger *logger) {
    static const int own_signals[] = {SIGSEGV, SIGBUS, SIGFPE,  SIGILL,
                                      SIGTRAP, SIGSYS, SIGABRT, SIGPROF};
    sigset_t blocked;
    sigset_t before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof own_signals / sizeof *own_signals; i++)
        sigdelset(&blocked, own_signals[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int result = pthread_create(&logger->thread, NULL, ati_log_backend_run, logger);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0)
        return ati_fail(AT_ERROR_SYSTEM, "at_logger_create: cannot start a thread: %s",
                        strerrordesc_np(result));
    pthread_setname_np(logger->thread, "log");
    return AT_OK;
}

/* Everything but the thread. */
static at_status build(at_logger *logger, const at_logger_options *options) {
    set_level(logger, options->level);
    atomic_init(&logger->id, ati_log_new_id());
    at_status status = allocate_parts(logger, options);
    return status == AT_OK ? create_sinks(logger, options) : status;
}

at_status at_logger_create(at_logger **logger, const at_logger_options *options) {
    ATI_CALLER_CHECK(logger != NULL, "at_logger_create",
                     "`logger` is NULL; give the address of the variable to fill");
    static const at_logger_options defaults;
    if (!options)
        options = &defaults;
    at_status status = check_options(options);
    if (status != AT_OK)
        return status;
    if (!ati_log_process_prepare())
        return ati_fail(AT_ERROR_SYSTEM, "at_logger_create: no thread-local storage is left");
    at_logger *made = ati_allocate_aligned(sizeof *made, ATI_CACHE_LINE);
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_logger_create: no memory for a logger");
    memset(made, 0, sizeof *made);
    status = build(made, options);
    if (status == AT_OK)
        status = start_backend(made);
    if (status != AT_OK) {
        free_logger(made);
        return status;
    }
    ati_log_registry_add(made);
    *logger = made;
    return AT_OK;
}

static void stop_backend(at_logger *logger) {
    ATI_CALLER_CHECK(!pthread_equal(pthread_self(), logger->thread), "at_logger_destroy",
                     "called by the logger's own thread; call it elsewhere");
    /* ORDER logger.stopping: seq_cst. The last lines come before it; and it comes before the look
     * whether the backend sleeps.
     * Pairs with: seq_cst in is_stopping(). If relaxed: lines are lost. If release: the backend
     * sleeps and is waited for. */
    atomic_store_explicit(&logger->stopping, true, memory_order_seq_cst);
    ati_log_backend_wake(logger, true);
    pthread_join(logger->thread, NULL);
}

/* Lets a sink write what it kept; says on stderr if lines are lost by that. */
static void finish_sink(at_logger *logger, ati_log_sink *sink) {
    int reason = sink->error_number;
    uint64_t lost_before = ati_counter_read(&sink->lost);
    ati_quiet_pipe quiet;
    ati_quiet_pipe_begin(&quiet);
    sink->kind->finish(sink);
    ati_quiet_pipe_end(&quiet);
    uint64_t lost = ati_counter_read(&sink->lost);
    if (lost == lost_before)
        return;
    if (sink->error_number != 0)
        reason = sink->error_number;
    const at_field fields[] = {
        at_kv_string("sink", sink->kind->name),
        at_kv_unsigned("write_errors", ati_counter_read(&sink->errors)),
        at_kv_unsigned("lost", lost),
        at_kv_string("reason", reason ? strerrordesc_np(reason) : NULL),
    };
    const at_log_line line = {
        .level = AT_LOG_ERROR, .event = "log.lines_lost", .fields = fields, .field_count = 4};
    ati_log_write_stderr(&logger->backend_line, &line);
}

/* Leaves the rings to their threads, or frees them where those have ended. `alone`: in a forked
 * child, whose threads are not there. */
static void leave_rings(at_logger *logger, bool alone) {
    ati_lock_acquire(&ati_log_registry_lock);
    ati_log_ring *ring = atomic_load_explicit(&logger->rings, memory_order_relaxed);
    while (ring) {
        ati_log_ring *next = ring->next_of_logger;
        ati_log_ring_deinit(ring);
        ring->logger = NULL;
        if (alone || atomic_load_explicit(&ring->thread_gone, memory_order_relaxed))
            ati_log_ring_destroy(ring);
        ring = next;
    }
    ati_lock_release(&ati_log_registry_lock);
}

void at_logger_destroy(at_logger *logger) {
    if (!logger)
        return;
    at_logger *expected = logger;
    atomic_compare_exchange_strong_explicit(&default_logger, &expected, NULL, memory_order_relaxed,
                                            memory_order_relaxed);
    ati_log_registry_remove(logger);
    bool forked = atomic_load_explicit(&logger->mode, memory_order_relaxed) == ATI_LOG_FORKED;
    if (!forked)
        stop_backend(logger);
    for (uint32_t i = 0; i < logger->sink_count; i++)
        finish_sink(logger, logger->sinks[i]);
    leave_rings(logger, forked);
    free_logger(logger);
}

/* -- The small calls -- */

at_status at_logger_flush(at_logger *logger, at_deadline deadline) {
    ATI_CALLER_CHECK(logger != NULL, "at_logger_flush", "`logger` is NULL; give a logger");
    at_deadline real = deadline;
    if (deadline != AT_FOREVER && at_clock_current() != at_clock_real()) {
        int64_t left = deadline - at_clock_now(at_clock_current());
        real = left > 0 ? ati_monotonic_ns() + left : 0;
    }
    at_status status = ati_log_flush(logger, real);
    if (status == AT_ERROR_IO)
        return ati_fail(status, "at_logger_flush: a sink refuses lines");
    if (status != AT_OK)
        return ati_fail(status, "at_logger_flush: lines are not written at the deadline");
    return AT_OK;
}

at_status at_logger_set_level(at_logger *logger, at_log_level level) {
    ATI_CALLER_CHECK(logger != NULL, "at_logger_set_level", "`logger` is NULL; give a logger");
    if (level < AT_LOG_DEFAULT || level > AT_LOG_OFF)
        return ati_fail(AT_ERROR_INVALID, "at_logger_set_level: %d is not a level", (int)level);
    set_level(logger, level);
    return AT_OK;
}

at_log_level at_logger_level(const at_logger *logger) {
    ATI_CALLER_CHECK(logger != NULL, "at_logger_level", "`logger` is NULL; give a logger");
    return (at_log_level)__atomic_load_n(&logger->inline_part.lowest_level, __ATOMIC_RELAXED);
}

const char *at_log_level_name(at_log_level level) {
    return ati_level_name((int)level);
}

at_logger *at_logger_default(void) {
    /* ORDER default_logger: acquire. Sees the logger as it was made.
     * Pairs with: release in at_logger_set_default(). If relaxed: the caller reads an unwritten
     * logger. */
    return atomic_load_explicit(&default_logger, memory_order_acquire);
}

void at_logger_set_default(at_logger *logger) {
    /* ORDER default_logger: release. Publishes the logger.
     * Pairs with: acquire in at_logger_default(). If relaxed: a caller reads an unwritten logger.
     */
    atomic_store_explicit(&default_logger, logger, memory_order_release);
}

void at_logger_get_statistics(at_logger *logger, at_logger_statistics *statistics) {
    ATI_CALLER_CHECK(logger != NULL && statistics != NULL, "at_logger_get_statistics",
                     "an argument is NULL; give a logger and the struct to fill");
    memset(statistics, 0, sizeof *statistics);
    statistics->written = ati_counter_read(&logger->written);
    statistics->bytes = ati_counter_read(&logger->bytes);
    for (uint32_t i = 0; i < logger->sink_count; i++) {
        statistics->lost += ati_counter_read(&logger->sinks[i]->lost);
        statistics->write_errors += ati_counter_read(&logger->sinks[i]->errors);
    }
    ati_lock_acquire(&ati_log_registry_lock);
    for (int level = AT_LOG_TRACE; level < AT_LOG_OFF; level++)
        statistics->dropped[level] = ati_log_dropped(logger, (at_log_level)level);
    statistics->ring_count = atomic_load_explicit(&logger->ring_count, memory_order_relaxed);
    ati_lock_release(&ati_log_registry_lock);
}

at_status at_logger_memory_lines(at_logger *logger, char **lines) {
    ATI_CALLER_CHECK(logger != NULL && lines != NULL, "at_logger_memory_lines",
                     "an argument is NULL; give a logger and the variable to fill");
    if (!logger->memory)
        return ati_fail(AT_ERROR_NOT_FOUND, "at_logger_memory_lines: the logger keeps no lines in "
                                            "memory; set `memory_bytes`");
    char *copy = ati_log_sink_memory_lines(logger->memory);
    if (!copy)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_logger_memory_lines: no memory for the lines");
    *lines = copy;
    return AT_OK;
}

void at_logger_memory_release(char *lines) {
    ati_release_text(lines);
}

void at_logger_memory_clear(at_logger *logger) {
    ATI_CALLER_CHECK(logger != NULL, "at_logger_memory_clear", "`logger` is NULL; give a logger");
    if (logger->memory)
        ati_log_sink_memory_clear(logger->memory);
}
