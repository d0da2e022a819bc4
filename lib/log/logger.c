/* SPDX-License-Identifier: MIT */
#include "log/logger.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>

enum {
    name_room = 160, /* for ,"logger":"name" */
};

static _Atomic(at_logger *) default_logger;

static int32_t effective_level(at_log_level level) {
    return (int32_t)(level == AT_LOG_DEFAULT ? AT_LOG_INFO : level);
}

static void set_level(at_logger *logger, at_log_level level) {
    __atomic_store_n(&logger->inline_part.lowest_level, effective_level(level), __ATOMIC_RELAXED);
}

/* -- Create and destroy -- */

static void free_handle(at_logger *logger) {
    if (logger)
        ati_release(logger->name_member, name_room);
    ati_release(logger, sizeof *logger);
}

/* The handle alone. NULL: no memory. */
static at_logger *create_handle(const at_logger_options *options) {
    at_logger *made = ati_allocate_zeroed(sizeof *made);
    if (!made)
        return NULL;
    set_level(made, options->level);
    made->name_member = ati_allocate(name_room);
    if (!made->name_member) {
        free_handle(made);
        return NULL;
    }
    if (options->name)
        made->name_member_length =
            ati_line_encode_member(made->name_member, name_room, "logger", options->name);
    return made;
}

at_status at_logger_create(at_logger **logger, const at_logger_options *options) {
    ATI_CALLER_CHECK(logger != NULL, "at_logger_create",
                     "`logger` is NULL; give the address of the variable to fill");
    static const at_logger_options defaults;
    if (!options)
        options = &defaults;
    at_status status = ati_log_check_options(options);
    if (status != AT_OK)
        return status;
    if (!ati_log_process_prepare())
        return ati_fail(AT_ERROR_SYSTEM, "at_logger_create: no thread-local storage is left");
    at_logger *made = create_handle(options);
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_logger_create: no memory for a logger");
    status = ati_log_core_create(&made->core, options);
    if (status == AT_OK)
        status = ati_log_core_start(made->core, made);
    if (status != AT_OK) {
        ati_log_core_destroy(made->core);
        free_handle(made);
        return status;
    }
    *logger = made;
    return AT_OK;
}

void at_logger_destroy(at_logger *logger) {
    if (!logger)
        return;
    at_logger *expected = logger;
    atomic_compare_exchange_strong_explicit(&default_logger, &expected, NULL, memory_order_relaxed,
                                            memory_order_relaxed);
    ati_log_core_stop(logger->core);
    ati_log_core_destroy(logger->core);
    free_handle(logger);
}

/* -- The small calls -- */

at_status at_logger_flush(at_logger *logger, at_deadline deadline) {
    ATI_CALLER_CHECK(logger != NULL, "at_logger_flush", "`logger` is NULL; give a logger");
    at_deadline real = deadline;
    if (deadline != AT_FOREVER && at_clock_current() != at_clock_real()) {
        int64_t left = deadline - at_clock_now(at_clock_current());
        real = left > 0 ? ati_monotonic_ns() + left : 0;
    }
    at_status status = ati_log_flush(logger->core, real);
    if (status == AT_ERROR_IO)
        return ati_fail(status, "at_logger_flush: a sink refuses lines");
    if (status != AT_OK)
        return ati_fail(status, "at_logger_flush: lines are not written at the deadline");
    return AT_OK;
}

void at_logger_reopen(at_logger *logger) {
    ATI_CALLER_CHECK(logger != NULL, "at_logger_reopen", "`logger` is NULL; give a logger");
    int saved_errno = errno;
    /* ORDER log_core.reopen_wanted: seq_cst. What the caller did to the files comes before it; and
     * it comes before the look whether the backend sleeps.
     * Pairs with: seq_cst in ati_log_reopen_if_wanted(), is_reopen_wanted(). If relaxed: the files
     * are opened too early. If release: the backend falls asleep beside it. */
    atomic_store_explicit(&logger->core->reopen_wanted, true, memory_order_seq_cst);
    ati_log_backend_wake(logger->core, true);
    errno = saved_errno;
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
    statistics->written = ati_counter_read(&logger->core->written);
    statistics->bytes = ati_counter_read(&logger->core->bytes);
    for (uint32_t i = 0; i < logger->core->sink_count; i++) {
        statistics->lost += ati_counter_read(&logger->core->sinks[i]->lost);
        statistics->write_errors += ati_counter_read(&logger->core->sinks[i]->errors);
        statistics->rotations += ati_counter_read(&logger->core->sinks[i]->rotations);
        statistics->rotate_errors += ati_counter_read(&logger->core->sinks[i]->move_errors);
    }
    ati_lock_acquire(&ati_log_registry_lock);
    for (int level = AT_LOG_TRACE; level < AT_LOG_OFF; level++)
        statistics->dropped[level] = ati_log_dropped(logger->core, (at_log_level)level);
    statistics->ring_count = atomic_load_explicit(&logger->core->ring_count, memory_order_relaxed);
    ati_lock_release(&ati_log_registry_lock);
}

at_status at_logger_memory_lines(at_logger *logger, char **lines) {
    ATI_CALLER_CHECK(logger != NULL && lines != NULL, "at_logger_memory_lines",
                     "an argument is NULL; give a logger and the variable to fill");
    if (!logger->core->memory)
        return ati_fail(AT_ERROR_NOT_FOUND, "at_logger_memory_lines: the logger keeps no lines in "
                                            "memory; set `memory_bytes`");
    char *copy = ati_log_sink_memory_lines(logger->core->memory);
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
    if (logger->core->memory)
        ati_log_sink_memory_clear(logger->core->memory);
}
