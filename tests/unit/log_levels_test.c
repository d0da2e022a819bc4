/* SPDX-License-Identifier: MIT
 *
 * Levels by the names of loggers (rule J4): which rule decides, what a text may be. */
#include "support/test.h"

#include <asynctools/log.h>

#include <string.h>

static at_logger *create(const at_logger_options *options) {
    at_logger *logger;
    cr_assert_eq(at_logger_create(&logger, options), AT_OK, "%s",
                 at_error_message(at_error_last()));
    return logger;
}

static at_logger *create_child(at_logger *parent, const char *name, at_log_level level) {
    at_logger *child;
    cr_assert_eq(at_logger_create_child(&child, parent,
                                        &(at_logger_child_options){.name = name, .level = level}),
                 AT_OK);
    return child;
}

static void set_levels(at_logger *logger, const char *levels) {
    cr_assert_eq(at_logger_set_levels(logger, levels), AT_OK, "%s",
                 at_error_message(at_error_last()));
}

static void set_level(at_logger *logger, at_log_level level) {
    cr_assert_eq(at_logger_set_level(logger, level), AT_OK);
}

/* A tree without a name at the root: http, http.client, httpd, db. */
typedef struct tree {
    at_logger *root;
    at_logger *http;
    at_logger *client;
    at_logger *httpd;
    at_logger *db;
} tree;

static tree create_tree(const char *levels) {
    tree made = {.root = create(&(at_logger_options){.levels = levels, .memory_bytes = 10000})};
    made.http = create_child(made.root, "http", AT_LOG_DEFAULT);
    made.client = create_child(made.http, "client", AT_LOG_DEFAULT);
    made.httpd = create_child(made.root, "httpd", AT_LOG_DEFAULT);
    made.db = create_child(made.root, "db", AT_LOG_WARN);
    return made;
}

/* The levels of the tree, by their first letters. */
static const char *levels_of(const tree *of) {
    static char letters[6];
    const at_logger *loggers[] = {of->root, of->http, of->client, of->httpd, of->db};
    for (size_t i = 0; i < 5; i++)
        letters[i] = at_log_level_name(at_logger_level(loggers[i]))[0];
    return letters;
}

