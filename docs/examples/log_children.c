/* SPDX-License-Identifier: MIT */
/* A logger for each part of a program, all with one thread and one file. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

/* A logger for a part of `parent`. */
static at_logger *create_part(at_logger *parent, const char *name) {
    const at_logger_child_options options = {.name = name};
    at_logger *part;
    expect(at_logger_create_child(&part, parent, &options) == AT_OK, name);
    return part;
}

int main(void) {
    at_logger *shop;
    const at_logger_options options = {.name = "shop", .memory_bytes = 65536};
    expect(at_logger_create(&shop, &options) == AT_OK, "a logger");
    at_logger *orders = create_part(shop, "orders");
    at_logger *http = create_part(shop, "http");
    at_logger *client = create_part(http, "client");

    /* A child has the level of its parent, until it gets one of its own. */
    expect(at_logger_set_level(http, AT_LOG_DEBUG) == AT_OK, "a level for http");
    at_log_debug(orders, "order.read"); /* not written */
    at_log_debug(client, "http_request.sent", at_kv("bytes", 512));
    at_log_info(orders, "order.placed", at_kv("items", 3));

    /* Levels by name, as they may come from a configuration: the longest name that fits decides. */
    expect(at_logger_set_levels(shop, "warn,shop.http=debug,shop.http.client=off") == AT_OK,
           "levels by name");
    at_log_info(orders, "order.paid");           /* below warn */
    at_log_debug(http, "http_request.received"); /* written */
    at_log_error(client, "http_request.failed"); /* off */
    expect(at_logger_level(orders) == AT_LOG_WARN, "the level of all others");

    /* What all lines of a connection have is encoded once. */
    const at_field of_connection[] = {at_kv("connection", 17), at_kv("peer", "10.0.0.7")};
    const at_logger_child_options with_fields = {.fields = of_connection, .field_count = 2};
    at_logger *connection;
    expect(at_logger_create_child(&connection, http, &with_fields) == AT_OK, "its logger");
    at_log_info(connection, "connection.opened", at_kv("port", 443));
    at_logger_destroy(connection);

    /* A part that ends before the program takes its logger with it. */
    at_logger_destroy(http); /* and with it `client` */

    char *lines;
    expect(at_logger_flush(shop, at_after(AT_SECONDS(30))) == AT_OK, "all lines written");
    expect(at_logger_memory_lines(shop, &lines) == AT_OK, "the lines");
    fputs(lines, stdout);
    expect(strstr(lines, "\"logger\":\"shop.http.client\""), "the name of the client");
    expect(!strstr(lines, "order.read"), "no line below the level");
    expect(strstr(lines, "http_request.received") && !strstr(lines, "http_request.failed"),
           "levels by name");
    expect(strstr(lines, "\"connection\":17,\"peer\":\"10.0.0.7\",\"port\":443"), "its fields");
    at_logger_memory_release(lines);
    at_logger_destroy(shop); /* and with it `orders` */
    return 0;
}
