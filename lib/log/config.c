/* SPDX-License-Identifier: MIT */
#include <asynctools/log_config.h>

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "log/config_value.h"
#include "log/logger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Options from a file. jansson reads it, and gives lines for what is no JSON; for everything else
 * the line is that of the key, looked up in the text. What a member may be is for at_logger_create
 * to say: its error names the member, and gets the place in front. */

enum {
    file_max = 1024 * 1024,
};

static const struct member {
    const char *key;
    ati_config_kind kind;
    size_t offset;
} members[] = {
    {"name", ATI_CONFIG_TEXT, offsetof(at_logger_options, name)},
    {"level", ATI_CONFIG_LEVEL, offsetof(at_logger_options, level)},
    {"path", ATI_CONFIG_TEXT, offsetof(at_logger_options, path)},
    {"rotate_bytes", ATI_CONFIG_BYTES, offsetof(at_logger_options, rotate_bytes)},
    {"rotate_interval", ATI_CONFIG_DURATION, offsetof(at_logger_options, rotate_interval)},
    {"rotate_count", ATI_CONFIG_COUNT, offsetof(at_logger_options, rotate_count)},
    {"descriptor", ATI_CONFIG_DESCRIPTOR, offsetof(at_logger_options, descriptor)},
    {"use_stderr", ATI_CONFIG_FLAG, offsetof(at_logger_options, use_stderr)},
    {"use_journal", ATI_CONFIG_FLAG, offsetof(at_logger_options, use_journal)},
    {"no_stderr", ATI_CONFIG_FLAG, offsetof(at_logger_options, no_stderr)},
    {"memory_bytes", ATI_CONFIG_BYTES, offsetof(at_logger_options, memory_bytes)},
    {"ring_bytes", ATI_CONFIG_BYTES, offsetof(at_logger_options, ring_bytes)},
    {"max_ring_bytes", ATI_CONFIG_BYTES, offsetof(at_logger_options, max_ring_bytes)},
    {"levels", ATI_CONFIG_LEVELS, offsetof(at_logger_options, levels)},
    {"redacted_keys", ATI_CONFIG_LIST, offsetof(at_logger_options, redacted_keys)},
    {"sample_first", ATI_CONFIG_COUNT, offsetof(at_logger_options, sample_first)},
    {"sample_every", ATI_CONFIG_COUNT, offsetof(at_logger_options, sample_every)},
    {"sample_interval", ATI_CONFIG_DURATION, offsetof(at_logger_options, sample_interval)},
};

enum { member_count = sizeof members / sizeof *members };

/* A file that has been read; the options borrow their texts of it. */
typedef struct config {
    const char *path;
    char *text; /* `size` bytes and a NUL */
    size_t size;
    size_t length; /* of the text */
    json_t *root;
    at_logger_options options;
} config;

static at_status fail_without_memory(const config *it) {
    return ati_fail(AT_ERROR_NO_MEMORY, "%s: no memory", it->path);
}

/* -- The file -- */

static at_status fail_for_file(const char *path, int number) {
    at_status status = AT_ERROR_IO;
    if (number == ENOENT || number == ENOTDIR)
        status = AT_ERROR_NOT_FOUND;
    else if (number == EACCES || number == EPERM)
        status = AT_ERROR_PERMISSION;
    return ati_fail(status, "%s: %s", path, strerrordesc_np(number));
}

static at_status read_all(config *it, int file) {
    size_t length = 0;
    ssize_t count = 1;
    while (length < it->size && count != 0) {
        count = read(file, it->text + length, it->size - length);
        if (count > 0)
            length += (size_t)count;
        else if (count < 0 && errno != EINTR)
            return fail_for_file(it->path, errno);
    }
    if (length > file_max)
        return ati_fail(AT_ERROR_INVALID, "%s: has more than 1 MiB", it->path);
    it->text[length] = '\0';
    it->length = length;
    return AT_OK;
}

/* Anything but a file may have no end, or nobody who writes to it. */
static at_status load_text(config *it) {
    int file = open(it->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0)
        return fail_for_file(it->path, errno);
    struct stat found;
    at_status status = fstat(file, &found) == 0 && S_ISREG(found.st_mode)
                           ? read_all(it, file)
                           : ati_fail(AT_ERROR_IO, "%s: is not a regular file", it->path);
    close(file);
    return status;
}

/* -- Its members -- */

static at_status fail_at_member(const config *it, size_t number, const char *key,
                                const char *what) {
    return ati_fail(AT_ERROR_INVALID, "%s:%d: `%s`: %s", it->path,
                    ati_config_line(it->text, number), key, what);
}

static const struct member *find_member(const char *key) {
    for (size_t i = 0; i < member_count; i++)
        if (strcmp(members[i].key, key) == 0)
            return &members[i];
    return NULL;
}