Test(log_levels, longest_name_decides) {
    static const struct {
        const char *text;
        const char *levels; /* root, http, http.client, httpd, db (own level: warn) */
    } cases[] = {
        {NULL, "iiiiw"},
        {"", "iiiiw"},
        {" \t", "iiiiw"},
        {"debug", "ddddd"},
        {"http=debug", "iddiw"},
        {"http.client=debug", "iidiw"},
        {"info,http=debug,http.client=off", "idoii"},
        {"http.client=off,http=debug,info", "idoii"},
        {" error , http = trace ", "etteE"},
        {"http=debug,http=error", "ieeiw"},
        {"debug,error", "eeeee"},
        {"db=fatal", "iiiif"},
        {"d=debug,htt=debug,http.=debug,http.clien=debug,.=debug", "iiiiw"},
        {"http.client.more=debug", "iiiiw"},
        {"trace,httpd=fatal", "tttft"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tree set_later = create_tree(NULL);
        set_levels(set_later.root, cases[i].text);
        cr_expect(strcasecmp(levels_of(&set_later), cases[i].levels) == 0, "%s: %s", cases[i].text,
                  levels_of(&set_later));
        at_logger_destroy(set_later.root);
        tree from_options = create_tree(cases[i].text);
        cr_expect(strcasecmp(levels_of(&from_options), cases[i].levels) == 0, "%s: %s",
                  cases[i].text, levels_of(&from_options));
        at_logger_destroy(from_options.root);
    }
}

Test(log_levels, any_of_the_loggers_takes_them) {
    tree made = create_tree(NULL);
    set_levels(made.client, "http=debug,error");
    cr_expect_str_eq(levels_of(&made), "eddee");
    set_levels(made.db, NULL);
    cr_expect_str_eq(levels_of(&made), "iiiiw");
    at_logger_destroy(made.root);
}

Test(log_levels, names_of_a_named_root) {
    at_logger *root = create(&(at_logger_options){
        .name = "shop", .level = AT_LOG_WARN, .levels = "shop.db=debug,db=trace"});
    at_logger *db = create_child(root, "db", AT_LOG_DEFAULT);
    cr_expect_eq(at_logger_level(root), AT_LOG_WARN);
    cr_expect_eq(at_logger_level(db), AT_LOG_DEBUG);
    at_logger_destroy(root);
}

Test(log_levels, other_loggers_are_left_alone) {
    at_logger *one = create(&(at_logger_options){.name = "one"});
    at_logger *two = create(&(at_logger_options){.name = "two"});
    set_levels(one, "two=debug,one=error");
    cr_expect_eq(at_logger_level(one), AT_LOG_ERROR);
    cr_expect_eq(at_logger_level(two), AT_LOG_INFO);
    at_logger_destroy(one);
    at_logger_destroy(two);
}

Test(log_levels, what_is_set_last_decides) {
    tree made = create_tree("http=debug");
    set_level(made.root, AT_LOG_ERROR); /* http has a rule of its own */
    cr_expect_str_eq(levels_of(&made), "eddew");
    set_level(made.http, AT_LOG_TRACE); /* as if it were the rule for http */
    cr_expect_str_eq(levels_of(&made), "ettew");
    set_levels(made.root, "http.client=off");
    cr_expect_str_eq(levels_of(&made), "etoew");
    set_level(made.http, AT_LOG_DEFAULT);
    cr_expect_str_eq(levels_of(&made), "eeoew");
    set_level(made.client, AT_LOG_DEBUG);
    cr_expect_str_eq(levels_of(&made), "eedew");
    set_levels(made.root, "info");
    cr_expect_str_eq(levels_of(&made), "iiiii");
    set_level(made.root, AT_LOG_DEBUG); /* as if it were the rule for all */
    cr_expect_str_eq(levels_of(&made), "ddddd");
    set_levels(made.root, "");
    cr_expect_str_eq(levels_of(&made), "ddddw");
    at_logger_destroy(made.root);
}

Test(log_levels, a_later_default_is_that_of_the_parent) {
    tree made = create_tree("http=debug");
    set_level(made.http, AT_LOG_DEFAULT);
    cr_expect_str_eq(levels_of(&made), "iiiiw");
    set_level(made.root, AT_LOG_ERROR);
    cr_expect_str_eq(levels_of(&made), "eeeew");
    set_level(made.client, AT_LOG_TRACE);
    cr_expect_str_eq(levels_of(&made), "eetew");
    set_levels(made.root, "warn,http=debug,http.client=fatal");
    set_level(made.client, AT_LOG_DEFAULT);
    cr_expect_str_eq(levels_of(&made), "wddww");
    set_level(made.http, AT_LOG_DEFAULT);
    cr_expect_str_eq(levels_of(&made), "wwwww");
    set_level(made.root, AT_LOG_DEFAULT);
    cr_expect_str_eq(levels_of(&made), "iiiii");
    at_logger_destroy(made.root);
}

Test(log_levels, loggers_created_later) {
    at_logger *root = create(&(at_logger_options){0});
    set_levels(root, "http=trace,http.server.request=off");
    at_logger *http = create_child(root, "http", AT_LOG_ERROR);
    at_logger *same = create_child(http, NULL, AT_LOG_FATAL);
    at_logger *request = create_child(http, "server.request", AT_LOG_DEFAULT);
    cr_expect_eq(at_logger_level(http), AT_LOG_TRACE);
    cr_expect_eq(at_logger_level(same), AT_LOG_TRACE);
    cr_expect_eq(at_logger_level(request), AT_LOG_OFF);
    set_level(same, AT_LOG_WARN);
    cr_expect_eq(at_logger_level(same), AT_LOG_WARN);
    cr_expect_eq(at_logger_level(http), AT_LOG_TRACE);
    at_logger_destroy(root);
}

Test(log_levels, bad_texts_are_refused_by_part) {
    static const struct {
        const char *text;
        const char *part;
    } cases[] = {
        {"loud", "\"loud\""},
        {"info,http", "\"http\""},
        {"info,http=", "\"http=\""},
        {"info,http=loud,debug", "\"http=loud\""},
        {"=debug", "\"=debug\""},
        {" = debug", "\"= debug\""},
        {"info,,debug", "\"\""},
        {"info,", "\"\""},
        {",", "\"\""},
        {"=", "\"=\""},
        {"INFO", "\"INFO\""},
        {"information", "\"information\""},
        {"unknown", "\"unknown\""},
        {"\xff\x01=\x7f", "\"\xff\x01=\x7f\""},
    };
    tree made = create_tree("debug");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_error_clear();
        cr_expect_eq(at_logger_set_levels(made.http, cases[i].text), AT_ERROR_INVALID, "%s",
                     cases[i].text);
        const char *message = at_error_text(at_error_last());
        cr_expect_not_null(strstr(message, "at_logger_set_levels: "));
        cr_expect_not_null(strstr(message, cases[i].part), "%s", message);
        cr_expect_str_eq(levels_of(&made), "ddddd", "nothing has changed");
        at_logger *logger = NULL;
        cr_expect_eq(at_logger_create(&logger, &(at_logger_options){.levels = cases[i].text}),
                     AT_ERROR_INVALID);
        cr_expect_null(logger);
        cr_expect_not_null(strstr(at_error_text(at_error_last()), "`levels`"));
    }
    at_logger_destroy(made.root);
    at_error_clear();
}

Test(log_levels, names_of_any_bytes_and_length) {
    static char text[100000];
    tree made = create_tree(NULL);
    memset(text, 'n', sizeof text - 1);
    memcpy(text + sizeof text - 7, "=debug", 6);
    set_levels(made.root, text);
    cr_expect_str_eq(levels_of(&made), "iiiiw");
    memset(text, ' ', sizeof text - 1);
    memcpy(text + 50000, "debug", 5);
    set_levels(made.root, text);
    cr_expect_str_eq(levels_of(&made), "ddddd");
    for (size_t i = 0; i + 5 < sizeof text; i += 6)
        memcpy(text + i, "a=off,", 6);
    memcpy(text + sizeof text - 1 - (sizeof text - 1) % 6 - 6, "error\0", 6);
    set_levels(made.root, text);
    cr_expect_str_eq(levels_of(&made), "eeeee");
    at_logger *odd = create_child(made.root, "a=b \xff", AT_LOG_DEFAULT);
    set_levels(made.root, "a=b \xff=trace");
    cr_expect_eq(at_logger_level(odd), AT_LOG_TRACE);
    at_logger_destroy(made.root);
}
