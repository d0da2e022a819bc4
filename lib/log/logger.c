/* SPDX-License-Identifier: MIT */
#include "log/logger.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "log/default_logger.h"

#include <errno.h>
#include <string.h>

enum {
    name_max = 128,                  /* with those of the parents */
    name_room = 26 * ATI_LINE_CHUNK, /* for ,"logger":"name", six bytes for each of the name */
    fields_max = 2048,               /* of a child, with those of its parents, encoded */
};

/* -- Create -- */

/* What a logger is made of. */
typedef struct parts {
    at_logger *parent;
    const char *name; /* NULL: that of the parent */
    at_log_level level;
    ati_member_text fields; /* encoded, those of the parent too */
    ati_cut_keys cut;
} parts;

/* Copies `size` bytes to *at, and moves *at behind them. */
static char *copy(char **at, const char *bytes, size_t size) {
    char *to = *at;
    if (size > 0)
        memcpy(to, bytes, size);
    *at = to + size;
    return to;
}

/* Writes the name, behind that of the parent. */
static void set_name(at_logger *made, const parts *of, char **at) {
    const at_logger *parent = of->parent;
    made->name = *at;
    if (parent)
        copy(at, parent->name, parent->name_length);
    if (of->name && parent && parent->name_length > 0)
        copy(at, ".", 1);
    if (of->name)
        copy(at, of->name, strlen(of->name));
    made->name_length = (size_t)(*at - made->name);
    copy(at, "", 1);
    made->name_member.bytes = *at;
    if (of->name || (parent && parent->name_member.length > 0))
        made->name_member.length = ati_line_encode_member(*at, name_room, "logger", made->name);
    *at += made->name_member.length;
}

/* A logger that is in no tree yet. NULL: no memory. */
static at_logger *make(const parts *of) {
    size_t name_size = (of->parent ? of->parent->name_length : 0) + 1 +
                       (of->name ? strlen(of->name) : 0) + 1 + name_room;
    size_t size = sizeof(at_logger) + sizeof(ati_cut_keys) + name_size + of->fields.length +
                  of->cut.keys.length;
    at_logger *made = ati_allocate_aligned(size, ATI_CACHE_LINE);
    if (!made)
        return NULL;
    memset(made, 0, sizeof *made);
    made->size = size;
    made->parent = of->parent;
    made->own_level = of->level;
    char *at = made->bytes;
    if (of->cut.count > 0) {
        made->cut = (ati_cut_keys *)copy(&at, (const char *)&of->cut, sizeof of->cut);
        made->cut->keys.bytes = copy(&at, of->cut.keys.bytes, of->cut.keys.length);
    }
    set_name(made, of, &at);
    made->fields.bytes = copy(&at, of->fields.bytes, of->fields.length);
    made->fields.length = of->fields.length;
    return made;
}

/* For `call`; `parent` may be NULL. */
static at_status check_name(const char *call, const at_logger *parent, const char *name) {
    if (name && !*name)
        return ati_fail(AT_ERROR_INVALID, "%s: `name` is empty", call);
    size_t prefix = parent && parent->name_length > 0 ? parent->name_length + 1 : 0;
    if (name && prefix + strlen(name) > name_max)
        return ati_fail(AT_ERROR_INVALID,
                        "%s: `name` has more than %d bytes, with those of the parents", call,
                        name_max);
    return AT_OK;
}

at_status at_logger_create(at_logger **logger, const at_logger_options *options) {
    ATI_CALLER_CHECK(logger != NULL, "at_logger_create",
                     "`logger` is NULL; give the address of the variable to fill");
    static const at_logger_options defaults;
    if (!options)
        options = &defaults;
    at_status status = check_name("at_logger_create", NULL, options->name);
    if (status == AT_OK)
        status = ati_log_check_options(options);
    if (status != AT_OK)
        return status;
    if (!ati_log_process_prepare())
        return ati_fail(AT_ERROR_SYSTEM, "at_logger_create: no thread-local storage is left");
    at_logger *made = make(&(parts){.name = options->name, .level = options->level});
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_logger_create: no memory for a logger");
    status = ati_log_core_create(&made->core, options);
    if (status == AT_OK)
        status = ati_log_core_start(made->core, made);
    if (status != AT_OK) {
        ati_log_core_destroy(made->core);
        ati_release(made, made->size);
        return status;
    }
    *logger = made;
    return AT_OK;
}

static at_status check_child_options(const at_logger_child_options *options) {
    if (options->level < AT_LOG_DEFAULT || options->level > AT_LOG_OFF)
        return ati_fail(AT_ERROR_INVALID, "at_logger_create_child: `level` %d is not a level",
                        (int)options->level);
    if (options->field_count < 0 || (options->field_count > 0 && !options->fields))
        return ati_fail(AT_ERROR_INVALID,
                        "at_logger_create_child: `field_count` is not the number of `fields`");
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "at_logger_create_child: `reserved` is not zero");
    return AT_OK;
}

