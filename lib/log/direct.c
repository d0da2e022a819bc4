/* SPDX-License-Identifier: MIT */
#include "log/logger.h"

#include "base/clock.h"
#include "log/quiet_pipe.h"
#include "log/readable.h"

#include <errno.h>
#include <unistd.h>

/* Lines that the calling thread writes itself: in a forked child, after exit() has drained, and
 * without a logger. */

enum {
    exit_wait_ms = 1000, /* for a backend or a sink that is stuck while the process ends */
};

void ati_log_give_to_sinks(ati_log_core *core, const ati_log_sink *but, const char *lines,
                           size_t size) {
    for (uint32_t i = 0; i < ati_log_sink_count(core); i++)
        if (core->sinks[i] != but)
            core->sinks[i]->kind->write(core->sinks[i], lines, size);
}

void ati_log_reopen_if_wanted(ati_log_core *core) {
    /* ORDER log_core.reopen_wanted: seq_cst. Files that the caller has renamed are renamed here.
     * Pairs with: seq_cst in at_logger_reopen(). If relaxed: the same files are opened again. */
    if (!atomic_exchange_explicit(&core->reopen_wanted, false, memory_order_seq_cst))
        return;
    for (uint32_t i = 0; i < ati_log_sink_count(core); i++)
        if (core->sinks[i]->kind->reopen)
            core->sinks[i]->kind->reopen(core->sinks[i]);
}

bool ati_log_write_direct(ati_log_core *core, const char *line, size_t size, at_log_level level) {
    bool forked = atomic_load_explicit(&core->mode, memory_order_relaxed) == ATI_LOG_FORKED;
    at_deadline deadline = ati_monotonic_ns() + AT_MILLISECONDS(exit_wait_ms);
    if (!forked) /* the thread's earlier lines come first */
        (void)ati_log_flush_by_caller(core, deadline);
    if (!ati_lock_acquire_until(&core->write_lock, deadline)) {
        ati_log_drop(core, NULL, level);
        return false;
    }
    ati_quiet_pipe quiet;
    ati_quiet_pipe_begin(&quiet);
    ati_log_reopen_if_wanted(core);
    ati_log_give_to_sinks(core, NULL, line, size);
    ati_quiet_pipe_end(&quiet);
    ati_counter_add(&core->written, 1);
    ati_counter_add(&core->bytes, size);
    ati_lock_release(&core->write_lock);
    return true;
}

void ati_log_write_stderr(const at_logger *logger, const ati_context *context,
                          ati_line_thread *thread, const at_log_line *line) {
    char bytes[ATI_LINE_MAX];
    char text[ATI_READABLE_MAX];
    ati_line_head head = ati_log_head(logger, context, thread, ati_stamp_now());
    size_t size = ati_line_encode(bytes, &head, line);
    const char *from = bytes;
    if (isatty(STDERR_FILENO) == 1) {
        size = ati_readable_line(text, bytes, size);
        from = text;
    }
    ati_quiet_pipe quiet;
    ati_quiet_pipe_begin(&quiet);
    while (size > 0) {
        ssize_t done = write(STDERR_FILENO, from, size);
        if (done < 0 && errno != EINTR)
            break;
        if (done > 0) {
            from += done;
            size -= (size_t)done;
        }
    }
    ati_quiet_pipe_end(&quiet);
}
