/* SPDX-License-Identifier: MIT */
#include "log/number.h"

#include "log/number_powers.h"

#include <stdbool.h>
#include <string.h>

const char ati_number_two_digits[] = "00010203040506070809101112131415161718192021222324"
                                     "25262728293031323334353637383940414243444546474849"
                                     "50515253545556575859606162636465666768697071727374"
                                     "75767778798081828384858687888990919293949596979899";

char *ati_number_six(char *to, unsigned value) {
    to = ati_number_two(to, value / 10000);
    to = ati_number_two(to, value / 100 % 100);
    return ati_number_two(to, value % 100);
}

static char *write_three(char *to, unsigned value) {
    *to++ = (char)('0' + value / 100);
    return ati_number_two(to, value % 100);
}

const uint64_t ati_number_powers[20] = {1u,
                                        10u,
                                        100u,
                                        1000u,
                                        10000u,
                                        100000u,
                                        1000000u,
                                        10000000u,
                                        100000000u,
                                        1000000000u,
                                        10000000000u,
                                        100000000000u,
                                        1000000000000u,
                                        10000000000000u,
                                        100000000000000u,
                                        1000000000000000u,
                                        10000000000000000u,
                                        100000000000000000u,
                                        1000000000000000000u,
                                        10000000000000000000u};

char *ati_number_hex(char *to, uint64_t value) {
    for (int shift = 60; shift >= 0; shift -= 4)
        *to++ = "0123456789abcdef"[(value >> shift) & 15];
    return to;
}

/* Grisu2: F. Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with Integers",
 * PLDI 2010. A number is significand * 2^exponent; it is multiplied by a power of ten that brings
 * the exponent into a fixed range, and digits are made until what is left is within the interval of
 * numbers that round to the same double. */

typedef struct scaled {
    uint64_t significand;
    int exponent;
} scaled;

/* The digits of a double: value = digits * 10^exponent. */
typedef struct decimal {
    char digits[20];
    int length;
    int exponent;
} decimal;

static scaled multiply(scaled a, scaled b) {
    unsigned __int128 product = (unsigned __int128)a.significand * b.significand;
    uint64_t high = (uint64_t)(product >> 64) + (uint64_t)((product >> 63) & 1);
    return (scaled){high, a.exponent + b.exponent + 64};
}

static scaled normalize(scaled a) {
    int zeros = __builtin_clzll(a.significand);
    return (scaled){a.significand << zeros, a.exponent - zeros};
}

static scaled split(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    int biased = (int)(bits >> 52 & 0x7ff);
    uint64_t fraction = bits & 0xfffffffffffffu;
    if (biased == 0)
        return (scaled){fraction, -1074};
    return (scaled){fraction | (uint64_t)1 << 52, biased - 1075};
}

/* A power of ten that brings a normalized number of `exponent` to exponents of -60 to -32; its
 * negated decimal exponent goes to *decimal_exponent. */
static scaled cached_power(int exponent, int *decimal_exponent) {
    double estimate = (-61 - exponent) * 0.30102999566398114 + 347;
    int k = (int)estimate;
    if (estimate - k > 0)
        k++;
    int index = (k >> 3) + 1;
    *decimal_exponent = -(first_power + index * power_step);
    return (scaled){powers[index].significand, powers[index].exponent};
}

/* Brings the last digit nearer to the number itself while staying in the interval. */
static void round_last(decimal *result, uint64_t delta, uint64_t rest, uint64_t unit,
                       uint64_t distance) {
    while (rest < distance && delta - rest >= unit &&
           (rest + unit < distance || distance - rest > rest + unit - distance)) {
        result->digits[result->length - 1]--;
        rest += unit;
    }
}

/* Makes the digits of `high`, as few as the interval `delta` below it allows; `distance` is from
 * the number itself to `high`. */
static void make_digits(decimal *result, scaled high, uint64_t delta, uint64_t distance) {
    int shift = -high.exponent;
    uint64_t one = (uint64_t)1 << shift;
    uint32_t whole = (uint32_t)(high.significand >> shift);
    uint64_t fraction = high.significand & (one - 1);
    int kappa = 1;
    while (kappa < 10 && whole >= ati_number_powers[kappa])
        kappa++;
    while (kappa > 0) {
        kappa--;
        uint32_t power = (uint32_t)ati_number_powers[kappa];
        uint32_t digit = whole / power;
        whole %= power;
        if (digit || result->length)
            result->digits[result->length++] = (char)('0' + digit);
        uint64_t rest = ((uint64_t)whole << shift) + fraction;
        if (rest <= delta) {
            result->exponent += kappa;
            round_last(result, delta, rest, ati_number_powers[kappa] << shift, distance);
            return;
        }
    }
    for (;;) {
        fraction *= 10;
        delta *= 10;
        char digit = (char)(fraction >> shift);
        if (digit || result->length)
            result->digits[result->length++] = (char)('0' + digit);
        fraction &= one - 1;
        kappa--;
        if (fraction < delta) {
            result->exponent += kappa;
            round_last(result, delta, fraction, one,
                       -kappa < 20 ? distance * ati_number_powers[-kappa] : 0);
            return;
        }
    }
}

