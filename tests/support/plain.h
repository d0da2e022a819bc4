/* SPDX-License-Identifier: MIT
 *
 * For the programs in tests/plain, which have a main of their own. */
#ifndef TEST_SUPPORT_PLAIN_H
#define TEST_SUPPORT_PLAIN_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Ends the process, from any thread, with what was expected and where. */
#define plain_check(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* Leaves main: CTest reports the program as skipped. */
#define plain_skip(reason)                                                                         \
    do {                                                                                           \
        fprintf(stderr, "skipped: %s\n", reason);                                                  \
        exit(77);                                                                                  \
    } while (0)

#endif
