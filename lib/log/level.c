/* SPDX-License-Identifier: MIT */
#include "log/logger.h"

#include "base/check.h"
#include "base/error.h"

/* Which lines a logger writes: by its own level or by that of the nearest parent that has one. Each
 * logger has the result ready for the test in front of every line. */

at_logger *ati_logger_next(const at_logger *at, const at_logger *top) {
    if (at->first_child)
        return at->first_child;
    while (at != top && !at->next_sibling)
        at = at->parent;
    return at == top ? NULL : at->next_sibling;
}

/* After its parent. */
static void set_level(at_logger *logger) {
    int32_t level = (int32_t)logger->own_level;
    if (level == AT_LOG_DEFAULT)
        level = logger->parent ? logger->parent->inline_part.lowest_level : AT_LOG_INFO;
    __atomic_store_n(&logger->inline_part.lowest_level, level, __ATOMIC_RELAXED);
}

void ati_logger_set_levels(at_logger *top) {
    for (at_logger *logger = top; logger; logger = ati_logger_next(logger, top))
        set_level(logger);
}

at_status at_logger_set_level(at_logger *logger, at_log_level level) {
    ATI_CALLER_CHECK(logger != NULL, "at_logger_set_level", "`logger` is NULL; give a logger");
    if (level < AT_LOG_DEFAULT || level > AT_LOG_OFF)
        return ati_fail(AT_ERROR_INVALID, "at_logger_set_level: %d is not a level", (int)level);
    ati_lock_acquire(&ati_log_registry_lock);
    logger->own_level = level;
    ati_logger_set_levels(logger);
    ati_lock_release(&ati_log_registry_lock);
    return AT_OK;
}

at_log_level at_logger_level(const at_logger *logger) {
    ATI_CALLER_CHECK(logger != NULL, "at_logger_level", "`logger` is NULL; give a logger");
    return (at_log_level)__atomic_load_n(&logger->inline_part.lowest_level, __ATOMIC_RELAXED);
}
