/* SPDX-License-Identifier: MIT */
#include "log/logger.h"

#include "base/check.h"
#include "base/error.h"
#include "log/verbose.h"

/* Which lines a logger writes. Its level is that of the rule with the longest name that is its own
 * or stands before a dot of it; without a rule, its own; without one, that of the nearest parent
 * that has one. A level that was set later than the rules is like a rule for the logger's name; the
 * default then is like a rule that says what the parent's level is.
 * Each logger has the result ready for the test in front of every line; where operations ask for
 * lower levels, that test lets more pass and a second one decides. */

at_logger *ati_logger_next(const at_logger *at, const at_logger *top) {
    if (at->first_child)
        return at->first_child;
    while (at != top && !at->next_sibling)
        at = at->parent;
    return at == top ? NULL : at->next_sibling;
}

static at_log_level work_out_level(const at_logger *logger) {
    const at_logger *newer = logger->by_newer;
    const ati_log_rule *rule =
        ati_log_rules_find(logger->core->rules, logger->name, logger->name_length);
    if (!rule)
        return logger->by_own ? logger->by_own->own_level : AT_LOG_INFO;
    if (!newer || newer->name_length < rule->name_length)
        return rule->level;
    if (newer != logger)
        return at_logger_level(newer);
    if (logger->own_level != AT_LOG_DEFAULT)
        return logger->own_level;
    return logger->parent ? at_logger_level(logger->parent) : AT_LOG_INFO;
}

/* After its parent. */
static void set_level(at_logger *logger) {
    const at_logger *parent = logger->parent;
    bool has_own = logger->own_level != AT_LOG_DEFAULT;
    logger->by_own = has_own ? logger : parent ? parent->by_own : NULL;
    logger->by_newer = logger->own_is_newer ? logger : parent ? parent->by_newer : NULL;
    int32_t level = (int32_t)work_out_level(logger);
    int32_t first = ati_log_verbose_level;
    if (first > level || level == AT_LOG_OFF)
        first = level;
    atomic_store_explicit(&logger->level, level, memory_order_relaxed);
    __atomic_store_n(&logger->inline_part.lowest_level, first, __ATOMIC_RELAXED);
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
    logger->own_is_newer = true;
    ati_logger_set_levels(logger);
    ati_lock_release(&ati_log_registry_lock);
    return AT_OK;
}

at_status at_logger_set_levels(at_logger *logger, const char *levels) {
    ATI_CALLER_CHECK(logger != NULL, "at_logger_set_levels", "`logger` is NULL; give a logger");
    ati_log_rules *rules;
    at_status status = ati_log_rules_create(&rules, levels, "at_logger_set_levels");
    if (status == AT_OK)
        ati_logger_set_rules(logger, rules);
    return status;
}

void ati_logger_set_rules(at_logger *logger, ati_log_rules *rules) {
    ati_log_core *core = logger->core;
    ati_lock_acquire(&ati_log_registry_lock);
    ati_log_rules *before = core->rules;
    core->rules = rules;
    for (at_logger *each = core->root; each; each = ati_logger_next(each, core->root))
        each->own_is_newer = false;
    ati_logger_set_levels(core->root);
    ati_lock_release(&ati_log_registry_lock);
    ati_log_rules_destroy(before);
}

at_log_level at_logger_level(const at_logger *logger) {
    ATI_CALLER_CHECK(logger != NULL, "at_logger_level", "`logger` is NULL; give a logger");
    return (at_log_level)atomic_load_explicit(&logger->level, memory_order_relaxed);
}
