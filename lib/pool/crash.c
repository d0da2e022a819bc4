/* SPDX-License-Identifier: MIT
 *
 * Everything below the handler uses only what is safe in one: thread-local variables of the static
 * block, which need no call to be reached, memory that the overflow has not touched (frames lie
 * further up), and write(2).
 *
 * The signal goes on to what was there before as if this handler did not exist: with its mask, and
 * again and again, since a handler may mend what caused the fault and return. If that was the
 * default action, it is put back, and returning repeats the instruction: the core shows the place
 * of the fault and not this file. A signal that somebody sent is raised again, for there is no
 * instruction to repeat.
 *
 * Only where the default action follows is it known that the process ends. Then the loggers are
 * drained, and threads that crash meanwhile wait, for the first of them to end the process would
 * end the drain. Where a handler follows, the loggers are flushed, at most once a second: it may
 * end the process, or mend what happened. A thread that comes by the same signal again was let go
 * on, so the handler mends, perhaps many times a second: from then on the log is waited for a
 * moment only, and not by two threads at once. */
#include "pool/crash.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/lock.h"
#include "log/crash_drain.h"
#include "pool/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    alternate_bytes = 64 * 1024,
    handler_bytes = 12 * 1024, /* that the handler needs, besides what the system puts there */
    sentence_bytes = 512,
    others_ms = 5000,      /* for another thread's drain */
    flush_every_ms = 1000, /* where a handler follows */
    flush_ms = 3000,       /* where it may end the process */
    brief_flush_ms = 20,   /* where it is known to mend */
};

