/* SPDX-License-Identifier: MIT */
#include "log/logger.h"

#include "base/clock.h"
#include "log/quiet_signals.h"
#include "log/readable.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* Lines that the calling thread writes itself: in a forked child, after exit() has drained, and
 * without a logger. */

enum {
    exit_wait_ms = 1000,  /* for a backend or a sink that is stuck while the process ends */
    stderr_wait_ms = 100, /* for a reader of stderr that is slower than lines come */
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
    int cancel_state; /* a thread that is cancelled in a write would keep the lock */
    ati_quiet_signals quiet;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    ati_quiet_signals_begin(&quiet);
    ati_log_reopen_if_wanted(core);
    ati_log_give_to_sinks(core, NULL, line, size);
    if (forked) /* there is no backend that would */
        ati_log_report(core, false);
    ati_quiet_signals_end(&quiet);
    ati_counter_add(&core->written, 1);
    ati_counter_add(&core->bytes, size);
    ati_lock_release(&core->write_lock);
    pthread_setcancelstate(cancel_state, NULL);
    return true;
}

/* -- stderr -- */

/* So that no line stands in another: whoever has it writes. Not for ever, as a write may block. */
static ati_lock stderr_lock;
static _Atomic bool stderr_is_torn; /* the last line ends in the middle */

void ati_log_stderr_after_fork(void) {
    atomic_store_explicit(&stderr_lock.state, 0, memory_order_relaxed);
}

/* Waits until stderr, which would block, takes more; false: not in time. */
static bool wait_for_stderr(at_deadline deadline) {
    struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};
    at_duration left = deadline - ati_monotonic_ns();
    return left > 0 && poll(&writable, 1, (int)(left / AT_MILLISECONDS(1)) + 1) != 0;
}

/* Gives how many bytes were written. */
static size_t write_until(const char *bytes, size_t size, at_deadline deadline) {
    size_t done = 0;
    while (done < size) {
        ssize_t result = write(STDERR_FILENO, bytes + done, size - done);
        if (result > 0)
            done += (size_t)result;
        else if (result == 0 || (errno != EINTR && (errno != EAGAIN || !wait_for_stderr(deadline))))
            break;
    }
    return done;
}

/* Writes a line, which has a newline in front of it too: for one that was left torn. */
static void write_line(const char *bytes, size_t size) {
    at_deadline deadline = ati_monotonic_ns() + AT_MILLISECONDS(stderr_wait_ms);
    int cancel_state;
    ati_quiet_signals quiet;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    ati_quiet_signals_begin(&quiet);
    bool locked = ati_lock_acquire_until(&stderr_lock, deadline);
    if (!atomic_load_explicit(&stderr_is_torn, memory_order_relaxed)) {
        bytes++;
        size--;
    }
    size_t done = write_until(bytes, size, deadline);
    if (done > 0)
        atomic_store_explicit(&stderr_is_torn, bytes[done - 1] != '\n', memory_order_relaxed);
    if (locked)
        ati_lock_release(&stderr_lock);
    ati_quiet_signals_end(&quiet);
    pthread_setcancelstate(cancel_state, NULL);
}

void ati_log_write_stderr(const at_logger *logger, const ati_context *context,
                          ati_line_thread *thread, const at_log_line *line) {
    char bytes[1 + ATI_LINE_MAX] = "\n";
    char text[1 + ATI_READABLE_MAX] = "\n";
    ati_line_head head = ati_log_head(logger, context, thread, ati_stamp_now());
    size_t size = ati_line_encode(bytes + 1, &head, line);
    if (isatty(STDERR_FILENO) == 1)
        write_line(text, 1 + ati_readable_line(text + 1, bytes + 1, size));
    else
        write_line(bytes, 1 + size);
}
