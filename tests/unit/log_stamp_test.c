/* SPDX-License-Identifier: MIT
 *
 * Times of log lines (rule J1), compared with what the C library makes of them. */
#include "support/test.h"

#include "log/stamp.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void check(int64_t second, int64_t nanosecond, ati_stamp_cache *cache) {
    char text[ATI_STAMP_LENGTH + 1];
    char *end = ati_stamp_write(text, second * 1000000000 + nanosecond, cache);
    cr_assert_eq(end - text, ATI_STAMP_LENGTH);
    *end = '\0';
    time_t time = (time_t)second;
    struct tm parts;
    gmtime_r(&time, &parts);
    char date[24];
    char expected[40];
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(expected, sizeof expected, "%s.%06dZ", date, (int)(nanosecond / 1000));
    cr_assert_str_eq(text, expected);
}

Test(log_stamp, known_moments) {
    ati_stamp_cache cache = {0};
    check(0, 0, &cache);
    check(0, 999999999, &cache);
    check(951782399, 1000, &cache);  /* the end of 2000-02-28 */
    check(951782400, 0, &cache);     /* 2000-02-29 */
    check(1709251199, 0, &cache);    /* the end of 2024-02-29 */
    check(4107542400, 5000, &cache); /* 2100-03-01: no leap year */
    check(-1, 500000, &cache);       /* before 1970 */
    check(-86400, 0, &cache);
}

Test(log_stamp, many_moments_in_any_order) {
    ati_stamp_cache cache = {0};
    for (int64_t second = 0; second < 9000000000; second += 7654321)
        check(second, second % 1000000000, &cache);
    for (int64_t second = 9000000000; second > -9000000000; second -= 86399 * 97)
        check(second, 123456789, &cache);
}

Test(log_stamp, second_is_kept_while_it_lasts) {
    ati_stamp_cache cache = {0};
    for (int64_t microsecond = 0; microsecond < 3000000; microsecond += 997)
        check(1700000000 + microsecond / 1000000, microsecond % 1000000 * 1000, &cache);
}
