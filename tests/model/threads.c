/* SPDX-License-Identifier: MIT
 *
 * The threads of one execution: each has a stack and runs until its next operation, where it is
 * decided who goes on. An execution that ends early just leaves the stacks as they are. Also the
 * futex calls of the library, in the place of lib/base/futex.c. */
#include "engine.h"

#include "base/futex.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

enum { stack_size = 64 * 1024, local_limit = 4, local_size_max = 64 };

typedef enum thread_state { THREAD_READY, THREAD_ASLEEP, THREAD_ENDED } thread_state;

typedef struct thread {
    thread_state state;
    int asleep_on; /* a location */
    bool is_timed;
    bool has_timed_out;
    bool yields;     /* others go first */
    operation *done; /* its last operation in the trace */
    jmp_buf place;   /* where it goes on */
    unsigned char locals[local_limit][local_size_max];
} thread;

static thread threads[thread_limit];
static operation pending[thread_limit]; /* of each thread, the next */
static _Alignas(64) unsigned char stacks[thread_limit][stack_size];
static int thread_count; /* with thread 0 */
static int current;
static bool are_starting;
static const model_case *running;

static jmp_buf starting_place;
static jmp_buf ending_place;
static char fault[500];

static struct {
    void *variable;
    size_t size;
} locals[local_limit];
static int local_count;

int threads_current(void) {
    return current;
}

bool threads_are_alone(void) {
    return current == 0;
}

const char *threads_fault(void) {
    return fault;
}

int model_thread_number(void) {
    return current - 1;
}

int model_asleep_count(void) {
    int count = 0;
    for (int i = 1; i < thread_count; i++)
        count += threads[i].state == THREAD_ASLEEP;
    return count;
}

void model_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault, sizeof fault, format, arguments);
    va_end(arguments);
    _longjmp(ending_place, 1 + EXECUTION_FAULTY);
}

/* -- Variables that each thread has for itself -- */

void model_thread_local(void *variable, size_t size) {
    if (local_count == local_limit || size > local_size_max)
        model_fail("too many thread local variables");
    locals[local_count].variable = variable;
    locals[local_count].size = size;
    for (int i = 0; i < thread_limit; i++)
        __builtin_memcpy(threads[i].locals[local_count], variable, size);
    local_count++;
}

static void become(int next) {
    for (int i = 0; i < local_count; i++) {
        __builtin_memcpy(threads[current].locals[i], locals[i].variable, locals[i].size);
        __builtin_memcpy(locals[i].variable, threads[next].locals[i], locals[i].size);
    }
    current = next;
}

/* -- Going on -- */

static unsigned find_ready(void) {
    unsigned ready = 0, yielding = 0;
    for (int i = 1; i < thread_count; i++)
        if (threads[i].state == THREAD_READY)
            *(threads[i].yields ? &yielding : &ready) |= 1u << i;
    return ready ? ready : yielding;
}

/* Nobody can go on, so time passes. False: nobody waits for that. */
static bool let_time_pass(void) {
    bool any = false;
    for (int i = 1; i < thread_count; i++)
        if (threads[i].state == THREAD_ASLEEP && threads[i].is_timed) {
            threads[i].state = THREAD_READY;
            threads[i].has_timed_out = true;
            any = true;
        }
    return any;
}

static _Noreturn void end_execution(void) {
    for (int i = 1; i < thread_count; i++)
        if (threads[i].state == THREAD_ASLEEP && !running->ends_asleep)
            model_fail("thread %d sleeps and nobody will wake it", i);
    _longjmp(ending_place, 1 + EXECUTION_GOOD);
}

/* Decides who goes on. Returns when it is the caller's turn. */
static void pass_on(void) {
    unsigned ready = find_ready();
    if (!ready && let_time_pass())
        ready = find_ready();
    if (!ready)
        end_execution();
    int next;
    if (explore_choose_thread(ready, pending, &next) == EXPLORE_REDUNDANT)
        _longjmp(ending_place, 1 + EXECUTION_REDUNDANT);
    threads[next].done = report_event(&pending[next]);
    threads[next].yields = false;
    if (next == current)
        return;
    thread *self = &threads[current];
    if (_setjmp(self->place) == 0) {
        become(next);
        _longjmp(threads[next].place, 1);
    }
}

