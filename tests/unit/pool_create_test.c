/* SPDX-License-Identifier: MIT
 *
 * Rules L1, L2, L4 and H00: what at_pool_create takes, what it refuses and what it makes. */
#include "support/tasks.h"
#include "support/test.h"

#include <asynctools/cpu.h>

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

TestSuite(pool_create, .timeout = 200);

/* Rule L2: as many workers as CPUs that the process may really use. */
Test(pool_create, defaults) {
    at_pool *pool = NULL;
    cr_assert_eq(at_pool_create(&pool, NULL), AT_OK);
    cr_expect_eq(at_pool_thread_count(pool), at_cpu_count());
    at_future *future = at_pool_submit(pool, tally_run, &(struct tally){0});
    wait_value(future);
    at_future_release(future);
    destroy_pool(pool);
    pool = NULL;
    cr_assert_eq(at_pool_create(&pool, &(at_pool_options){0}), AT_OK);
    cr_expect_eq(at_pool_thread_count(pool), at_cpu_count());
    destroy_pool(pool);
}

Test(pool_create, thread_count_is_what_was_asked_for) {
    static const int counts[] = {1, 2, 3, 17, 64};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        at_pool *pool = create_pool(counts[i]);
        cr_expect_eq(at_pool_thread_count(pool), counts[i]);
        destroy_pool(pool);
    }
}

/* -- Bad input ------------------------------------------------------------------------------- */

static void expect_invalid(const char *member, const at_pool_options *options) {
    at_pool *untouched = (at_pool *)&untouched;
    at_pool *pool = untouched;
    at_error_clear();
    cr_assert_eq(at_pool_create(&pool, options), AT_ERROR_INVALID, "%s", member);
    cr_expect_eq(pool, untouched, "%s", member);
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_INVALID, "%s", member);
    cr_expect_not_null(strstr(at_error_text(at_error_last()), member), "%s: %s", member,
                       at_error_text(at_error_last()));
    at_error_clear();
}

/* Rule H00: a bad value is a status that names the member, and nothing is made. */
Test(pool_create, bad_thread_counts) {
    static const int64_t values[] = {AT_NONE, -2, 4097, AT_UNLIMITED, INT64_MIN, INT64_MAX - 1};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        expect_invalid("thread_count", &(at_pool_options){.thread_count = values[i]});
}

