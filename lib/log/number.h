/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_NUMBER_H
#define ASYNCTOOLS_LOG_NUMBER_H

/* Numbers as JSON writes them, whatever the locale. Each gives the end of what it wrote. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    ATI_NUMBER_ROOM = 32, /* no number takes more */
};

extern const char ati_number_two_digits[]; /* "00" to "99" */
extern const uint64_t ati_number_powers[20];

/* Exactly two decimal digits. */
static inline char *ati_number_two(char *to, unsigned value) {
    memcpy(to, ati_number_two_digits + 2 * (size_t)value, 2);
    return to + 2;
}

/* How many decimal digits a number has: its bits tell it but for one. */
static inline unsigned ati_number_digits(uint64_t value) {
    value |= 1; /* 0 has one digit too; no power of ten above 1 is odd */
    unsigned bits = 64 - (unsigned)__builtin_clzll(value);
    unsigned fewest = bits * 1233 >> 12; /* of 2^(bits - 1): 1233 / 4096 is log10(2) */
    return fewest + (value >= ati_number_powers[fewest]);
}

static inline char *ati_number_unsigned(char *to, uint64_t value) {
    char *end = to + ati_number_digits(value);
    for (char *pair = end - 2; value >= 100; pair -= 2) {
        ati_number_two(pair, (unsigned)(value % 100));
        value /= 100;
    }
    if (value >= 10)
        ati_number_two(to, (unsigned)value);
    else
        *to = (char)('0' + value);
    return end;
}

static inline char *ati_number_integer(char *to, int64_t value) {
    uint64_t magnitude = (uint64_t)value;
    if (value < 0) {
        *to++ = '-';
        magnitude = -magnitude;
    }
    return ati_number_unsigned(to, magnitude);
}

/* The shortest digits that read back as `value`, nearly always; always digits that do. A whole
 * number keeps a ".0", NaN and the infinities are the strings "NaN", "Infinity", "-Infinity". */
char *ati_number_double(char *to, double value);

/* 16 lower-case hexadecimal digits. */
char *ati_number_hex(char *to, uint64_t value);

/* Exactly six decimal digits. */
char *ati_number_six(char *to, unsigned value);

#endif
