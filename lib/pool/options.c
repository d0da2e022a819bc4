/* SPDX-License-Identifier: MIT */
/* What a pool may be created with. */
#include "base/check.h"
#include "base/error.h"
#include "pool/pool.h"

#include <asynctools/cpu.h>

enum {
    thread_limit = 4096,
    spare_default = 1024,
    spare_limit = 16384,
    stack_default = 256 * 1024,
    stack_min = 64 * 1024,
    stack_max = 1024 * 1024 * 1024,
    cpu_limit = 1024, /* what cpu_set_t holds */
};

/* Puts the default for 0 and refuses what is out of range. */
static at_status check_range(const char *member, int64_t *value, int64_t by_default, int64_t min,
                             int64_t max) {
    if (*value == 0)
        *value = by_default;
    if (*value < min || *value > max)
        return ati_fail(AT_ERROR_INVALID, "at_pool_create: %s: %lld is out of range (%lld to %lld)",
                        member, (long long)*value, (long long)min, (long long)max);
    return AT_OK;
}

static at_status check_cpus(const at_pool_options *options) {
    if (options->cpu_count < 0 || options->cpu_count > cpu_limit)
        return ati_fail(AT_ERROR_INVALID, "at_pool_create: cpu_count: %lld is out of range",
                        (long long)options->cpu_count);
    if ((options->cpu_count > 0) != (options->cpus != NULL))
        return ati_fail(AT_ERROR_INVALID, "at_pool_create: cpus: %s without %s",
                        options->cpus ? "cpus" : "cpu_count", options->cpus ? "cpu_count" : "cpus");
    for (int64_t i = 0; i < options->cpu_count; i++)
        if (options->cpus[i] < 0 || options->cpus[i] >= cpu_limit)
            return ati_fail(AT_ERROR_INVALID, "at_pool_create: cpus: %d is no CPU",
                            options->cpus[i]);
    return AT_OK;
}

int64_t ati_pool_usable_cpus(const at_pool_options *options) {
    int64_t count = at_cpu_count();
    if (options->cpu_count > 0 && options->cpu_count < count)
        count = options->cpu_count;
    return count < thread_limit ? count : thread_limit;
}

at_status ati_pool_complete_options(at_pool_options *options) {
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "at_pool_create: reserved is not zero");
    if ((unsigned)options->process_fork > AT_PROCESS_FORK_START_AFRESH)
        return ati_fail(AT_ERROR_INVALID, "at_pool_create: process_fork: %d is no policy",
                        (int)options->process_fork);
    if (!options->clock)
        options->clock = at_clock_current();
    if (options->max_spares == AT_NONE)
        options->max_spares = 0;
    else if (options->max_spares == 0)
        options->max_spares = spare_default;
    else if (options->max_spares < 0 || options->max_spares > spare_limit)
        return ati_fail(AT_ERROR_INVALID, "at_pool_create: max_spares: %lld is out of range",
                        (long long)options->max_spares);
    at_status status = check_cpus(options);
    if (status == AT_OK)
        status = check_range("thread_count", &options->thread_count, ati_pool_usable_cpus(options),
                             1, thread_limit);
    if (status == AT_OK)
        status =
            check_range("stack_bytes", &options->stack_bytes, stack_default, stack_min, stack_max);
    if (status == AT_OK)
        status = check_range("queue_bound", &options->queue_bound, AT_UNLIMITED, 1, AT_UNLIMITED);
    return status;
}
