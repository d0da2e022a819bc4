/* SPDX-License-Identifier: MIT
 *
 * A logger that nobody uses burns no CPU (rule J2): 5 ms of CPU time at most in 10 s, the second of
 * polling behind the last line included; and a line wakes it. */
#include "plain/log_support.h"

#include "base/clock.h"
#include "log/logger.h"

#include <sys/resource.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { allowed_ns = 50000000 }; /* sanitizers have threads and timers of their own */
#else
enum { allowed_ns = 5000000 };
#endif

static int64_t cpu_ns(void) {
    struct rusage usage;
    REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0);
    return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
           ((int64_t)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

static void rest(int seconds) {
    const struct timespec time = {seconds, 0};
    nanosleep(&time, NULL);
}

/* Behind a line. A backend that does not sleep uses too much each time; a busy machine does not. */
static void check_idle(at_logger *logger) {
    int64_t used = allowed_ns;
    for (int attempts = 5; used >= allowed_ns && attempts > 0; attempts--) {
        at_log_info(logger, "line");
        REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_OK);
        int64_t before = cpu_ns();
        rest(10);
        used = cpu_ns() - before;
        printf("CPU time in 10 s: %.3f ms\n", (double)used / 1e6);
    }
    REQUIRE(used < allowed_ns);
}

int main(void) {
    at_logger *logger = create_logger(&(at_logger_options){.memory_bytes = 100000});
    check_idle(logger);
    REQUIRE(atomic_load(&logger->core->backend_state) == ATI_BACKEND_ASLEEP);
    at_log_info(logger, "wakes.it");
    int64_t deadline = ati_monotonic_ns() + AT_SECONDS(20);
    for (bool found = false; !found;) {
        char *lines;
        REQUIRE(at_logger_memory_lines(logger, &lines) == AT_OK);
        found = strstr(lines, "wakes.it") != NULL;
        at_logger_memory_release(lines);
        REQUIRE(ati_monotonic_ns() < deadline);
    }
    at_logger_destroy(logger);
    return 0;
}
