/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_FUTEX_H
#define ASYNCTOOLS_BASE_FUTEX_H

#include "base/atomic.h"

#include <asynctools/clock.h>

#include <stdbool.h>
#include <stdint.h>

/* Sleeps while *word is `expected`, until woken or until `deadline` of CLOCK_MONOTONIC. May return
 * for no reason. False: the deadline has passed. Keeps errno. */
bool ati_futex_wait(_Atomic uint32_t *word, uint32_t expected, at_deadline deadline);

/* Wakes up to `count` sleepers of *word. Keeps errno. The word may be gone already. */
void ati_futex_wake(_Atomic uint32_t *word, int count);

#endif
