/* SPDX-License-Identifier: MIT */
#include "log/rules.h"

#include "base/error.h"
#include "base/memory.h"
#include "log/encoder.h"

#include <string.h>

/* A part of a text. */
typedef struct part {
    const char *bytes;
    size_t length;
} part;

static part without_spaces(part text) {
    while (text.length > 0 && strchr(" \t\r\n", text.bytes[0])) {
        text.bytes++;
        text.length--;
    }
    while (text.length > 0 && strchr(" \t\r\n", text.bytes[text.length - 1]))
        text.length--;
    return text;
}

/* Takes what is before the next comma from the front of `*text`. */
static part take_part(part *text) {
    const char *comma = memchr(text->bytes, ',', text->length);
    size_t length = comma ? (size_t)(comma - text->bytes) : text->length;
    part taken = {text->bytes, length};
    text->bytes += length + (comma != NULL);
    text->length -= length + (comma != NULL);
    return without_spaces(taken);
}

/* AT_LOG_DEFAULT: it is no level. */
static at_log_level find_level(part text) {
    for (int level = AT_LOG_TRACE; level <= AT_LOG_OFF; level++) {
        const char *name = ati_level_name(level);
        if (strlen(name) == text.length && memcmp(name, text.bytes, text.length) == 0)
            return (at_log_level)level;
    }
    return AT_LOG_DEFAULT;
}

/* Reads `level` or `name=level`; false: it is neither. */
static bool read_rule(ati_log_rule *rule, part text) {
    const char *equals = memrchr(text.bytes, '=', text.length);
    part name = {text.bytes, 0};
    part level = text;
    if (equals) {
        name.length = (size_t)(equals - text.bytes);
        level.bytes = equals + 1;
        level.length = text.length - name.length - 1;
        name = without_spaces(name);
        level = without_spaces(level);
    }
    *rule = (ati_log_rule){name.bytes, name.length, find_level(level)};
    return rule->level != AT_LOG_DEFAULT && (!equals || name.length > 0);
}

static size_t count_parts(const char *text) {
    size_t count = 1;
    for (; (text = strchr(text, ',')); text++)
        count++;
    return count;
}

at_status ati_log_rules_create(ati_log_rules **rules, const char *text, const char *call) {
    *rules = NULL;
    part left = without_spaces((part){text ? text : "", text ? strlen(text) : 0});
    if (left.length == 0)
        return AT_OK;
    size_t count = count_parts(text);
    size_t list_size = count * sizeof(ati_log_rule);
    size_t size = sizeof(ati_log_rules) + list_size + left.length;
    ati_log_rules *made = ati_allocate(size);
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "%s: no memory for the levels", call);
    made->size = size;
    made->count = count;
    char *copy = (char *)made->list + list_size;
    memcpy(copy, left.bytes, left.length);
    left.bytes = copy;
    for (size_t i = 0; i < count; i++) {
        part rule = take_part(&left);
        if (!read_rule(&made->list[i], rule)) {
            at_status status =
                ati_fail(AT_ERROR_INVALID,
                         "%s: \"%.*s\" is neither a level nor name=level; levels are trace, debug, "
                         "info, warn, error, fatal and off",
                         call, (int)(rule.length < 100 ? rule.length : 100), rule.bytes);
            ati_log_rules_destroy(made);
            return status;
        }
    }
    *rules = made;
    return AT_OK;
}

void ati_log_rules_destroy(ati_log_rules *rules) {
    if (rules)
        ati_release(rules, rules->size);
}

static bool applies(const ati_log_rule *rule, const char *name, size_t name_length) {
    size_t length = rule->name_length;
    return length <= name_length && memcmp(rule->name, name, length) == 0 &&
           (length == 0 || length == name_length || name[length] == '.');
}

const ati_log_rule *ati_log_rules_find(const ati_log_rules *rules, const char *name,
                                       size_t name_length) {
    const ati_log_rule *found = NULL;
    for (size_t i = 0; rules && i < rules->count; i++) {
        const ati_log_rule *rule = &rules->list[i];
        if (applies(rule, name, name_length) && (!found || rule->name_length >= found->name_length))
            found = rule;
    }
    return found;
}
