/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MACHINE_LOAD_H
#define BENCH_MACHINE_LOAD_H

#include <stdint.h>

/* How much of the machine somebody else used while something was measured: figures taken beside
 * other work are worth little, and should say so. */
struct machine_load {
    uint64_t start_ns;
    uint64_t busy_ns; /* of all CPUs, by everybody and the hypervisor */
    uint64_t own_ns;  /* by this process and the children it has waited for */
};

void machine_load_start(struct machine_load *load);

/* Gives how many CPUs the others have used on average since the start; 0 where that is unknown. */
double machine_load_others(const struct machine_load *load);

#endif