static at_status read_members(config *it) {
    size_t number = 0;
    const char *key;
    json_t *value;
    json_object_foreach(it->root, key, value) {
        const struct member *member = find_member(key);
        if (!member)
            return fail_at_member(it, number, key, "there is no such option");
        bool has_parts = (member->kind == ATI_CONFIG_LEVELS && json_is_object(value)) ||
                         (member->kind == ATI_CONFIG_LIST && json_is_array(value));
        if (has_parts && !ati_config_join(it->root, key, &value))
            return fail_without_memory(it);
        const char *expected =
            ati_config_read(member->kind, value, (char *)&it->options + member->offset);
        if (expected)
            return fail_at_member(it, number, key, expected);
        number++;
    }
    return AT_OK;
}

static at_status parse(config *it) {
    json_error_t error;
    it->root = json_loadb(it->text, it->length, JSON_REJECT_DUPLICATES, &error);
    if (!it->root && json_error_code(&error) == json_error_out_of_memory)
        return fail_without_memory(it);
    if (!it->root)
        return ati_fail(AT_ERROR_INVALID, "%s:%d: %s", it->path, error.line, error.text);
    if (!json_is_object(it->root))
        return ati_fail(AT_ERROR_INVALID, "%s:1: expected an object", it->path);
    return read_members(it);
}

static at_status open_config(config *it, const char *path) {
    memset(it, 0, sizeof *it);
    it->path = path;
    it->size = file_max + 1;
    it->text = ati_allocate(it->size + 1);
    if (!it->text)
        return fail_without_memory(it);
    at_status status = load_text(it);
    return status == AT_OK ? parse(it) : status;
}

static void close_config(config *it) {
    json_decref(it->root);
    ati_release(it->text, it->size + 1);
}

/* -- Errors of the options themselves -- */

/* The number of the member that stands between the first back quotes of a message; -1: none does.
 */
static int find_named(const config *it, const char *message) {
    const char *begin = strchr(message, '`');
    const char *end = begin ? strchr(begin + 1, '`') : NULL;
    int number = 0;
    const char *key;
    json_t *value;
    if (!end)
        return -1;
    json_object_foreach(it->root, key, value) {
        if (strlen(key) == (size_t)(end - begin - 1) && strncmp(key, begin + 1, strlen(key)) == 0)
            return number;
        number++;
    }
    return -1;
}

/* Puts the place in the file before what another call has said. Gives the status. */
static at_status add_place(const config *it, at_status status) {
    const at_error *said = at_error_last();
    if (!said || status == AT_ERROR_NO_MEMORY)
        return status;
    const char *message = at_error_text(said);
    int number = find_named(it, message);
    if (number < 0)
        return status;
    const char *text = strstr(message, ": ");
    text = text ? text + 2 : message;
    char copy[400]; /* the next error takes the place of this one */
    snprintf(copy, sizeof copy, "%s", text);
    return ati_fail(status, "%s:%d: %s", it->path, ati_config_line(it->text, (size_t)number), copy);
}

/* -- The calls -- */

at_status at_logger_create_from_file(at_logger **logger, const char *path) {
    ATI_CALLER_CHECK(logger != NULL && path != NULL, "at_logger_create_from_file",
                     "an argument is NULL; give the address of the variable to fill and a path");
    config it;
    at_status status = open_config(&it, path);
    if (status == AT_OK) {
        status = at_logger_create(logger, &it.options);
        if (status != AT_OK)
            status = add_place(&it, status);
    }
    close_config(&it);
    return status;
}

/* Whether a logger could be created with these options. */
static at_status check(const config *it) {
    at_status status = ati_log_check_options(&it->options);
    return status == AT_OK ? status : add_place(it, status);
}

/* Rules come behind the level: what is set last counts for the logger's own name. */
static at_status configure(const config *it, at_logger *logger) {
    const ati_sampling_rule rule = {it->options.sample_first, it->options.sample_every,
                                    it->options.sample_interval};
    ati_log_rules *rules = NULL;
    at_status status =
        ati_log_rules_create(&rules, it->options.levels, "at_logger_configure: `levels`");
    if (status == AT_OK)
        status = ati_log_core_sample(logger->core, "at_logger_configure", &rule);
    if (status == AT_OK)
        status =
            ati_log_core_redact(logger->core, "at_logger_configure", it->options.redacted_keys);
    if (status != AT_OK) {
        ati_log_rules_destroy(rules);
        return add_place(it, status);
    }
    status = at_logger_set_level(logger, it->options.level);
    ati_logger_set_rules(logger, rules);
    return status;
}

at_status at_logger_configure(at_logger *logger, const char *path) {
    ATI_CALLER_CHECK(logger != NULL && path != NULL, "at_logger_configure",
                     "an argument is NULL; give a logger and a path");
    config it;
    at_status status = open_config(&it, path);
    if (status == AT_OK)
        status = check(&it);
    if (status == AT_OK)
        status = configure(&it, logger);
    close_config(&it);
    return status;
}
