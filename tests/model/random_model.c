/* SPDX-License-Identifier: MIT
 *
 * The checker itself: random programs of a few operations have the same outcomes whether all
 * executions are run or only those that its reduction leaves. */
#include "model.h"

#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    thread_max = 3,
    step_max = 4,
    word_count = 3,
    outcome_max = 1 << 16, /* a power of two */
    program_count = 3000,
    every_switch = 1000, /* as a bound */
};

typedef enum action { LOAD, STORE, ADD, EXCHANGE, COMPARE, FENCE, action_count } action;

typedef struct step {
    action does;
    int word;
    uint32_t value;
    memory_order order;
} step;

typedef struct outcomes {
    uint64_t places[outcome_max]; /* a hash table; 0: free */
    long count;
} outcomes;

static struct {
    int thread_count;
    int step_count[thread_max];
    step steps[thread_max][step_max];
} program;

static _Atomic uint32_t *words;
static uint32_t seen[thread_max][step_max];
static outcomes *found; /* of the exploration in progress */

static void set_up(void) {
    words = model_allocate(word_count * sizeof *words, sizeof *words);
    memset(seen, 0, sizeof seen);
}

/* -- One thread: a site for each operation and order, as in any source -- */

#define WITH_ORDER(order, operation)                                                               \
    switch (order) {                                                                               \
    case memory_order_relaxed:                                                                     \
        operation(memory_order_relaxed);                                                           \
        break;                                                                                     \
    case memory_order_acquire:                                                                     \
        operation(memory_order_acquire);                                                           \
        break;                                                                                     \
    case memory_order_release:                                                                     \
        operation(memory_order_release);                                                           \
        break;                                                                                     \
    case memory_order_acq_rel:                                                                     \
        operation(memory_order_acq_rel);                                                           \
        break;                                                                                     \
    default:                                                                                       \
        operation(memory_order_seq_cst);                                                           \
    }

static uint32_t do_step(const step *todo) {
    _Atomic uint32_t *word = &words[todo->word];
    uint32_t value = todo->value, result = 0;
#define DO_LOAD(order) result = atomic_load_explicit(word, order)
#define DO_STORE(order) atomic_store_explicit(word, value, order)
#define DO_ADD(order) result = atomic_fetch_add_explicit(word, value, order)
#define DO_EXCHANGE(order) result = atomic_exchange_explicit(word, value, order)
#define DO_COMPARE(order)                                                                          \
    atomic_compare_exchange_strong_explicit(word, &result, value, order, memory_order_relaxed)
#define DO_FENCE(order) atomic_thread_fence(order)
    switch (todo->does) {
    case LOAD:
        WITH_ORDER(todo->order, DO_LOAD)
        break;
    case STORE:
        WITH_ORDER(todo->order, DO_STORE)
        break;
    case ADD:
        WITH_ORDER(todo->order, DO_ADD)
        break;
    case EXCHANGE:
        WITH_ORDER(todo->order, DO_EXCHANGE)
        break;
    case COMPARE:
        WITH_ORDER(todo->order, DO_COMPARE)
        break;
    default:
        WITH_ORDER(todo->order, DO_FENCE)
    }
    return result;
}

static void run_thread(void) {
    int number = model_thread_number();
    for (int i = 0; i < program.step_count[number]; i++)
        seen[number][i] = do_step(&program.steps[number][i]);
}

/* -- Outcomes: what the threads saw and what is there at the end, as a hash -- */

static void add_outcome(void) {
    uint64_t hash = 1;
    for (int i = 0; i < thread_max; i++)
        for (int k = 0; k < step_max; k++) {
            hash ^= seen[i][k];
            hash = ati_random_step(&hash);
        }
    for (int i = 0; i < word_count; i++) {
        hash ^= atomic_load_explicit(&words[i], memory_order_relaxed);
        hash = ati_random_step(&hash);
    }
    uint64_t place = hash % outcome_max;
    while (found->places[place] && found->places[place] != hash)
        place = (place + 1) % outcome_max;
    found->count += found->places[place] == 0;
    found->places[place] = hash;
    if (found->count == outcome_max / 2)
        model_fail("too many outcomes");
}

