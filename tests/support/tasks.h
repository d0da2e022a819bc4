/* SPDX-License-Identifier: MIT
 *
 * What tests of pools and futures share: pools whose audit is checked at the end, gates that hold
 * tasks back, and arguments that count what became of them. */
#ifndef TEST_SUPPORT_TASKS_H
#define TEST_SUPPORT_TASKS_H

#include <asynctools/future.h>
#include <asynctools/pool.h>
#include <asynctools/promise.h>
#include <asynctools/virtual_clock.h>

#include <pthread.h>
#include <stdatomic.h>

/* Long enough for every sanitizer; a wait that reaches it has failed. On a virtual clock it is
 * reached only if nothing else is left to happen. */
#define PATIENCE at_after(AT_SECONDS(50))

/* A virtual clock, bound to this thread, that pools created from now on go by. */
at_clock *bind_virtual_clock(void);
void unbind_virtual_clock(at_clock *clock);

/* A pool of that many threads; the test fails if there is none. */
at_pool *create_pool(int64_t thread_count);

/* Finishes all tasks, checks the audit (rule S5) and destroys the pool. Gives the audit. */
at_pool_audit_result destroy_pool(at_pool *pool);

/* Waits without limit and checks that the outcome is a success; gives the value. */
void *wait_value(at_future *future);

/* Waits without limit and checks that the status is this one. */
void expect_outcome(at_future *future, at_status status);

/* A promise for that pool, and its future. */
at_promise *create_promise(at_pool *pool, at_future **future);

/* Counts the threads of this process. */
int count_threads(void);

/* Looks whether there are no more threads than that; those that have just been joined may take a
 * moment to leave the kernel's lists. */
bool threads_fall_to(int count);

/* Tasks enter and stay until the gate is opened. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int entered; /* guarded by mutex */
    bool open;   /* guarded by mutex */
};

#define GATE_CLOSED                                                                                \
    { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false }

void *gate_pass(void *gate);                   /* a work function; gives the gate */
void gate_await(struct gate *gate, int count); /* until so many have entered */
void gate_open(struct gate *gate);

/* Counts, from any thread. */
struct tally {
    _Atomic int runs;
    _Atomic int drops;
};

void *tally_run(void *tally); /* a work function; gives the tally */
void tally_drop(void *tally); /* a drop */
int tally_runs(const struct tally *tally);
int tally_drops(const struct tally *tally);

#endif
