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
 * instruction to repeat. */
#include "pool/crash.h"

#include "base/error.h"
#include "base/lock.h"
#include "pool/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    alternate_bytes = 64 * 1024,
    sentence_bytes = 512,
};

static const int handled[] = {SIGSEGV, SIGBUS};
enum { handled_count = sizeof handled / sizeof *handled };

static ati_lock install_lock; /* guards the two below */
static bool installed;
static struct sigaction previous[handled_count]; /* complete before the handler can run */
static size_t page_bytes;

/* -- Alternate stacks -- */

static _Thread_local void *own_alternate;

bool ati_crash_thread_enter(void) {
    stack_t current;
    if (sigaltstack(NULL, &current) == 0 && !(current.ss_flags & SS_DISABLE))
        return true;
    void *memory = mmap(NULL, alternate_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    if (sigaltstack(&(stack_t){.ss_sp = memory, .ss_size = alternate_bytes}, NULL) != 0) {
        munmap(memory, alternate_bytes);
        return false;
    }
    own_alternate = memory;
    return true;
}

void ati_crash_thread_leave(void) {
    stack_t current;
    if (!own_alternate || sigaltstack(NULL, &current) != 0)
        return;
    if (current.ss_sp == own_alternate)
        (void)sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    munmap(own_alternate, alternate_bytes);
    own_alternate = NULL;
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

static void pass_on(const struct sigaction *before, int signal, siginfo_t *info, void *context) {
    bool was_sent = info->si_code <= 0;
    if (before->sa_flags & SA_SIGINFO ||
        (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)) {
        call_previous(before, signal, info, context);
    } else if (before->sa_handler == SIG_DFL || !was_sent) {
        sigaction(signal, before, NULL);
        if (was_sent)
            raise(signal); /* it is blocked until this handler has returned */
    }
}

static void handle(int signal, siginfo_t *info, void *context) {
    int error = errno;
    if (is_overflow(info))
        ati_crash_report_overflow();
    for (int i = 0; i < handled_count; i++)
        if (handled[i] == signal)
            pass_on(&previous[i], signal, info, context);
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