static long explore(int preemptions, outcomes *into) {
    memset(into, 0, sizeof *into);
    found = into;
    model_case tested = {.setup = set_up,
                         .threads = {run_thread, run_thread},
                         .check = add_outcome,
                         .preemptions = preemptions,
                         .stale_reads = MODEL_UNBOUNDED};
    if (program.thread_count == 3)
        tested.threads[2] = run_thread;
    return model_explore(&tested);
}

static bool are_same(const outcomes *one, const outcomes *other) {
    if (one->count != other->count)
        return false;
    for (size_t i = 0; i < outcome_max; i++) {
        uint64_t hash = one->places[i];
        size_t place = hash % outcome_max;
        while (hash && other->places[place] && other->places[place] != hash)
            place = (place + 1) % outcome_max;
        if (hash && other->places[place] != hash)
            return false;
    }
    return true;
}

/* -- Programs -- */

static memory_order pick_order(action does, uint64_t random) {
    static const memory_order loads[] = {memory_order_relaxed, memory_order_acquire,
                                         memory_order_seq_cst, memory_order_seq_cst};
    static const memory_order stores[] = {memory_order_relaxed, memory_order_release,
                                          memory_order_seq_cst, memory_order_seq_cst};
    static const memory_order others[] = {memory_order_acquire, memory_order_release,
                                          memory_order_acq_rel, memory_order_seq_cst};
    return (does == LOAD ? loads : does == STORE ? stores : others)[random % 4];
}

static void make_program(uint64_t seed) {
    memset(&program, 0, sizeof program);
    program.thread_count = 2 + (int)(ati_random_step(&seed) % 2);
    for (int i = 0; i < program.thread_count; i++) {
        program.step_count[i] = program.thread_count == 2 ? 2 + (int)(ati_random_step(&seed) % 3)
                                                          : 1 + (int)(ati_random_step(&seed) % 3);
        for (int k = 0; k < program.step_count[i]; k++) {
            step *made = &program.steps[i][k];
            /* Loads and stores are as frequent as all others together. */
            uint64_t kind = ati_random_step(&seed) % (2 * action_count);
            made->does = kind < action_count ? (action)kind : kind % 2 ? LOAD : STORE;
            made->word = (int)(ati_random_step(&seed) % (program.thread_count == 2 ? 2 : 3));
            made->value = 1 + (uint32_t)(ati_random_step(&seed) % 3);
            made->order = pick_order(made->does, ati_random_step(&seed));
        }
    }
}

static void print_program(void) {
    static const char *const names[] = {"load", "store", "add", "exchange", "compare", "fence"};
    for (int i = 0; i < program.thread_count; i++)
        for (int k = 0; k < program.step_count[i]; k++) {
            const step *shown = &program.steps[i][k];
            printf("  thread %d: %s word %d, value %u, order %d\n", i + 1, names[shown->does],
                   shown->word, shown->value, (int)shown->order);
        }
}

int main(int argument_count, char **arguments) {
    static outcomes all, reduced;
    long executions = 0, reduced_executions = 0;
    long count = argument_count > 1 ? atol(arguments[1]) : program_count;
    for (long i = 0; i < count; i++) {
        make_program((uint64_t)i);
        long run = explore(every_switch, &all);
        long reduced_run = explore(MODEL_UNBOUNDED, &reduced);
        if (run < 0 || reduced_run < 0 || !are_same(&all, &reduced)) {
            printf("FAILED: program %ld: %ld outcomes of %ld executions, reduced %ld of %ld\n", i,
                   all.count, run, reduced.count, reduced_run);
            print_program();
            return EXIT_FAILURE;
        }
        executions += run;
        reduced_executions += reduced_run;
    }
    printf("ok: %ld programs: %ld executions, %ld reduced, the same outcomes\n", count, executions,
           reduced_executions);
    return EXIT_SUCCESS;
}
