/* SPDX-License-Identifier: MIT
 *
 * Makes what can fail fail: allocation number 1, 2, 3, ... and the start of thread number 1, 2,
 * 3, ... until the whole scenario succeeds. Beside it counts what the library holds, fills fresh
 * and released memory with garbage, and checks that each release names the size that was asked
 * for.
 *
 * The counters are relaxed atomics, so that no data race is hidden from ThreadSanitizer. */
#ifndef TEST_SUPPORT_FAULT_H
#define TEST_SUPPORT_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* Makes the counting allocator the library's; before any other call of the library in this
 * process. A second call does nothing. */
void fault_install(void);

/* For a whole test file: `FAULT_INSTALL;` at its top. */
#define FAULT_INSTALL                                                                              \
    __attribute__((constructor)) static void install_fault_allocator(void) {                       \
        fault_install();                                                                           \
    }                                                                                              \
    extern void fault_install(void)

enum fault_kind {
    fault_memory, /* an allocation gives NULL */
    fault_thread, /* pthread_create gives EAGAIN; only programs in tests/fault see it */
};

/* From now on number `number` (from 1) of this kind fails, and only that one. */
void fault_arm(enum fault_kind kind, int64_t number);

/* From now on number `number` and all that follow fail. */
void fault_arm_from(enum fault_kind kind, int64_t number);

/* From now on nothing fails. */
void fault_disarm(void);

/* How many have failed since the fault was armed; stays readable after fault_disarm. */
int64_t fault_count(void);

/* What the library holds. */
struct fault_usage {
    int64_t blocks;
    int64_t bytes;
};
struct fault_usage fault_usage(void);

/* How many allocations there have been, the failed ones included. */
int64_t fault_allocation_count(void);

/* The test fails if the library holds more than `before`, and says which blocks they are. Empties
 * the calling thread's error slot first. */
void fault_check_leaks(struct fault_usage before);

/* Calls run(context) with the first, the second, the third, ... fault, until a call has come to
 * its end without one. `run` must leave nothing behind, and it looks at fault_count() to know
 * whether an outcome may be a failure. Gives the number of calls that met a fault. */
int64_t fault_each(enum fault_kind kind, void (*run)(void *context), void *context);

#endif
