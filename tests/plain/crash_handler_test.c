/* SPDX-License-Identifier: MIT
 *
 * at_crash_handler_install (rules J3 and W5): a stack that overflows is reported by name, and every
 * signal goes on to what was there before. Each case is a run of this program. */
#include "pool/crash.h"
#include "pool/fiber_tools.h"
#include "support/apart.h"

#include <asynctools/asynctools.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

extern char **environ;

enum { stack_bytes = 96 * 1024, exit_by_previous = 42, exit_through = 3 };

static const char sentence_begin[] = "asynctools: pool \"deep\": task dig (crash_handler_test.c:";
static const char sentence_end[] =
    ") has overflowed its stack of 98304 bytes; give the pool a larger `stack_bytes`\n";

/* -- What the cases do -- */

static int descend(int level) {
    volatile char block[512];
    memset((char *)block, level, sizeof block);
    if (level >= 0) /* for ever, but the compiler does not know */
        level = descend(level + 1);
    return block[0] + level;
}

static void *dig(void *unused) {
    descend(0);
    return unused;
}

static void *read_nothing(void *unused) {
    volatile char *volatile nothing = NULL;
    *nothing = 1;
    return unused;
}

static at_pool *create_pool(void) {
    at_pool *pool;
    at_pool_options options = {.name = "deep", .thread_count = 1, .stack_bytes = stack_bytes};
    plain_check(at_pool_create(&pool, &options) == AT_OK);
    return pool;
}

static void dig_in_pool(at_pool *pool) {
    plain_check(at_pool_start(pool, dig, NULL) == AT_OK);
    at_pool_destroy(pool); /* waits for the task */
}

static void install(void) {
    plain_check(at_crash_handler_install() == AT_OK);
}

static void overflow_in_task(void) {
    install();
    dig_in_pool(create_pool());
}

static void install_after_the_pool(void) {
    at_pool *pool = create_pool();
    install();
    install();
    dig_in_pool(pool);
}

static void no_handler(void) {
    dig_in_pool(create_pool());
}

static void other_fault_in_task(void) {
    install();
    at_pool *pool = create_pool();
    plain_check(at_pool_start(pool, read_nothing, NULL) == AT_OK);
    at_pool_destroy(pool);
}

static void fault_outside_tasks(void) {
    install();
    read_nothing(NULL);
}

static void sent_signal(void) {
    install();
    kill(getpid(), SIGBUS);
    for (;;)
        pause();
}

static void overflow_in_named_task(void) {
    install();
    at_pool *pool = create_pool();
    plain_check(at_pool_start_with(pool, &(at_task_options){.run = dig, .name = "dig"}) == AT_OK);
    at_pool_destroy(pool);
}

static void overflow_in_future(void) {
    install();
    at_pool *pool = create_pool();
    at_future_release(at_pool_submit(pool, dig, NULL));
    at_pool_destroy(pool);
}

static void *wait_for(void *future) {
    at_status status = at_future_wait(future, AT_FOREVER, NULL);
    return status == AT_OK ? NULL : AT_FAILED;
}

/* The worker runs the second task on another stack, since the first one waits on its own. */
static void overflow_while_another_waits(void) {
    install();
    at_pool *pool = create_pool();
    at_promise *promise;
    plain_check(at_promise_create(&promise, at_pool_executor(pool)) == AT_OK);
    at_future *future = at_promise_future(promise);
    plain_check(at_pool_start(pool, wait_for, future) == AT_OK);
    dig_in_pool(pool);
}

/* Waits, so that another stack is used, and goes on on its own. */
static void *wait_and_dig(void *future) {
    if (wait_for(future) == AT_FAILED)
        return AT_FAILED;
    return dig(NULL);
}

static void overflow_after_a_wait(void) {
    install();
    at_pool *pool = create_pool();
    at_promise *promise;
    plain_check(at_promise_create(&promise, at_pool_executor(pool)) == AT_OK);
    at_future *first = at_pool_submit(pool, wait_for, at_promise_future(promise));
    at_future *dug = at_pool_submit_with(
        pool, &(at_task_options){
                  .run = wait_and_dig, .argument = at_promise_future(promise), .name = "dig"});
    plain_check(first && dug);
    at_promise_set(promise, NULL, NULL);
    plain_check(at_future_wait(dug, AT_FOREVER, NULL) != AT_OK);
}