/* NULL: no memory. */
static at_logger *make_child(at_logger *parent, const at_logger_child_options *options) {
    char buffer[fields_max + ATI_KEY_SUFFIX_ROOM];
    ati_members members;
    ati_members_init(&members, buffer, sizeof buffer, NULL);
    if (parent->fields.length > 0)
        ati_members_add_encoded(&members, parent->fields);
    members.limit -= ATI_KEY_SUFFIX_ROOM; /* which the parent's fields must have, to fit again */
    if (parent->cut)
        ati_members_note_cut_keys(&members, parent->cut);
    ati_members_keep_room(&members, options->fields, (size_t)options->field_count);
    ati_members_add(&members, options->fields, (size_t)options->field_count);
    const parts of = {
        .parent = parent,
        .name = options->name,
        .level = options->level,
        .fields = {buffer, (size_t)(members.at - buffer)},
        .cut = ati_members_cut_keys(&members),
    };
    return make(&of);
}

static void enter_tree(at_logger *child) {
    at_logger *parent = child->parent;
    ati_lock_acquire(&ati_log_registry_lock);
    child->next_sibling = parent->first_child;
    if (parent->first_child)
        parent->first_child->previous_sibling = child;
    parent->first_child = child;
    ati_logger_set_levels(child);
    ati_lock_release(&ati_log_registry_lock);
}

at_status at_logger_create_child(at_logger **child, at_logger *parent,
                                 const at_logger_child_options *options) {
    ATI_CALLER_CHECK(child != NULL && parent != NULL, "at_logger_create_child",
                     "an argument is NULL; give the variable to fill and the parent");
    static const at_logger_child_options defaults;
    if (!options)
        options = &defaults;
    at_status status = check_name("at_logger_create_child", parent, options->name);
    if (status == AT_OK)
        status = check_child_options(options);
    if (status != AT_OK)
        return status;
    at_logger *made = make_child(parent, options);
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_logger_create_child: no memory for a logger");
    made->core = parent->core;
    enter_tree(made);
    *child = made;
    return AT_OK;
}

/* -- Destroy -- */

/* Takes a logger without children out of its tree. */
static void leave_tree(at_logger *logger) {
    ati_lock_acquire(&ati_log_registry_lock);
    if (logger->next_sibling)
        logger->next_sibling->previous_sibling = logger->previous_sibling;
    if (logger->previous_sibling)
        logger->previous_sibling->next_sibling = logger->next_sibling;
    else if (logger->parent)
        logger->parent->first_child = logger->next_sibling;
    ati_lock_release(&ati_log_registry_lock);
}

/* Frees `top` and all below it, the children first. */
static void free_tree(at_logger *top) {
    at_logger *logger = top;
    for (bool done = false; !done;) {
        while (logger->first_child)
            logger = logger->first_child;
        at_logger *parent = logger->parent;
        done = logger == top;
        leave_tree(logger);
        ati_release(logger, logger->size);
        logger = parent;
    }
}

void at_logger_destroy(at_logger *logger) {
    if (!logger)
        return;
    ati_default_logger_forget(logger);
    ati_log_core *core = logger->parent ? NULL : logger->core;
    if (core)
        ati_log_core_stop(core);
    free_tree(logger);
    ati_log_core_destroy(core);
}

/* -- The small calls -- */

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

const char *at_log_level_name(at_log_level level) {
    return ati_level_name((int)level);
}

void at_logger_get_statistics(at_logger *logger, at_logger_statistics *statistics) {
    ATI_CALLER_CHECK(logger != NULL && statistics != NULL, "at_logger_get_statistics",
                     "an argument is NULL; give a logger and the struct to fill");
    memset(statistics, 0, sizeof *statistics);
    statistics->written = ati_counter_read(&logger->core->written);
    statistics->bytes = ati_counter_read(&logger->core->bytes);
    for (uint32_t i = 0; i < ati_log_sink_count(logger->core); i++) {
        statistics->lost += ati_counter_read(&logger->core->sinks[i]->lost);
        statistics->write_errors += ati_counter_read(&logger->core->sinks[i]->errors);
        statistics->rotations += ati_counter_read(&logger->core->sinks[i]->rotations);
        statistics->rotate_errors += ati_counter_read(&logger->core->sinks[i]->move_errors);
    }
    for (int level = AT_LOG_TRACE; level < AT_LOG_OFF; level++)
        statistics->sampled +=
            atomic_load_explicit(&logger->core->sampled[level], memory_order_relaxed);
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
