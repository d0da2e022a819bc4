/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_CHECK_H
#define ASYNCTOOLS_BASE_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/* A caller's bug: what only the program text can make wrong. Aborts in every build with one
 * sentence that names the call and the mend. */
#define ATI_CALLER_CHECK(condition, call, sentence)                                                \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            ati_caller_abort(call, sentence);                                                      \
    } while (0)

_Noreturn void ati_caller_abort(const char *call, const char *sentence);

/* Our own invariants, in debug and sanitizer builds. */
#if defined(NDEBUG)
#define ATI_ASSERT(condition) ((void)0)
#else
#define ATI_ASSERT(condition)                                                                      \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            ati_assert_abort(#condition, __FILE__, __LINE__);                                      \
    } while (0)
#endif

_Noreturn void ati_assert_abort(const char *condition, const char *file, int line);

/* Options end with members that must be zero; true if they are. */
bool ati_all_zero(const void *bytes, size_t size);

#endif
