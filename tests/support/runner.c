/* SPDX-License-Identifier: MIT
 *
 * Runs the tests of one program where Criterion cannot: each in a fresh process of the same
 * program, so that process-wide state and threads never pass from one test to the next. The
 * process is made by posix_spawn, since ThreadSanitizer does not support threads after a bare fork.
 *
 *   program               every test, and a summary line like Criterion's
 *   program suite/name    that one test in this process, for a debugger */
#include "support/test.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { exit_skipped = 77 };

static struct test_entry *first_entry;
static struct test_entry **last_entry = &first_entry;

static jmp_buf test_end;
static pthread_t test_thread;
static bool has_failed; /* written by the test's own thread only */

void test_register(struct test_entry *entry) {
    *last_entry = entry;
    last_entry = &entry->next;
}

void test_failed(const char *file, int line, bool ends_test, const char *condition,
                 const char *format, ...) {
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    fprintf(stderr, "[----] %s:%d: Assertion failed: %s%s\n", file, line, condition, message);
    if (!pthread_equal(pthread_self(), test_thread)) {
        fprintf(stderr, "[----] the assertion was made by a thread that does not run the test\n");
        _exit(1);
    }
    has_failed = true;
    if (ends_test)
        longjmp(test_end, 1);
}

_Noreturn void test_skipped(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("[SKIP]", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(exit_skipped);
}

static const struct test_options *find_suite_options(const struct test_entry *test) {
    static const struct test_options none;
    for (const struct test_entry *entry = first_entry; entry; entry = entry->next)
        if (!entry->run && strcmp(entry->suite, test->suite) == 0)
            return &entry->options;
    return &none;
}

static void call_guarded(void (*function)(void)) {
    if (function && setjmp(test_end) == 0)
        function();
}

/* Without a handler the kernel ends the process at the time-out itself, whatever its threads do. */
static void set_timeout(double seconds) {
    struct itimerval timer = {.it_value = {.tv_sec = (time_t)seconds}};
    timer.it_value.tv_usec = (suseconds_t)((seconds - (double)timer.it_value.tv_sec) * 1e6);
    if (setitimer(ITIMER_REAL, &timer, NULL) != 0)
        perror("setitimer");
}

static int run_here(const struct test_entry *test) {
    const struct test_options *suite = find_suite_options(test);
    double timeout = test->options.timeout > 0 ? test->options.timeout : suite->timeout;
    if (timeout > 0)
        set_timeout(timeout);
    test_thread = pthread_self();
    call_guarded(suite->init);
    if (!has_failed)
        call_guarded(test->options.init);
    if (!has_failed)
        call_guarded(test->run);
    call_guarded(test->options.fini);
    call_guarded(suite->fini);
    return has_failed ? 1 : 0;
}

enum verdict { passed, failed, crashed, skipped };

static enum verdict judge(const struct test_entry *test, int status) {
    const struct test_options *options = &test->options;
    if (WIFSIGNALED(status)) {
        if (options->signal == WTERMSIG(status))
            return passed;
        fprintf(stderr, "[FAIL] %s::%s: %s\n", test->suite, test->name,
                WTERMSIG(status) == SIGALRM ? "Timed out" : strsignal(WTERMSIG(status)));
        return WTERMSIG(status) == SIGALRM ? failed : crashed;
    }
    int code = WEXITSTATUS(status);
    if (options->signal == 0 && code == exit_skipped && options->exit_code != exit_skipped)
        return skipped;
    if (options->signal == 0 && code == options->exit_code)
        return passed;
    fprintf(stderr, "[FAIL] %s::%s: exit code %d\n", test->suite, test->name, code);
    return failed;
}

static enum verdict run_apart(const char *program, const struct test_entry *test) {
    char name[512];
    snprintf(name, sizeof(name), "%s/%s", test->suite, test->name);
    char *arguments[] = {(char *)program, name, NULL};
    pid_t child;
    int status;
    if (posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) != 0 ||
        waitpid(child, &status, 0) != child) {
        fprintf(stderr, "[FAIL] %s: cannot start a process\n", name);
        return failed;
    }
    return judge(test, status);
}

static const struct test_entry *find_test(const char *name) {
    for (const struct test_entry *entry = first_entry; entry; entry = entry->next) {
        size_t length = strlen(entry->suite);
        if (entry->run && strncmp(name, entry->suite, length) == 0 && name[length] == '/' &&
            strcmp(name + length + 1, entry->name) == 0)
            return entry;
    }
    return NULL;
}

int main(int argument_count, char **arguments) {
    if (argument_count > 1) {
        const struct test_entry *test = find_test(arguments[1]);
        if (test)
            return run_here(test);
        fprintf(stderr, "%s: no test of that name\n", arguments[1]);
        return 2;
    }
    int counts[4] = {0};
    for (const struct test_entry *test = first_entry; test; test = test->next)
        if (test->run)
            counts[test->options.disabled ? skipped : run_apart(arguments[0], test)]++;
    int tested = counts[passed] + counts[failed] + counts[crashed];
    fprintf(stderr, "[====] Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: %d\n",
            tested, counts[passed], counts[failed], counts[crashed]);
    return tested > 0 && tested == counts[passed] ? 0 : (tested == 0 && counts[skipped] ? 77 : 1);
}
