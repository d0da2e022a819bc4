/* SPDX-License-Identifier: MIT */
#include "log/stamp.h"

#include "log/number.h"

#include <string.h>
#include <time.h>

int64_t ati_stamp_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Days since 1970 to a date: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2013. */
static char *write_date(char *to, int64_t days) {
    days += 719468; /* from 0000-03-01 */
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned day_of_era = (unsigned)(days - era * 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted_month = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    unsigned month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    int64_t year = (int64_t)year_of_era + era * 400 + (month <= 2);
    unsigned shown = year < 0 ? 0 : year > 9999 ? 9999 : (unsigned)year;
    to = ati_number_two(to, shown / 100);
    to = ati_number_two(to, shown % 100);
    *to++ = '-';
    to = ati_number_two(to, month);
    *to++ = '-';
    return ati_number_two(to, day);
}

static void write_second(ati_stamp_cache *cache, int64_t second) {
    int64_t days = second / 86400 - (second % 86400 < 0);
    unsigned of_day = (unsigned)(second - days * 86400);
    char *to = write_date(cache->digits, days);
    *to++ = 'T';
    to = ati_number_two(to, of_day / 3600);
    *to++ = ':';
    to = ati_number_two(to, of_day / 60 % 60);
    *to++ = ':';
    to = ati_number_two(to, of_day % 60);
    *to = '.';
    cache->second = second;
}

char *ati_stamp_write(char *to, int64_t time, ati_stamp_cache *cache) {
    int64_t second = time / 1000000000 - (time % 1000000000 < 0);
    if (second != cache->second || !cache->digits[0])
        write_second(cache, second);
    memcpy(to, cache->digits, sizeof cache->digits);
    unsigned nanoseconds = (unsigned)(time - second * 1000000000);
    to = ati_number_six(to + sizeof cache->digits, nanoseconds / 1000);
    *to++ = 'Z';
    return to;
}
