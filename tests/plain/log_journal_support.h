/* SPDX-License-Identifier: MIT
 *
 * What the plain programs about the journal share: a folder for one of their own, what is logged,
 * and the entries that have to come of it. */
#ifndef TEST_PLAIN_LOG_JOURNAL_SUPPORT_H
#define TEST_PLAIN_LOG_JOURNAL_SUPPORT_H

#include "plain/log_support.h"

#include <asynctools/asynctools.h>

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { entry_max = 1000 };

static const struct sockaddr_un address = {.sun_family = AF_UNIX,
                                           .sun_path = "/run/systemd/journal/socket"};

/* In a mount space of our own; as nobody's root where we are not root. */
static inline bool make_folder(void) {
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", "/run", "tmpfs", 0, NULL) == 0 && mkdir("/run/systemd", 0755) == 0 &&
           mkdir("/run/systemd/journal", 0755) == 0;
}

static size_t entry_count;
static json_t *entries[entry_max]; /* of each, its fields */

static inline const char *field(const json_t *entry, const char *name) {
    return json_string_value(json_object_get(entry, name));
}

/* A field `NAME=value` and a newline, or `NAME`, newline, length, value, newline. Gives its end. */
static inline const char *read_field(json_t *entry, const char *at, const char *end) {
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    REQUIRE(newline != NULL);
    const char *equals = memchr(at, '=', (size_t)(newline - at));
    char name[64];
    REQUIRE((equals ? equals : newline) - at < (ptrdiff_t)sizeof name);
    snprintf(name, sizeof name, "%.*s", (int)((equals ? equals : newline) - at), at);
    REQUIRE(name[0] && name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_")] == '\0');
    const char *value = equals + 1;
    size_t length = (size_t)(newline - value);
    if (!equals) {
        value = newline + 9;
        length = 0;
        for (int i = 8; i > 0; i--)
            length = length << 8 | (unsigned char)newline[i];
        REQUIRE(length < (size_t)(end - value) && value[length] == '\n');
    }
    REQUIRE(!json_object_get(entry, name));
    REQUIRE(json_object_set_new(entry, name, json_stringn(value, length)) == 0);
    return value + length + 1;
}

static inline void forget_entries(void) {
    while (entry_count > 0)
        json_decref(entries[--entry_count]);
}

static inline void expect_field(size_t number, const char *name, const char *wanted) {
    const char *value = number < entry_count ? field(entries[number], name) : NULL;
    if (!value || !wanted ? value == wanted : strcmp(value, wanted) == 0)
        return;
    fprintf(stderr, "entry %zu: %s is %s, not %s\n", number, name, value ? value : "not there",
            wanted ? wanted : "left out");
    exit(1);
}

static inline void log_one_of_each(at_logger *logger) {
    at_logger *child;
    REQUIRE(at_logger_create_child(&child, logger, &(at_logger_child_options){.name = "http"}) ==
            AT_OK);
    at_log_trace(logger, "level.trace");
    at_log_debug(logger, "level.debug");
    at_log_info(child, "level.info", at_kv("text", "two\nlines"));
    at_log_warn(logger, "level \"warn\"\n\x01\x7f\xc2\x85\xc3\xa4\\");
    at_log_error(logger, "level.error", at_kv("level", "info"), at_kv("trace_id", 1));
    at_log_fatal(logger, "level.fatal");
    AT_OPERATION(operation, "order", .start_level = AT_LOG_OFF, .end_level = AT_LOG_OFF) {
        at_log_info(logger, "inside");
    }
    static char text[3000];
    memset(text, 'x', sizeof text - 1);
    at_log_info(logger, "long", at_kv("a", text), at_kv("b", text), at_kv("c", text));
}

static inline void expect_one_of_each(void) {
    REQUIRE(entry_count == 8);
    static const char *const priorities[] = {"7", "7", "6", "4", "3", "2", "6", "6"};
    for (size_t i = 0; i < entry_count; i++) {
        expect_field(i, "SYSLOG_IDENTIFIER", "shop");
        expect_field(i, "PRIORITY", priorities[i]);
        expect_field(i, "AT_LOGGER", i == 2 ? "shop.http" : "shop");
        if (i != 6)
            expect_field(i, "AT_TRACE_ID", NULL);
    }
    expect_field(0, "AT_EVENT", "level.trace");
    expect_field(3, "AT_EVENT", "level \"warn\"\n\x01\x7f\xc2\x85\xc3\xa4\\");
    expect_field(6, "AT_OPERATION", "order");
    REQUIRE(strlen(field(entries[6], "AT_OPERATION_ID")) == 16);
    REQUIRE(strlen(field(entries[6], "AT_TRACE_ID")) == 32);
    REQUIRE(strlen(field(entries[7], "MESSAGE")) > 6000);
}

#endif
