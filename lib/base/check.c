/* SPDX-License-Identifier: MIT */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void ati_caller_abort(const char *call, const char *sentence) {
    fprintf(stderr, "asynctools: %s: %s\n", call, sentence);
    abort();
}

_Noreturn void ati_assert_abort(const char *condition, const char *file, int line) {
    fprintf(stderr, "asynctools: broken invariant at %s:%d: %s\n", file, line, condition);
    abort();
}

bool ati_all_zero(const void *bytes, size_t size) {
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < size; i++)
        if (byte[i] != 0)
            return false;
    return true;
}
