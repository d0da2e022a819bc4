/* SPDX-License-Identifier: MIT */
/* How many CPUs this process may really use; what a pool starts with. */
#include <asynctools/asynctools.h>

#include <stdio.h>
#include <unistd.h>

int main(void) {
    int usable = at_cpu_count();
    long configured = sysconf(_SC_NPROCESSORS_CONF);
    printf("%d of %ld CPUs\n", usable, configured);
    if (usable < 1 || usable > configured)
        return 1;
    at_pool *pool;
    if (at_pool_create(&pool, NULL) != AT_OK)
        return 1;
    int64_t threads = at_pool_thread_count(pool);
    at_pool_destroy(pool);
    return threads == usable ? 0 : 1;
}
