/* SPDX-License-Identifier: MIT */
#include "log/logger.h"

#include "base/clock.h"
#include "log/readable.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Lines that the calling thread writes itself: in a forked child, after exit() has drained, and
 * without a logger. */

enum {
    exit_wait_ms = 1000, /* for a backend or a sink that is stuck while the process ends */
};

/* A pipe that nobody reads must not end the process because of a log line: SIGPIPE is blocked
 * around the write, and taken back if the write raised it. */
typedef struct quiet_pipe {
    sigset_t before;
    bool pending_before;
} quiet_pipe;

static void pipe_set(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGPIPE);
}

static bool pipe_is_pending(void) {
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

static void begin_quiet_pipe(quiet_pipe *quiet) {
    sigset_t pipe_only;
    pipe_set(&pipe_only);
    quiet->pending_before = pipe_is_pending();
    pthread_sigmask(SIG_BLOCK, &pipe_only, &quiet->before);
}

static void end_quiet_pipe(const quiet_pipe *quiet) {
    if (!quiet->pending_before && pipe_is_pending()) {
        sigset_t pipe_only;
        pipe_set(&pipe_only);
        const struct timespec at_once = {0, 0};
        sigtimedwait(&pipe_only, NULL, &at_once);
    }
    pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
}

void ati_log_give_to_sinks(at_logger *logger, const ati_log_sink *but, const char *lines,
                           size_t size) {
    for (uint32_t i = 0; i < logger->sink_count; i++)
        if (logger->sinks[i] != but)
            logger->sinks[i]->kind->write(logger->sinks[i], lines, size);
}

bool ati_log_write_direct(at_logger *logger, ati_log_thread *thread, const at_log_line *line) {
    char bytes[ATI_LINE_MAX];
    bool forked = atomic_load_explicit(&logger->mode, memory_order_relaxed) == ATI_LOG_FORKED;
    at_deadline deadline = ati_monotonic_ns() + AT_MILLISECONDS(exit_wait_ms);
    if (!forked) /* the thread's earlier lines come first */
        (void)ati_log_flush(logger, deadline);
    ati_line_head head = ati_log_head(logger, &thread->line, ati_stamp_now());
    size_t size = ati_line_encode(bytes, &head, line);
    if (!ati_lock_acquire_until(&logger->write_lock, deadline)) {
        atomic_fetch_add_explicit(&logger->dropped[ati_log_counted_level(line->level)], 1,
                                  memory_order_relaxed);
        return false;
    }
    quiet_pipe quiet;
    begin_quiet_pipe(&quiet);
    ati_log_give_to_sinks(logger, NULL, bytes, size);
    end_quiet_pipe(&quiet);
    ati_counter_add(&logger->written, 1);
    ati_counter_add(&logger->bytes, size);
    ati_lock_release(&logger->write_lock);
    return true;
}

void ati_log_write_stderr(ati_line_thread *thread, const at_log_line *line) {
    char bytes[ATI_LINE_MAX];
    char text[ATI_READABLE_MAX];
    ati_line_head head = ati_log_head(NULL, thread, ati_stamp_now());
    size_t size = ati_line_encode(bytes, &head, line);
    const char *from = bytes;
    if (isatty(STDERR_FILENO) == 1) {
        size = ati_readable_line(text, bytes, size);
        from = text;
    }
    quiet_pipe quiet;
    begin_quiet_pipe(&quiet);
    while (size > 0) {
        ssize_t done = write(STDERR_FILENO, from, size);
        if (done < 0 && errno != EINTR)
            break;
        if (done > 0) {
            from += done;
            size -= (size_t)done;
        }
    }
    end_quiet_pipe(&quiet);
}
