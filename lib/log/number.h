/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_NUMBER_H
#define ASYNCTOOLS_LOG_NUMBER_H

/* Numbers as JSON writes them, whatever the locale. Each gives the end of what it wrote. */
#include <stdint.h>

enum {
    ATI_NUMBER_ROOM = 32, /* no number takes more */
};

char *ati_number_unsigned(char *to, uint64_t value);
char *ati_number_integer(char *to, int64_t value);

/* The shortest digits that read back as `value`, nearly always; always digits that do. A whole
 * number keeps a ".0", NaN and the infinities are the strings "NaN", "Infinity", "-Infinity". */
char *ati_number_double(char *to, double value);

/* 16 lower-case hexadecimal digits. */
char *ati_number_hex(char *to, uint64_t value);

/* Exactly two and six decimal digits. */
char *ati_number_two(char *to, unsigned value);
char *ati_number_six(char *to, unsigned value);

#endif
