/* SPDX-License-Identifier: MIT */
#include "log/default_logger.h"

#include "base/futex.h"
#include "log/logger.h"

static _Atomic(at_logger *) default_logger;

/* A futex that changes when a logger is given back. */
static _Atomic uint32_t given_back;

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

/* Whoever destroys a logger has set another default before, or does so under the lock: who takes
 * the logger has the lock before that, and is waited for, or sees the other one. */
at_logger *ati_default_logger_take(void) {
    ati_lock_acquire(&ati_log_registry_lock);
    at_logger *logger = at_logger_default();
    if (logger)
        logger->holders++;
    ati_lock_release(&ati_log_registry_lock);
    return logger;
}

void ati_default_logger_give_back(at_logger *logger) {
    if (!logger)
        return;
    ati_lock_acquire(&ati_log_registry_lock);
    bool last = --logger->holders == 0;
    atomic_fetch_add_explicit(&given_back, last, memory_order_relaxed);
    ati_lock_release(&ati_log_registry_lock);
    if (last)
        ati_futex_wake(&given_back, INT32_MAX);
}

static bool is_below(const at_logger *logger, const at_logger *top) {
    while (logger && logger != top)
        logger = logger->parent;
    return logger;
}

static bool is_held(at_logger *top) {
    at_logger *logger = top;
    while (logger && logger->holders == 0)
        logger = ati_logger_next(logger, top);
    return logger;
}

void ati_default_logger_forget(at_logger *top) {
    ati_lock_acquire(&ati_log_registry_lock);
    at_logger *logger = atomic_load_explicit(&default_logger, memory_order_relaxed);
    if (is_below(logger, top))
        atomic_compare_exchange_strong_explicit(&default_logger, &logger, NULL,
                                                memory_order_relaxed, memory_order_relaxed);
    while (is_held(top)) {
        uint32_t seen = atomic_load_explicit(&given_back, memory_order_relaxed);
        ati_lock_release(&ati_log_registry_lock);
        ati_futex_wait(&given_back, seen, AT_FOREVER);
        ati_lock_acquire(&ati_log_registry_lock);
    }
    ati_lock_release(&ati_log_registry_lock);
}

void ati_default_logger_after_fork(at_logger *top) {
    for (at_logger *logger = top; logger; logger = ati_logger_next(logger, top))
        logger->holders = 0;
}
