/* SPDX-License-Identifier: MIT
 *
 * What models of locks have in common: a plain counter in the section. Before it the model says how
 * far its cases go, by `enum { preemptions = ..., stale_reads = ... }`. */
#ifndef MODEL_LOCK_HARNESS_H
#define MODEL_LOCK_HARNESS_H

static uint32_t *guarded; /* written by two at once, it is a data race */
static uint32_t counted[MODEL_THREADS];

int64_t ati_monotonic_ns(void) {
    return 0;
}

static void guard(uint32_t *counter) {
    guarded = counter;
    memset(counted, 0, sizeof counted);
}

static void count(void) {
    ++*guarded;
    counted[model_thread_number()]++;
}

static void check_sum(void) {
    uint32_t sum = 0;
    for (int i = 0; i < MODEL_THREADS; i++)
        sum += counted[i];
    model_check(*guarded == sum);
}

#define CASE_FROM(text, set_it_up, ...)                                                            \
    {                                                                                              \
        .name = text, .setup = set_it_up, .threads = {__VA_ARGS__}, .check = check_count,          \
        .preemptions = preemptions, .stale_reads = stale_reads                                     \
    }
#define CASE(text, ...) CASE_FROM(text, set_up, __VA_ARGS__)

/* With one order weaker, which has to be found. */
#define MUTANT(in, operation, object, from, to, ...)                                               \
    {                                                                                              \
        .name = "mutant: " operation " " object " in " in ", " #to, .setup = set_up,               \
        .threads = {__VA_ARGS__}, .check = check_count, .preemptions = preemptions,                \
        .stale_reads = stale_reads, .must_fail = true, .mutant = {                                 \
            in,                                                                                    \
            operation,                                                                             \
            object,                                                                                \
            memory_order_##from,                                                                   \
            memory_order_##to                                                                      \
        }                                                                                          \
    }

#endif
