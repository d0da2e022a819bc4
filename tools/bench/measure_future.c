/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include "clock.h"
#include "messages.h"
#include "peers/packaged.h"
#include "peers/plain_pool.h"
#include "tasks.h"

#include <asynctools/future.h>
#include <asynctools/promise.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_FUTURES = 10000, BATCHES = 200, CHAIN_LENGTH = 10000, CHAINS = 100, QUICK_SHARE = 20 };

/* What one subject does `BATCHES` times over. */
struct batch_program {
    void *(*create)(int workers);
    void (*run_batch)(void *pool, at_future **futures);
    void (*destroy)(void *pool);
};

static void end_refused(const at_error *error) {
    give_up("%s", at_error_message(error));
}

static void *return_argument(void *argument) {
    return argument;
}

static void *add_nothing(void *value, void *context) {
    (void)context;
    return value;
}

static void get_all(at_future **futures) {
    for (int i = 0; i < BATCH_FUTURES; i++) {
        if (at_future_wait(futures[i], AT_FOREVER, NULL) != AT_OK)
            end_refused(at_future_error(futures[i]));
        at_future_release(futures[i]);
    }
}

static void submit_one_by_one(void *pool, at_future **futures) {
    for (int i = 0; i < BATCH_FUTURES; i++)
        futures[i] = at_pool_submit(pool, return_argument, NULL);
    get_all(futures);
}

static void submit_many(void *pool, at_future **futures) {
    static char items[BATCH_FUTURES];
    at_pool_submit_many(pool, return_argument, AT_ITEMS(items, BATCH_FUTURES), futures);
    get_all(futures);
}

static void *create_pool(int workers) {
    at_pool *pool;
    if (at_pool_create(&pool, &(at_pool_options){.thread_count = workers}) != AT_OK)
        end_refused(at_error_last());
    return pool;
}

static void destroy_pool(void *pool) {
    at_pool_destroy(pool);
}

/* A future whose value comes when the gate opens, and CHAIN_LENGTH continuations behind it. */
static void run_chain(void *pool, at_future **futures) {
    (void)futures;
    at_promise *gate;
    if (at_promise_create(&gate, at_pool_executor(pool)) != AT_OK)
        end_refused(at_error_last());
    at_future *last = at_promise_future(gate);
    for (int i = 0; i < CHAIN_LENGTH; i++)
        last = at_future_then(last, add_nothing, NULL);
    if (at_promise_set(gate, NULL, NULL) != AT_OK ||
        at_future_wait(last, AT_FOREVER, NULL) != AT_OK)
        end_refused(at_future_error(last));
    at_future_release(last);
    at_promise_destroy(gate);
}

/* The same by hand: each task submits the next one. */
struct plain_chain {
    struct plain_pool *pool;
    int left;
};

static void *run_link(void *argument) {
    struct plain_chain *chain = argument;
    if (--chain->left > 0 && plain_pool_submit(chain->pool, run_link, chain) != 0)
        give_up("the plain pool is out of memory");
    return NULL;
}

static void run_plain_chain(void *pool, at_future **futures) {
    (void)futures;
    struct plain_chain chain = {.pool = pool, .left = CHAIN_LENGTH};
    if (plain_pool_submit(pool, run_link, &chain) != 0)
        give_up("the plain pool is out of memory");
    plain_pool_wait(pool);
}

static void *create_plain(int workers) {
    return plain_pool_create(workers);
}

static void destroy_plain(void *pool) {
    plain_pool_destroy(pool);
}

static const struct batch_program one_by_one = {create_pool, submit_one_by_one, destroy_pool};
static const struct batch_program many = {create_pool, submit_many, destroy_pool};
static const struct batch_program chain_of_thens = {create_pool, run_chain, destroy_pool};
static const struct batch_program plain_chain = {create_plain, run_plain_chain, destroy_plain};

#ifdef PEER_PACKAGED
static void run_packaged(void *pool, at_future **futures) {
    (void)futures;
    packaged_run_batch(pool, return_argument, BATCH_FUTURES);
}

static const struct batch_program packaged = {create_plain, run_packaged, destroy_plain};
#endif

static size_t list_futures(const struct benchmark_settings *settings, struct subject *subjects) {
    size_t count = 0;
    (void)settings;
    subjects[count++] =
        (struct subject){.name = "asynctools submit", .role = SUBJECT_LIBRARY, .data = &one_by_one};
    subjects[count++] =
        (struct subject){.name = "asynctools submit_many", .role = SUBJECT_LIBRARY, .data = &many};
#ifdef PEER_PACKAGED
    subjects[count++] = (struct subject){
        .name = "packaged_task, plain pool", .role = SUBJECT_PEER, .data = &packaged};
#endif
    return count;
}

static size_t list_then(const struct benchmark_settings *settings, struct subject *subjects) {
    (void)settings;
    subjects[0] = (struct subject){
        .name = "asynctools then", .role = SUBJECT_LIBRARY, .data = &chain_of_thens};
    subjects[1] =
        (struct subject){.name = "plain pool, by hand", .role = SUBJECT_PEER, .data = &plain_chain};
    return 2;
}

static bool measure_batches(const struct subject *subject,
                            const struct benchmark_settings *settings, int batches, int length,
                            struct benchmark_sample *sample) {
    const struct batch_program *program = subject->data;
    at_future **futures = malloc(BATCH_FUTURES * sizeof(at_future *));
    void *pool = program->create(settings->most_workers);
    if (!futures || !pool)
        give_up("cannot create %s", subject->name);
    if (settings->quick)
        batches /= QUICK_SHARE;
    program->run_batch(pool, futures);
    uint64_t cpu = tasks_cpu_ns(), start = now_ns();
    for (int i = 0; i < batches; i++)
        program->run_batch(pool, futures);
    sample->iterations = (uint64_t)batches * (uint64_t)length;
    sample->values[0] = (double)(now_ns() - start) / (double)sample->iterations;
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)sample->iterations;
    program->destroy(pool);
    free(futures);
    return true;
}

static bool measure_futures(const struct subject *subject,
                            const struct benchmark_settings *settings,
                            struct benchmark_sample *sample) {
    return measure_batches(subject, settings, BATCHES, BATCH_FUTURES, sample);
}

static bool measure_then(const struct subject *subject, const struct benchmark_settings *settings,
                         struct benchmark_sample *sample) {
    return measure_batches(subject, settings, CHAINS, CHAIN_LENGTH, sample);
}

const struct benchmark benchmark_futures = {
    .name = "futures",
    .help = "submit 10,000 tasks, then get and release each value, a future",
    .metrics = {{"time", "ns"}},
    .shows_rate = true,
    .list_subjects = list_futures,
    .measure = measure_futures,
};

const struct benchmark benchmark_then = {
    .name = "then",
    .help = "attach 10,000 continuations in a row, then run them, a stage",
    .metrics = {{"time", "ns"}},
    .shows_rate = true,
    .list_subjects = list_then,
    .measure = measure_then,
};
