/* SPDX-License-Identifier: MIT */
#include "machine_load.h"

#include "clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t read_busy(void) {
    uint64_t user, nice, system, idle, wait, irq, soft, steal;
    FILE *file = fopen("/proc/stat", "re");
    if (!file)
        return 0;
    int found = fscanf(file,
                       "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                       " %" SCNu64 " %" SCNu64,
                       &user, &nice, &system, &idle, &wait, &irq, &soft, &steal);
    fclose(file);
    if (found != 8)
        return 0;
    uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    return (user + nice + system + irq + soft + steal) * tick_ns;
}

static uint64_t add_times(int who) {
    struct rusage usage;
    if (getrusage(who, &usage) != 0)
        return 0;
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000u +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000u;
}

void machine_load_start(struct machine_load *load) {
    load->start_ns = now_ns();
    load->busy_ns = read_busy();
    load->own_ns = add_times(RUSAGE_SELF) + add_times(RUSAGE_CHILDREN);
}

double machine_load_others(const struct machine_load *load) {
    struct machine_load now;
    machine_load_start(&now);
    double wall = (double)(now.start_ns - load->start_ns);
    double others = (double)(now.busy_ns - load->busy_ns) - (double)(now.own_ns - load->own_ns);
    /* The ticks of the kernel are coarse. */
    return now.busy_ns == 0 || wall <= 0 || others < 0 ? 0 : others / wall;
}