Test(pool_create, bad_stack_sizes) {
    static const int64_t values[] = {
        AT_NONE, -2, 1, 65535, (INT64_C(1) << 30) + 1, AT_UNLIMITED, INT64_MIN,
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        expect_invalid("stack_bytes", &(at_pool_options){.stack_bytes = values[i]});
}

Test(pool_create, bad_queue_bounds) {
    static const int64_t values[] = {AT_NONE, -2, INT64_MIN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        expect_invalid("queue_bound", &(at_pool_options){.queue_bound = values[i]});
}

Test(pool_create, bad_spare_counts) {
    static const int64_t values[] = {-2, 16385, AT_UNLIMITED, INT64_MIN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        expect_invalid("max_spares", &(at_pool_options){.max_spares = values[i]});
}

Test(pool_create, bad_cpus) {
    static const int negative = -1;
    static const int first = 0;
    expect_invalid("cpu", &(at_pool_options){.cpus = &negative, .cpu_count = 1});
    expect_invalid("cpu_count", &(at_pool_options){.cpus = &first, .cpu_count = -1});
    expect_invalid("cpu_count", &(at_pool_options){.cpus = &first, .cpu_count = INT64_MIN});
    expect_invalid("cpus", &(at_pool_options){.cpus = NULL, .cpu_count = 1});
}

/* A CPU that no machine has cannot be run on. */
Test(pool_create, cpus_that_do_not_exist) {
    static const int far = 1000000000;
    at_pool *pool = NULL;
    at_status status =
        at_pool_create(&pool, &(at_pool_options){.cpus = &far, .cpu_count = 1, .thread_count = 1});
    cr_expect(status == AT_ERROR_INVALID || status == AT_ERROR_SYSTEM);
    cr_expect_null(pool);
}

Test(pool_create, reserved_members_are_zero) {
    for (int i = 0; i < 4; i++) {
        at_pool_options options = {.thread_count = 1};
        options.reserved[i] = UINT64_C(1) << (i * 20);
        expect_invalid("reserved", &options);
    }
}

/* The ends of the ranges are inside. */
Test(pool_create, limits_are_allowed) {
    static const at_pool_options options[] = {
        {.thread_count = 1, .stack_bytes = 65536},
        {.thread_count = 1, .queue_bound = 1},
        {.thread_count = 1, .queue_bound = AT_UNLIMITED},
        {.thread_count = 1, .max_spares = AT_NONE},
        {.thread_count = 1, .max_spares = 16384},
        {.thread_count = 1, .name = ""},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        at_pool *pool = NULL;
        cr_assert_eq(at_pool_create(&pool, &options[i]), AT_OK, "%zu", i);
        at_future *future = at_pool_submit(pool, tally_run, &(struct tally){0});
        wait_value(future);
        at_future_release(future);
        destroy_pool(pool);
    }
}

/* -- What was made --------------------------------------------------------------------------- */

static void *read_thread_name(void *name) {
    pthread_getname_np(pthread_self(), name, 16);
    return name;
}

static void check_thread_name(const char *name, const char *begins) {
    char copy[100];
    char found[16] = "";
    at_pool *pool = NULL;
    snprintf(copy, sizeof copy, "%s", name);
    cr_assert_eq(at_pool_create(&pool, &(at_pool_options){.thread_count = 2, .name = copy}), AT_OK);
    memset(copy, 'x', sizeof copy - 1);
    at_future *future = at_pool_submit(pool, read_thread_name, found);
    wait_value(future);
    at_future_release(future);
    cr_expect_eq(strncmp(found, begins, strlen(begins)), 0, "%s", found);
    destroy_pool(pool);
}

/* Rule L4: "<pool>-<n>", 15 characters at most; the name is copied. */
Test(pool_create, threads_are_named) {
    check_thread_name("short", "short-");
    check_thread_name("a_name_that_is_longer_than_any_thread's", "a_name_that_");
}

static void *read_signal_mask(void *mask) {
    pthread_sigmask(SIG_SETMASK, NULL, mask);
    return mask;
}

/* Rule L4: only signals of the thread's own doing, PROF and PIPE reach a worker. */
Test(pool_create, workers_block_signals) {
    static const int open_signals[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL, SIGTRAP,
                                       SIGSYS,  SIGABRT, SIGPROF, SIGPIPE};
    sigset_t mask;
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    at_pool *pool = create_pool(1);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    at_future *future = at_pool_submit(pool, read_signal_mask, &mask);
    wait_value(future);
    at_future_release(future);
    destroy_pool(pool);
    for (int number = 1; number < 32; number++) {
        bool open = number == SIGKILL || number == SIGSTOP;
        for (size_t i = 0; i < sizeof open_signals / sizeof *open_signals; i++)
            open = open || open_signals[i] == number;
        cr_expect_eq(sigismember(&mask, number), !open, "signal %d", number);
        cr_expect_eq(sigismember(&after, number), sigismember(&before, number));
    }
}

static void *read_stack_size(void *size) {
    pthread_attr_t attributes;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstacksize(&attributes, size);
    pthread_attr_destroy(&attributes);
    return size;
}

/* Rule W5: the worker's own stack has the size of the option. */
Test(pool_create, stack_size_is_what_was_asked_for) {
    static const int64_t sizes[] = {0, 65536, 1 << 20, 16 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t found = 0;
        at_pool *pool = NULL;
        cr_assert_eq(
            at_pool_create(&pool, &(at_pool_options){.thread_count = 1, .stack_bytes = sizes[i]}),
            AT_OK);
        at_future *future = at_pool_submit(pool, read_stack_size, &found);
        wait_value(future);
        at_future_release(future);
        destroy_pool(pool);
        size_t wanted = sizes[i] ? (size_t)sizes[i] : 256 * 1024;
        cr_expect_geq(found, wanted);
    }
}

static void *read_affinity(void *set) {
    sched_getaffinity(0, sizeof(cpu_set_t), set);
    return set;
}

/* Rule L2: the CPU set is an option, and copied. */
Test(pool_create, workers_stay_on_their_cpus) {
    cpu_set_t allowed, found;
    cr_assert_eq(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    int last = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed))
            last = cpu;
    int cpus[1] = {last};
    at_pool *pool = NULL;
    cr_assert_eq(
        at_pool_create(&pool, &(at_pool_options){.thread_count = 2, .cpus = cpus, .cpu_count = 1}),
        AT_OK);
    cpus[0] = -1;
    at_future *future = at_pool_submit(pool, read_affinity, &found);
    wait_value(future);
    at_future_release(future);
    destroy_pool(pool);
    cr_expect_eq(CPU_COUNT(&found), 1);
    cr_expect(CPU_ISSET(last, &found));
}

static struct {
    _Atomic int started;
    _Atomic int stopped;
    _Atomic int tasks_before_start;
    _Atomic int tasks_after_stop;
} hooks;

static _Thread_local enum { hook_none, hook_started, hook_stopped } hook_state;

static void note_start(void *context) {
    atomic_fetch_add((_Atomic int *)context, 1);
    hook_state = hook_started;
}

static void note_stop(void *context) {
    (void)context;
    atomic_fetch_add(&hooks.stopped, 1);
    hook_state = hook_stopped;
}

static void *look_at_hooks(void *unused) {
    atomic_fetch_add(&hooks.tasks_before_start, hook_state == hook_none);
    atomic_fetch_add(&hooks.tasks_after_stop, hook_state == hook_stopped);
    return unused;
}

/* Rule L2: each worker calls the hooks, before its first task and after its last. */
Test(pool_create, hooks_are_called_by_each_worker) {
    at_pool *pool = NULL;
    cr_assert_eq(at_pool_create(&pool, &(at_pool_options){.thread_count = 5,
                                                          .on_thread_start = note_start,
                                                          .on_thread_stop = note_stop,
                                                          .context = &hooks.started}),
                 AT_OK);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(at_pool_start(pool, look_at_hooks, NULL), AT_OK);
    cr_expect_eq(hooks.stopped, 0);
    destroy_pool(pool);
    cr_expect_eq(hooks.started, 5);
    cr_expect_eq(hooks.stopped, 5);
    cr_expect_eq(hooks.tasks_before_start, 0);
    cr_expect_eq(hooks.tasks_after_stop, 0);
}

/* Nothing of a pool is left; all threads have been joined. */
Test(pool_create, pools_come_and_go) {
    destroy_pool(create_pool(2)); /* what the process keeps comes with the first */
    int before = count_threads();
    for (int i = 0; i < 200; i++) {
        at_pool *pool = create_pool(3);
        cr_expect_geq(count_threads(), before + 3);
        destroy_pool(pool);
    }
    cr_expect(threads_fall_to(before));
    at_pool_destroy(NULL);
}

/* Rule L1: pools never affect each other. */
Test(pool_create, pools_are_independent) {
    struct gate gate = GATE_CLOSED;
    at_pool *blocked = create_pool(1);
    cr_assert_eq(at_pool_start(blocked, gate_pass, &gate), AT_OK);
    gate_await(&gate, 1);
    for (int i = 0; i < 10; i++) {
        at_pool *pool = create_pool(1);
        at_future *future = at_pool_submit(pool, tally_run, &(struct tally){0});
        wait_value(future);
        at_future_release(future);
        at_pool_audit_result audit = destroy_pool(pool);
        cr_expect_eq(audit.accepted, 1);
    }
    gate_open(&gate);
    cr_expect_eq(destroy_pool(blocked).accepted, 1);
}

struct late_start {
    at_pool *_Atomic pool;
    _Atomic int stops;
    _Atomic int refused;
    struct tally late;
};

static void start_at_stop(void *context) {
    struct late_start *late_start = context;
    atomic_fetch_add(&late_start->stops, 1);
    at_status status = at_pool_start(atomic_load(&late_start->pool), tally_run, &late_start->late);
    if (status == AT_ERROR_CLOSED)
        atomic_fetch_add(&late_start->refused, 1);
}

/* Rule S1: nothing that a stop hook starts is accepted and then lost. */
Test(pool_create, stop_hooks_may_start_no_tasks) {
    struct late_start late_start = {.pool = NULL};
    at_pool *pool = NULL;
    cr_assert_eq(at_pool_create(&pool, &(at_pool_options){.thread_count = 3,
                                                          .on_thread_stop = start_at_stop,
                                                          .context = &late_start}),
                 AT_OK);
    atomic_store(&late_start.pool, pool);
    destroy_pool(pool);
    cr_expect_eq(late_start.stops, 3);
    cr_expect_eq(late_start.refused, 3);
    cr_expect_eq(tally_runs(&late_start.late), 0);
}

/* Rule L2: no more workers than CPUs that they may run on. */
Test(pool_create, default_thread_count_on_one_cpu) {
    cpu_set_t allowed;
    cr_assert_eq(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    int cpu = 0;
    while (!CPU_ISSET(cpu, &allowed))
        cpu++;
    at_pool *pool = NULL;
    cr_assert_eq(at_pool_create(&pool, &(at_pool_options){.cpus = &cpu, .cpu_count = 1}), AT_OK);
    cr_expect_eq(at_pool_thread_count(pool), 1);
    destroy_pool(pool);
}
