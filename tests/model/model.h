/* SPDX-License-Identifier: MIT
 *
 * A small model checker: runs a few threads over the library's own sources in every order, and with
 * every stale value, that its bounds allow. See docs/design/model-checking.md.
 *
 * A model is a program of cases. Each execution of a case calls `setup` (one thread, nothing to
 * choose), then its threads, then `check` (one thread that has seen everything). What threads share
 * lies in memory from model_allocate or ati_allocate: it comes back fresh for every execution, its
 * atomic words have histories, and its plain words are watched for data races. Static variables of
 * a model are neither; setup resets them. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "base/atomic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MODEL_THREADS = 4,    /* of a case */
    MODEL_UNBOUNDED = -1, /* as a bound */
};

/* An operation of the source, made weaker: the first of `function` on `object` whose order is
 * `from` gets `to`. */
typedef struct model_mutant {
    const char *function;
    const char *operation;
    const char *object;
    memory_order from;
    memory_order to;
} model_mutant;

typedef struct model_case {
    const char *name;
    void (*setup)(void);
    void (*threads[MODEL_THREADS])(void);
    void (*check)(void);
    int preemptions;   /* switches away from a thread that could go on; unbounded: by DPOR */
    int stale_reads;   /* loads that give less than the newest value */
    int early_returns; /* futex waits that return for no reason */
    bool ends_asleep;  /* all threads left asleep is an end to be checked, not a deadlock */
    bool must_fail;    /* the checker has to find a fault */
    model_mutant mutant;
} model_case;

/* Runs the cases, and prints of each how many executions there were. Arguments: a text runs only
 * the cases whose names contain it; `--preemptions n` and `--stale-reads n` put other bounds, -1
 * for none; `--mutants` then makes every atomic operation weaker, one at a time, and says which of
 * these mutants are found. */
int model_main(int argument_count, char **arguments, const model_case *cases, size_t case_count);

/* Runs one case, printing nothing, and gives how many executions there were; -1: one was faulty. */
long model_explore(const model_case *tested);

/* The calling thread waits for something to change: the others go first. Without a bound on
 * preemptions it does nothing; then a loop must not depend on it. */
void model_yield(void);

/* Zeroed memory for this execution. */
void *model_allocate(size_t size, size_t alignment);

/* A variable that each thread is to have for itself, as it is after setup. At most 64 bytes. */
void model_thread_local(void *variable, size_t size);

/* The number of the calling thread of the case, from 0. */
int model_thread_number(void);

/* How many threads are asleep; for a check of what `ends_asleep`. */
int model_asleep_count(void);

/* Ends the execution as faulty. */
_Noreturn void model_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define model_check(condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            model_fail("%s:%d: does not hold: %s", __FILE__, __LINE__, #condition);                \
    } while (0)

#endif
