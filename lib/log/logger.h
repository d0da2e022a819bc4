/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_LOGGER_H
#define ASYNCTOOLS_LOG_LOGGER_H

/* The handle that callers have of a logger, and the way of a line from it. */
#include "log/core.h"

/* The loggers of one core are a tree: the root owns the core, each owns its children. */
struct at_logger {
    struct at_inline_logger inline_part; /* the level of the first test */
    _Atomic int32_t level;               /* what is written where no operation has a level */

    /* Written by create. */
    ati_log_core *core;
    ati_member_text name_member; /* ,"logger":"name", in `bytes` */
    ati_member_text fields;      /* those of all lines, encoded, also the parent's; in `bytes` */
    ati_cut_keys *cut;           /* of `fields`; in `bytes`; NULL: nothing */
    at_logger *parent;           /* NULL: the root */
    const char *name;            /* with those of the parents, in `bytes` */
    size_t name_length;
    size_t size; /* of this allocation */

    /* Guarded by the registry's lock. */
    at_logger *first_child;
    at_logger *next_sibling;
    at_logger *previous_sibling;
    uint32_t holders;          /* of the default logger, see default_logger.h */
    at_log_level own_level;    /* AT_LOG_DEFAULT: none */
    bool own_is_newer;         /* than the rules: set by at_logger_set_level */
    const at_logger *by_own;   /* itself or the nearest above it that has a level of its own */
    const at_logger *by_newer; /* the same whose level, or default, is newer than the rules */

    _Alignas(8) char bytes[];
};

/* -- level.c: which lines a logger writes -- */

/* Works out anew the levels of `top` and of all below it; under the registry's lock. */
void ati_logger_set_levels(at_logger *top);

/* Puts rules in the place of those of all loggers that share the sinks of `logger`; takes them. */
void ati_logger_set_rules(at_logger *logger, ati_log_rules *rules);

/* The logger behind `at` in the tree below `top`, parents first; NULL: there is none. Under the
 * registry's lock. */
at_logger *ati_logger_next(const at_logger *at, const at_logger *top);

/* -- write.c: the way of a line -- */

/* at_log_write for what runs under `context` (NULL: under nothing), with more members, encoded as
 * `,"key":value`, in front of those of the line. */
void ati_log_write_in(at_logger *logger, const ati_context *context, const at_log_line *line,
                      ati_member_text members);

/* The head of a line of `logger` and `context` (either may be NULL) at `time`. */
ati_line_head ati_log_head(const at_logger *logger, const ati_context *context,
                           ati_line_thread *thread, int64_t time);

/* What is not to be seen in lines of `logger` (which may be NULL), or NULL. */
const ati_redaction *ati_logger_redaction(const at_logger *logger);

/* A level that lines are counted under. */
static inline at_log_level ati_log_counted_level(at_log_level level) {
    return (unsigned)level < AT_LOG_OFF && level != AT_LOG_DEFAULT ? level : AT_LOG_ERROR;
}

#endif
