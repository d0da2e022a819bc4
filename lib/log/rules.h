/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_RULES_H
#define ASYNCTOOLS_LOG_RULES_H

/* Levels by the names of loggers: "info,http=debug,http.client=off". */
#include <asynctools/log.h>

#include <stddef.h>

/* Decides for the loggers of this name and below it; without a name, for all. */
typedef struct ati_log_rule {
    const char *name; /* in the text, not terminated */
    size_t name_length;
    at_log_level level;
} ati_log_rule;

typedef struct ati_log_rules {
    size_t size; /* of this allocation */
    size_t count;
    ati_log_rule list[]; /* then the text */
} ati_log_rules;

/* Reads `text` for `call`, the public call or option that it is given to. NULL or a text without
 * rules gives NULL. AT_OK, or the error slot names the part that is wrong. */
at_status ati_log_rules_create(ati_log_rules **rules, const char *text, const char *call);
void ati_log_rules_destroy(ati_log_rules *rules); /* NULL is allowed */

/* The rule for a logger: that with the longest name, the last one of equals. NULL: none. `rules`
 * may be NULL. */
const ati_log_rule *ati_log_rules_find(const ati_log_rules *rules, const char *name,
                                       size_t name_length);

#endif
