/* SPDX-License-Identifier: MIT */
#include "base/check.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    uint64_t seen = 0;
    for (; size >= sizeof seen; size -= sizeof seen, byte += sizeof seen) {
        uint64_t word;
        memcpy(&word, byte, sizeof word);
        seen |= word;
    }
    while (size-- > 0)
        seen |= *byte++;
    return seen == 0;
}
