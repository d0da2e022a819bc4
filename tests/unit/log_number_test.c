/* SPDX-License-Identifier: MIT
 *
 * Numbers in log lines (rule J1): they read back as what they were, whatever the locale. */
#include "support/test.h"

#include "log/number.h"

#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(double value) {
    static char text[ATI_NUMBER_ROOM + 1];
    *ati_number_double(text, value) = '\0';
    return text;
}

Test(log_number, integers_at_their_ends) {
    char text[ATI_NUMBER_ROOM + 1];
    *ati_number_integer(text, INT64_MIN) = '\0';
    cr_expect_str_eq(text, "-9223372036854775808");
    *ati_number_integer(text, INT64_MAX) = '\0';
    cr_expect_str_eq(text, "9223372036854775807");
    *ati_number_integer(text, 0) = '\0';
    cr_expect_str_eq(text, "0");
    *ati_number_integer(text, -1) = '\0';
    cr_expect_str_eq(text, "-1");
    *ati_number_unsigned(text, UINT64_MAX) = '\0';
    cr_expect_str_eq(text, "18446744073709551615");
    *ati_number_hex(text, 0x0123456789abcdefu) = '\0';
    cr_expect_str_eq(text, "0123456789abcdef");
}

Test(log_number, integers_of_every_length) {
    uint64_t value = 1;
    for (int digits = 1; digits <= 20; digits++, value = value * 10 + 7) {
        char text[ATI_NUMBER_ROOM + 1];
        *ati_number_unsigned(text, value) = '\0';
        cr_expect_eq(strlen(text), (size_t)digits);
        cr_expect_eq(strtoull(text, NULL, 10), value);
    }
}

Test(log_number, doubles_in_their_forms) {
    cr_expect_str_eq(text_of(0.0), "0.0");
    cr_expect_str_eq(text_of(-0.0), "-0.0");
    cr_expect_str_eq(text_of(1.0), "1.0");
    cr_expect_str_eq(text_of(0.1), "0.1");
    cr_expect_str_eq(text_of(-12.5), "-12.5");
    cr_expect_str_eq(text_of(0.001), "0.001");
    cr_expect_str_eq(text_of(0.000001), "1e-6");
    cr_expect_str_eq(text_of(123.456789), "123.456789");
    cr_expect_str_eq(text_of(1.0 / 3), "0.3333333333333333");
    cr_expect_str_eq(text_of(1e21), "1e21");
    cr_expect_str_eq(text_of(1.5e300), "1.5e300");
    cr_expect_str_eq(text_of(5e-324), "5e-324");
    cr_expect_str_eq(text_of(1.7976931348623157e308), "1.7976931348623157e308");
}

Test(log_number, what_is_no_number_is_a_string) {
    cr_expect_str_eq(text_of(NAN), "\"NaN\"");
    cr_expect_str_eq(text_of(INFINITY), "\"Infinity\"");
    cr_expect_str_eq(text_of(-INFINITY), "\"-Infinity\"");
}

static double random_double(uint64_t *state) {
    double value;
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    uint64_t bits = *state ^ *state >> 29;
    memcpy(&value, &bits, sizeof value);
    return value;
}

Test(log_number, doubles_read_back_as_they_were) {
    uint64_t state = 42;
    for (int i = 0; i < 300000; i++) {
        double value = random_double(&state);
        if (!isfinite(value))
            continue;
        char text[ATI_NUMBER_ROOM + 1];
        char *end = ati_number_double(text, value);
        cr_assert_leq(end - text, ATI_NUMBER_ROOM);
        *end = '\0';
        cr_assert_eq(strtod(text, NULL), value, "%s", text);
    }
    for (int i = 0; i < 300000; i++) {
        double value = i * 0.001;
        cr_assert_eq(strtod(text_of(value), NULL), value);
        cr_assert_eq(strtod(text_of(value / 7000), NULL), value / 7000);
    }
}

Test(log_number, locale_with_a_decimal_comma_changes_nothing) {
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        setlocale(LC_ALL, names[i]);
    cr_expect_str_eq(text_of(0.5), "0.5");
    cr_expect_str_eq(text_of(1.0 / 3), "0.3333333333333333");
}