operation *threads_step(const operation *next) {
    static operation unseen;
    if (threads_are_alone()) {
        unseen = *next;
        return &unseen;
    }
    thread *self = &threads[current];
    pending[current] = *next;
    pending[current].thread = (uint8_t)current;
    if (!are_starting)
        pass_on();
    else if (_setjmp(self->place) == 0)
        _longjmp(starting_place, 1);
    return self->done;
}

void model_yield(void) {
    if (running->preemptions == MODEL_UNBOUNDED || threads_are_alone())
        return;
    threads[current].yields = true;
    threads_step(&(operation){.name = "yield", .location = no_location});
}

static void enter_thread(void) {
    running->threads[current - 1]();
    threads[current].state = THREAD_ENDED;
    if (are_starting)
        _longjmp(starting_place, 1);
    pass_on();
    abort();
}

/* Runs a thread up to its first operation. */
static void start_thread(int started) {
    static ucontext_t context;
    if (_setjmp(starting_place) != 0)
        return;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks[started];
    context.uc_stack.ss_size = stack_size;
    context.uc_link = NULL;
    makecontext(&context, enter_thread, 0);
    become(started);
    setcontext(&context);
}

static void run_to_the_end(void) {
    explore_begin_execution();
    report_begin_execution();
    plain_begin_execution();
    memory_begin_execution();
    current = 0;
    local_count = 0;
    thread_count = 1;
    if (running->setup)
        running->setup();
    while (thread_count < thread_limit && running->threads[thread_count - 1])
        threads[thread_count++] = (thread){.state = THREAD_READY};
    for (int i = 0; i < local_count; i++)
        for (int k = 0; k < thread_limit; k++)
            __builtin_memcpy(threads[k].locals[i], locals[i].variable, locals[i].size);
    memory_start_threads(thread_count);
    are_starting = true;
    for (int i = 1; i < thread_count; i++)
        start_thread(i);
    are_starting = false;
    become(0);
    pass_on();
}

/* A wild pointer is a fault of what is tested. */
static void report_signal(int signal) {
    model_fail("signal %d: a wild pointer or a broken bound", signal);
}

static void catch_signals(void) {
    static unsigned char handler_stack[64 * 1024];
    stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    struct sigaction action = {.sa_handler = report_signal, .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
}

execution_outcome threads_run(const model_case *tested) {
    static bool are_signals_caught;
    if (!are_signals_caught)
        catch_signals();
    are_signals_caught = true;
    running = tested;
    int left = _setjmp(ending_place);
    if (left == 0)
        run_to_the_end();
    if (left != 1 + EXECUTION_GOOD)
        return (execution_outcome)(left - 1);
    become(0);
    memory_end_threads();
    if (running->check)
        running->check();
    return EXECUTION_GOOD;
}

/* -- Futex -- */

bool ati_futex_wait(_Atomic uint32_t *word, uint32_t expected, at_deadline deadline) {
    int location = memory_find(word, sizeof *word);
    operation *done =
        threads_step(&(operation){.name = "futex_wait", .location = location, .writes = true});
    /* The kernel looks at the word with the sleepers locked, after all that came before. */
    done->value = memory_read_newest(location);
    if (done->value != expected)
        return true;
    if (threads_are_alone())
        model_fail("setup or check sleeps");
    model_bounds *left = memory_budget();
    if (left->early_returns > 0 && explore_choose_value(2) == 1) {
        left->early_returns--;
        return true;
    }
    thread *self = &threads[current];
    self->state = THREAD_ASLEEP;
    self->asleep_on = location;
    self->is_timed = deadline != AT_FOREVER;
    self->has_timed_out = false;
    pending[current] = (operation){
        .name = "woken", .location = location, .thread = (uint8_t)current, .writes = true};
    pass_on();
    return !self->has_timed_out;
}

/* The word may be gone: only its address counts. */
void ati_futex_wake(_Atomic uint32_t *word, int count) {
    int location = *plain_location(word) - 1;
    threads_step(&(operation){.name = "futex_wake", .location = location, .writes = true});
    for (; count > 0; count--) {
        int asleep[thread_limit], asleep_count = 0;
        for (int i = 1; i < thread_count; i++)
            if (threads[i].state == THREAD_ASLEEP && threads[i].asleep_on == location)
                asleep[asleep_count++] = i;
        if (asleep_count == 0)
            return;
        threads[asleep[explore_choose_value(asleep_count)]].state = THREAD_READY;
    }
}