/* -- Earlier handlers -- */

static volatile sig_atomic_t signal_seen;
static void *volatile address_seen;
static char *page;

static void leave(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info, (void)context;
    _exit(exit_by_previous);
}

static void mend(int signal, siginfo_t *info, void *context) {
    (void)context;
    signal_seen = signal;
    address_seen = info->si_addr;
    errno = ENOENT;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void note(int signal) {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    signal_seen = sigismember(&mask, SIGUSR1) && sigismember(&mask, signal) ? signal : -1;
}

static void set_previous(int signal, struct sigaction *action) {
    plain_check(sigaction(signal, action, NULL) == 0);
}

static void previous_ends_the_process(void) {
    set_previous(SIGSEGV, &(struct sigaction){.sa_sigaction = leave, .sa_flags = SA_SIGINFO});
    install();
    dig_in_pool(create_pool());
}

static void previous_mends_the_fault(void) {
    set_previous(SIGSEGV, &(struct sigaction){.sa_sigaction = mend, .sa_flags = SA_SIGINFO});
    install();
    for (int i = 0; i < 3; i++) { /* it stays installed */
        page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        volatile int *error = &errno;
        *error = 0;
        *(volatile char *)(page + 100) = 1;
        plain_check(signal_seen == SIGSEGV && address_seen == page + 100 && *error == 0);
        signal_seen = 0;
    }
    _exit(0);
}

/* A logger whose thread waits for ever. */
static void stick_a_logger(void) {
    int ends[2];
    at_logger *logger;
    plain_check(pipe(ends) == 0);
    plain_check(at_logger_create(&logger, &(at_logger_options){.descriptor = ends[1]}) == AT_OK);
    for (int i = 0; i < 2000; i++) /* more than a pipe takes */
        at_log_info(logger, "line", at_kv("text", "some text to make the line longer"));
}

static int64_t fault_once(void) {
    int64_t began = at_clock_now(at_clock_real());
    mprotect(page, 4096, PROT_NONE);
    *(volatile char *)page = 1;
    return at_clock_now(at_clock_real()) - began;
}

/* For so long that the log would be waited for at least once more. */
static bool is_held_up(void) {
    at_deadline end = at_clock_now(at_clock_real()) + AT_MILLISECONDS(2500);
    bool found = false;
    while (at_clock_now(at_clock_real()) < end)
        found |= fault_once() >= AT_MILLISECONDS(500);
    return found;
}

/* The first one may wait for the log, as the handler could be one that ends the process. What holds
 * the others up each time is no other program that had the CPU. */
static void previous_mends_many_faults(void) {
    set_previous(SIGSEGV, &(struct sigaction){.sa_sigaction = mend, .sa_flags = SA_SIGINFO});
    install();
    stick_a_logger();
    page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)fault_once();
    for (int left = 5; is_held_up(); left--)
        plain_check(left > 0);
    _exit(0);
}

static void previous_has_a_mask(void) {
    struct sigaction action = {.sa_handler = note};
    sigaddset(&action.sa_mask, SIGUSR1);
    set_previous(SIGBUS, &action);
    install();
    raise(SIGBUS);
    plain_check(signal_seen == SIGBUS);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    plain_check(!sigismember(&mask, SIGUSR1) && !sigismember(&mask, SIGBUS));
    _exit(0);
}

static void previous_ignores(void) {
    set_previous(SIGBUS, &(struct sigaction){.sa_handler = SIG_IGN});
    set_previous(SIGSEGV, &(struct sigaction){.sa_handler = SIG_IGN});
    install();
    raise(SIGBUS);
    raise(SIGSEGV);
    dig_in_pool(create_pool()); /* a fault cannot be ignored */
}

/* An alternate stack that a thread has already is left alone, if it is large enough; else it is put
 * aside. */