static const int handled[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
enum { handled_count = sizeof handled / sizeof *handled };

static ati_lock install_lock; /* guards the two below */
static bool installed;
static struct sigaction previous[handled_count]; /* complete before the handler can run */
static size_t page_bytes;

static ati_lock drain_lock; /* held by the thread that drains, for good where that is the end */
static _Atomic pid_t drain_thread; /* kernel id of that thread, or 0 */
static int64_t last_flush;         /* under drain_lock */

/* Whether the handler before is known to mend; and by which signals this thread came to it. */
static _Atomic bool is_mended[handled_count];
static _Thread_local bool has_come[handled_count];

/* -- Alternate stacks -- */

static _Thread_local struct {
    void *memory; /* NULL: none */
    stack_t before;
} own_alternate;

static bool is_large_enough(const stack_t *stack) {
    return !(stack->ss_flags & SS_DISABLE) &&
           stack->ss_size >= (size_t)sysconf(_SC_MINSIGSTKSZ) + handler_bytes;
}

bool ati_crash_thread_enter(void) {
    stack_t before;
    if (sigaltstack(NULL, &before) == 0 && is_large_enough(&before))
        return true;
    void *memory = mmap(NULL, alternate_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    if (sigaltstack(&(stack_t){.ss_sp = memory, .ss_size = alternate_bytes}, &before) != 0) {
        munmap(memory, alternate_bytes);
        return false;
    }
    own_alternate.memory = memory;
    own_alternate.before = before;
    return true;
}

void ati_crash_thread_leave(void) {
    stack_t current;
    if (!own_alternate.memory || sigaltstack(NULL, &current) != 0)
        return;
    if (current.ss_sp == own_alternate.memory)
        (void)sigaltstack(&own_alternate.before, NULL);
    munmap(own_alternate.memory, alternate_bytes);
    own_alternate.memory = NULL;
}

/* -- The sentence -- */

typedef struct sentence {
    char bytes[sentence_bytes];
    size_t length;
} sentence;

static void add_text(sentence *it, const char *text) {
    while (*text && it->length < sentence_bytes)
        it->bytes[it->length++] = *text++;
}

static void add_number(sentence *it, size_t number) {
    char digits[24];
    size_t first = sizeof digits - 1;
    digits[first] = '\0';
    do
        digits[--first] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    add_text(it, digits + first);
}

/* "task parse (parse.c:41)" */
static void add_task(sentence *it, const ati_frame *frame) {
    const char *site = frame->site;
    const char *name = frame->name && *frame->name ? frame->name : site ? ati_site_name(site) : "";
    add_text(it, *name ? "task " : "a task");
    add_text(it, name);
    if (site && *site) {
        add_text(it, " (");
        add_text(it, ati_site_place(site));
        add_text(it, ")");
    }
}

void ati_crash_report_overflow(void) {
    const ati_worker *worker = ati_worker_current;
    sentence it = {.length = 0};
    add_text(&it, "asynctools: ");
    if (worker) {
        add_text(&it, "pool \"");
        add_text(&it, worker->pool->name);
        add_text(&it, "\": ");
    }
    add_task(&it, ati_frame_current());
    add_text(&it, " has overflowed its stack");
    if (worker) {
        add_text(&it, " of ");
        add_number(&it, (size_t)worker->pool->options.stack_bytes);
        add_text(&it, " bytes");
    }
    add_text(&it, "; give the pool a larger `stack_bytes`\n");
    ssize_t written = write(STDERR_FILENO, it.bytes, it.length);
    (void)written; /* nobody is left to be told */
}

/* -- The log -- */

/* "0x7f00" */
static const char *format_address(char text[20], uintptr_t address) {
    char *to = text + 19;
    *to = '\0';
    do
        *--to = "0123456789abcdef"[address % 16];
    while ((address /= 16) > 0);
    *--to = 'x';
    *--to = '0';
    return to;
}

static const char *name_signal(int signal) {
    switch (signal) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGABRT:
        return "SIGABRT";
    case SIGFPE:
        return "SIGFPE";
    default:
        return "SIGILL";
    }
}

static void drain(int signal, const siginfo_t *info, bool overflow) {
    const ati_worker *worker = ati_worker_current;
    const ati_frame *frame = ati_frame_current();
    const char *site = frame->site;
    const char *name = frame->name && *frame->name ? frame->name
                       : site                      ? ati_site_name(site)
                                                   : NULL;
    bool was_sent = info->si_code <= 0;
    char address[20];
    at_field fields[8];
    size_t count = 0;
    fields[count++] = at_kv_string("signal", name_signal(signal));
    if (was_sent)
        fields[count++] = at_kv_integer("sender_pid", info->si_pid);
    else
        fields[count++] =
            at_kv_string("address", format_address(address, (uintptr_t)info->si_addr));
    if (overflow)
        fields[count++] = at_kv_string("reason", "stack overflow");
    if (worker)
        fields[count++] = at_kv_string("pool", worker->pool->name);
    if (name)
        fields[count++] = at_kv_string("task", name);
    if (site)
        fields[count++] = at_kv_string("started_at", ati_site_place(site));
    const at_log_line line = {
        .level = AT_LOG_FATAL, .event = "process.crashed", .fields = fields, .field_count = count};
    ati_log_crash_drain(&line);
}

/* False: this thread drains already, or another one did until the deadline. */
static bool enter_drain(at_deadline deadline) {
    pid_t self = gettid();
    if (atomic_load_explicit(&drain_thread, memory_order_relaxed) == self ||
        !ati_lock_acquire_until(&drain_lock, deadline))
        return false;
    atomic_store_explicit(&drain_thread, self, memory_order_relaxed);
    return true;
}

static void leave_drain(void) {
    atomic_store_explicit(&drain_thread, 0, memory_order_relaxed);
    ati_lock_release(&drain_lock);
}

/* A handler follows, for the signal at this place. */
static void flush_log(int place) {
    int64_t now = ati_monotonic_ns();
    if (has_come[place])
        atomic_store_explicit(&is_mended[place], true, memory_order_relaxed);
    has_come[place] = true;
    bool is_brief = atomic_load_explicit(&is_mended[place], memory_order_relaxed);
    if (!enter_drain(is_brief ? now : now + AT_MILLISECONDS(others_ms)))
        return;
    if (last_flush == 0 || now - last_flush >= AT_MILLISECONDS(flush_every_ms)) {
        ati_log_crash_flush(ati_monotonic_ns() +
                            AT_MILLISECONDS(is_brief ? brief_flush_ms : flush_ms));
        last_flush = ati_monotonic_ns();
    }
    leave_drain();
}

/* -- The handler -- */

/* The page below the stack that this worker runs on is its guard page. */
static bool is_overflow(const siginfo_t *info) {
    const ati_worker *worker = ati_worker_current;
    if (!worker || info->si_code <= 0)
        return false;
    uintptr_t address = (uintptr_t)info->si_addr;
    uintptr_t lowest = (uintptr_t)worker->stack_end;
    return address < lowest && address >= lowest - page_bytes;
}

static void call_previous(const struct sigaction *before, int signal, siginfo_t *info,
                          void *context) {
    pthread_sigmask(SIG_BLOCK, &before->sa_mask, NULL);
    if (before->sa_flags & SA_NODEFER) {
        sigset_t own;
        sigemptyset(&own);
        sigaddset(&own, signal);
        pthread_sigmask(SIG_UNBLOCK, &own, NULL);
    }
    if (before->sa_flags & SA_SIGINFO)
        before->sa_sigaction(signal, info, context);
    else
        before->sa_handler(signal);
}

static bool is_handler(const struct sigaction *before) {
    return before->sa_flags & SA_SIGINFO ||
           (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN);
}

static void pass_on(const struct sigaction *before, int signal, siginfo_t *info, void *context) {
    bool was_sent = info->si_code <= 0;
    if (is_handler(before)) {
        call_previous(before, signal, info, context);
    } else if (before->sa_handler == SIG_DFL || !was_sent) {
        sigaction(signal, before, NULL);
        if (was_sent)
            raise(signal); /* it is blocked until this handler has returned */
    }
}

static void handle(int signal, siginfo_t *info, void *context) {
    int error = errno;
    bool overflow = is_overflow(info);
    if (overflow)
        ati_crash_report_overflow();
    int place = 0;
    while (handled[place] != signal)
        place++;
    const struct sigaction *before = &previous[place];
    bool is_ignored = before->sa_handler == SIG_IGN && info->si_code <= 0;
    if (is_handler(before))
        flush_log(place);
    else if (!is_ignored && enter_drain(ati_monotonic_ns() + AT_MILLISECONDS(others_ms)))
        drain(signal, info, overflow);
    pass_on(before, signal, info, context);
    errno = error;
}

/* -- Installing; under the lock -- */

static bool install(void) {
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    struct sigaction own = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&own.sa_mask);
    int count = 0;
    while (count < handled_count && sigaction(handled[count], NULL, &previous[count]) == 0 &&
           sigaction(handled[count], &own, NULL) == 0)
        count++;
    if (count == handled_count)
        return true;
    while (count-- > 0)
        sigaction(handled[count], &previous[count], NULL);
    return false;
}

at_status at_crash_handler_install(void) {
    if (!ati_crash_thread_enter())
        return ati_fail(AT_ERROR_NO_MEMORY,
                        "at_crash_handler_install: no memory for an alternate signal stack");
    ati_lock_acquire(&install_lock);
    installed = installed || install();
    bool succeeded = installed;
    ati_lock_release(&install_lock);
    if (!succeeded)
        return ati_fail(AT_ERROR_SYSTEM, "at_crash_handler_install: sigaction was refused");
    return AT_OK;
}
