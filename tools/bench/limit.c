/* SPDX-License-Identifier: MIT */
#include "limit.h"

#include "arguments.h"
#include "clock.h"
#include "commands.h"
#include "machine_load.h"
#include "statistics.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

enum { ROUNDS = 9 };

static cpu_set_t allowed;

void limits_print(const char *what, double ns) {
    if (ns < 0)
        printf("  %-56s %12s\n", what, "-");
    else if (ns < 1e4)
        printf("  %-56s %9.1f ns\n", what, ns);
    else
        printf("  %-56s %9.1f us\n", what, ns / 1e3);
    fflush(stdout);
}

int limits_cpu_count(void) {
    return CPU_COUNT(&allowed);
}

int limits_bind(int index) {
    if (index < 0)
        return pthread_setaffinity_np(pthread_self(), sizeof(allowed), &allowed) == 0 ? 0 : -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || index-- > 0)
            continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        return pthread_setaffinity_np(pthread_self(), sizeof(one), &one) == 0 ? 0 : -1;
    }
    return -1;
}

double limits_time(void (*loop)(long count), long count) {
    double times[ROUNDS];
    loop(count / 10);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = now_ns();
        loop(count);
        times[i] = (double)(now_ns() - start) / (double)count;
    }
    return median_of(times, ROUNDS);
}

int limits_command(int argument_count, char **arguments) {
    const char *none[1];
    const struct command_spec command = {
        .name = "limits", .usage = "", .help = "Measures what this machine can do at best."};
    int status;
    if (!arguments_parse(&command, argument_count, arguments, none, &status))
        return status;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
        perror("at-bench limits: cannot read the CPU set");
        return 1;
    }
    struct machine_load load;
    machine_load_start(&load);
    printf("One thread\n");
    limits_of_one_thread();
    printf("The kernel\n");
    limits_of_the_kernel();
    printf("Two threads, each on a CPU of its own\n");
    limits_of_two_threads();
    printf("Copies of a sequential program side by side\n");
    limits_of_copies();
    printf("Others used %.2f CPUs of this machine meanwhile\n", machine_load_others(&load));
    return 0;
}
