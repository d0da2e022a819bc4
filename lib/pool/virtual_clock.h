/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_VIRTUAL_CLOCK_H
#define ASYNCTOOLS_POOL_VIRTUAL_CLOCK_H

/* What lib/pool does with a clock that may be a virtual one. See virtual_clock.c. */
#include "base/clock.h"
#include "queue/timer_wheel.h"

#include <asynctools/pool.h>
#include <asynctools/virtual_clock.h>

/* From now on the clock stops at the pool's timers, if it is a virtual one. */
void ati_virtual_clock_add_pool(at_pool *pool);
void ati_virtual_clock_remove_pool(at_pool *pool);

/* The calling thread leaves the virtual clock and waits. At `deadline`, unless it is AT_FOREVER,
 * the clock calls ati_waiter_time_out_thread, and enters for the thread if that gives true. */
void ati_virtual_clock_begin_wait(at_clock *clock, ati_timer *timer, at_deadline deadline);

/* The thread goes on: forgets the deadline. Whoever ended the wait has entered. */
void ati_virtual_clock_end_wait(at_clock *clock, ati_timer *timer);

#endif
