/* SPDX-License-Identifier: MIT
 *
 * Rule H1: status codes come from one table. */
#include "support/test.h"

#include <asynctools/status.h>

#include <limits.h>
#include <string.h>

static const struct {
    at_status status;
    const char *name;
    const char *text;
} table[] = {
#define ROW(name, value, text) {name, #name, text},
    AT_STATUS_TABLE(ROW)
#undef ROW
};

enum { row_count = sizeof table / sizeof *table };

/* Rules H0, H1. */
Test(status, ok_is_zero_and_errors_are_negative) {
    cr_expect_eq(AT_OK, 0);
    for (int i = 0; i < row_count; i++)
        cr_expect_eq(table[i].status, -i, "%s", table[i].name);
}

/* Rule H1. */
Test(status, names_and_texts_are_those_of_the_table) {
    for (int i = 0; i < row_count; i++) {
        cr_expect_str_eq(at_status_name(table[i].status), table[i].name);
        cr_expect_str_eq(at_status_text(table[i].status), table[i].text);
    }
    cr_expect_str_eq(at_status_name(AT_ERROR_FULL), "AT_ERROR_FULL");
    cr_expect_str_eq(at_status_text(AT_ERROR_FULL), "queue is full");
}

/* Rule H1. */
Test(status, names_and_texts_are_distinct) {
    for (int i = 0; i < row_count; i++)
        for (int j = 0; j < i; j++) {
            cr_expect_str_neq(table[i].name, table[j].name);
            cr_expect_str_neq(table[i].text, table[j].text);
        }
}

/* Rule H1: bad input has a documented answer too. */
Test(status, values_outside_the_table_are_unknown) {
    static const int values[] = {1, 2, -row_count, -row_count - 1, INT_MAX, INT_MIN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        cr_expect_str_eq(at_status_name((at_status)values[i]), "AT_ERROR_UNKNOWN");
        cr_expect_str_eq(at_status_text((at_status)values[i]), "unknown status");
    }
}