static void *keep_own_stack(void *unused) {
    static char own[256 * 1024];
    stack_t current;
    for (int is_small = 0; is_small < 2; is_small++) {
        size_t size = is_small ? 8192 : sizeof own;
        sigaltstack(&(stack_t){.ss_sp = own, .ss_size = size}, NULL);
        plain_check(ati_crash_thread_enter());
        sigaltstack(NULL, &current);
        plain_check((current.ss_sp == own) == !is_small && current.ss_size > 32768);
        ati_crash_thread_leave();
        sigaltstack(NULL, &current);
        plain_check(current.ss_sp == own && current.ss_size == size);
    }
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);

    plain_check(ati_crash_thread_enter());
    sigaltstack(NULL, &current);
    plain_check(!(current.ss_flags & SS_DISABLE));
    ati_crash_thread_leave();
    sigaltstack(NULL, &current);
    plain_check(current.ss_flags & SS_DISABLE);
    return unused;
}

static void alternate_stacks(void) {
    pthread_t thread;
    plain_check(pthread_create(&thread, NULL, keep_own_stack, NULL) == 0);
    pthread_join(thread, NULL);
    _exit(0);
}

/* -- The runs -- */

typedef enum end { END_SIGNAL, END_PREVIOUS, END_WELL } end;

static const struct test_case {
    const char *name;
    void (*run)(void);
    end end;
    int signal;
    bool is_named; /* whether the sentence is written */
} cases[] = {
    {"overflow_in_task", overflow_in_task, END_SIGNAL, SIGSEGV, true},
    {"install_after_the_pool", install_after_the_pool, END_SIGNAL, SIGSEGV, true},
    {"overflow_in_named_task", overflow_in_named_task, END_SIGNAL, SIGSEGV, true},
    {"overflow_in_future", overflow_in_future, END_SIGNAL, SIGSEGV, true},
    {"overflow_while_another_waits", overflow_while_another_waits, END_SIGNAL, SIGSEGV, true},
    {"overflow_after_a_wait", overflow_after_a_wait, END_SIGNAL, SIGSEGV, true},
    {"no_handler", no_handler, END_SIGNAL, SIGSEGV, false},
    {"other_fault_in_task", other_fault_in_task, END_SIGNAL, SIGSEGV, false},
    {"fault_outside_tasks", fault_outside_tasks, END_SIGNAL, SIGSEGV, false},
    {"sent_signal", sent_signal, END_SIGNAL, SIGBUS, false},
    {"previous_ends_the_process", previous_ends_the_process, END_PREVIOUS, 0, true},
    {"previous_mends_the_fault", previous_mends_the_fault, END_WELL, 0, false},
    {"previous_mends_many_faults", previous_mends_many_faults, END_WELL, 0, false},
    {"previous_has_a_mask", previous_has_a_mask, END_WELL, 0, false},
    {"previous_ignores", previous_ignores, END_SIGNAL, SIGSEGV, true},
    {"alternate_stacks", alternate_stacks, END_WELL, 0, false},
};

enum { case_count = sizeof cases / sizeof *cases };

/* Sanitizers have handlers of their own, which leave with a status. */
static bool ended_as(const struct test_case *it, int status) {
    if (it->end != END_SIGNAL)
        return WIFEXITED(status) &&
               WEXITSTATUS(status) == (it->end == END_WELL ? 0 : exit_by_previous);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == it->signal;
    return (ATI_FIBER_ASAN || ATI_FIBER_TSAN) && WEXITSTATUS(status) != 0 &&
           WEXITSTATUS(status) != exit_through;
}

static bool check_case(const struct test_case *it) {
    static char output[65536];
    int status = apart_run(it->name, output, sizeof output);
    const char *sentence = strstr(output, "asynctools: ");
    bool named = sentence && strncmp(sentence, sentence_begin, sizeof sentence_begin - 1) == 0 &&
                 strstr(sentence, sentence_end);
    bool well = ended_as(it, status) && named == it->is_named && !!sentence == it->is_named;
    if (!well)
        fprintf(stderr, "%s: status %#x, got:\n%s\n", it->name, (unsigned)status, output);
    return well;
}

static int run_case(const char *name) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    for (int i = 0; i < case_count; i++)
        if (strcmp(cases[i].name, name) == 0)
            cases[i].run();
    return exit_through;
}

int main(int argument_count, char **arguments) {
    if (argument_count > 1)
        return run_case(arguments[1]);
    int failed = 0;
    for (int i = 0; i < case_count; i++)
        failed += !check_case(&cases[i]);
    fprintf(stderr, "%d passed, %d failed\n", case_count - failed, failed);
    return failed != 0;
}