/* `value` is positive and finite. */
static decimal to_decimal(double value) {
    scaled exact = split(value);
    scaled above = normalize((scaled){(exact.significand << 1) + 1, exact.exponent - 1});
    scaled below = exact.significand == (uint64_t)1 << 52
                       ? (scaled){(exact.significand << 2) - 1, exact.exponent - 2}
                       : (scaled){(exact.significand << 1) - 1, exact.exponent - 1};
    below.significand <<= below.exponent - above.exponent;
    below.exponent = above.exponent;
    decimal result = {.length = 0};
    scaled power = cached_power(above.exponent, &result.exponent);
    scaled middle = multiply(normalize(exact), power);
    scaled high = multiply(above, power);
    scaled low = multiply(below, power);
    low.significand++;
    high.significand--;
    make_digits(&result, high, high.significand - low.significand,
                high.significand - middle.significand);
    return result;
}

static char *write_exponent(char *to, int exponent) {
    *to++ = 'e';
    return ati_number_integer(to, exponent);
}

static char *write_decimal(char *to, const decimal *number) {
    int length = number->length;
    int point = length + number->exponent; /* digits before the point */
    if (point > 0 && point <= 17) {
        int whole = point < length ? point : length;
        memcpy(to, number->digits, (size_t)whole);
        to += whole;
        for (int i = length; i < point; i++)
            *to++ = '0';
        *to++ = '.';
        if (point >= length) {
            *to++ = '0';
            return to;
        }
        memcpy(to, number->digits + point, (size_t)(length - point));
        return to + (length - point);
    }
    if (point > -5 && point <= 0) {
        *to++ = '0';
        *to++ = '.';
        for (int i = point; i < 0; i++)
            *to++ = '0';
        memcpy(to, number->digits, (size_t)length);
        return to + length;
    }
    *to++ = number->digits[0];
    if (length > 1) {
        *to++ = '.';
        memcpy(to, number->digits + 1, (size_t)length - 1);
        to += length - 1;
    }
    return write_exponent(to, point - 1);
}

/* Most numbers that people log have few decimals. If value = digits / scale with both exact in a
 * double, the division is the correctly rounded one, so these digits read back as value; and with
 * 15 digits or fewer there are no others as short. NULL: there are more decimals. */
static inline __attribute__((always_inline)) char *write_few_decimals(char *to, double value,
                                                                      int64_t scale) {
    double scaled_value = value * (double)scale;
    if (!(scaled_value < 1e15))
        return NULL;
    int64_t digits = (int64_t)(scaled_value + 0.5);
    if ((double)digits / (double)scale != value)
        return NULL;
    int64_t whole = digits / scale;
    unsigned decimals = (unsigned)(digits - whole * scale);
    to = ati_number_unsigned(to, (uint64_t)whole);
    *to++ = '.';
    if (scale > 1000)
        to = ati_number_six(to, decimals);
    else
        to = write_three(to, decimals);
    while (to[-1] == '0' && to[-2] != '.')
        to--;
    return to;
}

static char *write_bytes(char *to, const char *bytes, size_t length) {
    memcpy(to, bytes, length);
    return to + length;
}

#define WRITE_LITERAL(to, literal) write_bytes((to), (literal), sizeof(literal) - 1)

char *ati_number_double(char *to, double value) {
    if (value != value)
        return WRITE_LITERAL(to, "\"NaN\"");
    if (__builtin_isinf(value))
        return value > 0 ? WRITE_LITERAL(to, "\"Infinity\"") : WRITE_LITERAL(to, "\"-Infinity\"");
    if (__builtin_signbit(value)) {
        *to++ = '-';
        value = -value;
    }
    if (value < 1e15 && (double)(int64_t)value == value)
        return WRITE_LITERAL(ati_number_unsigned(to, (uint64_t)value), ".0");
    char *end = value > 1e-4 ? write_few_decimals(to, value, 1000) : NULL;
    if (!end && value > 1e-4)
        end = write_few_decimals(to, value, 1000000);
    if (end)
        return end;
    decimal number = to_decimal(value);
    return write_decimal(to, &number);
}
