/* SPDX-License-Identifier: MIT
 *
 * The checker itself: small programs of which it is known what C11 allows. */
#include "model.h"

typedef struct words {
    _Atomic uint32_t x;
    _Atomic uint32_t y;
    _Atomic uint32_t z;
    uint32_t plain;
} words;

static words *shared;
static uint32_t results[4];

static void set_up(void) {
    shared = model_allocate(sizeof *shared, _Alignof(words));
    memset(results, 0, sizeof results);
}

/* -- Store buffering: each stores its flag, then looks at the other's -- */

#define STORE_BUFFERING(name, store_order, load_order)                                             \
    static void name##_first(void) {                                                               \
        atomic_store_explicit(&shared->x, 1, store_order);                                         \
        results[0] = atomic_load_explicit(&shared->y, load_order);                                 \
    }                                                                                              \
    static void name##_second(void) {                                                              \
        atomic_store_explicit(&shared->y, 1, store_order);                                         \
        results[1] = atomic_load_explicit(&shared->x, load_order);                                 \
    }

STORE_BUFFERING(buffer_seq_cst, memory_order_seq_cst, memory_order_seq_cst)
STORE_BUFFERING(buffer_weak_store, memory_order_release, memory_order_seq_cst)
STORE_BUFFERING(buffer_weak_load, memory_order_seq_cst, memory_order_acquire)

static void buffer_fence_first(void) {
    atomic_store_explicit(&shared->x, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    results[0] = atomic_load_explicit(&shared->y, memory_order_relaxed);
}

static void buffer_fence_second(void) {
    atomic_store_explicit(&shared->y, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    results[1] = atomic_load_explicit(&shared->x, memory_order_relaxed);
}

static void one_saw_the_other(void) {
    model_check(results[0] == 1 || results[1] == 1);
}

/* -- Message passing: plain data, then a flag -- */

#define MESSAGE_PASSING(name, store_order, load_order)                                             \
    static void name##_sender(void) {                                                              \
        shared->plain = 42;                                                                        \
        atomic_store_explicit(&shared->x, 1, store_order);                                         \
    }                                                                                              \
    static void name##_receiver(void) {                                                            \
        if (atomic_load_explicit(&shared->x, load_order) == 1)                                     \
            model_check(shared->plain == 42);                                                      \
    }

MESSAGE_PASSING(message_right, memory_order_release, memory_order_acquire)
MESSAGE_PASSING(message_weak_store, memory_order_relaxed, memory_order_acquire)
MESSAGE_PASSING(message_weak_load, memory_order_release, memory_order_relaxed)

static void message_fence_sender(void) {
    shared->plain = 42;
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&shared->x, 1, memory_order_relaxed);
}

static void message_fence_receiver(void) {
    if (atomic_load_explicit(&shared->x, memory_order_relaxed) == 1) {
        atomic_thread_fence(memory_order_acquire);
        model_check(shared->plain == 42);
    }
}

/* The same with an atomic word for the data: a stale value, not a race. */

static void word_sender(void) {
    atomic_store_explicit(&shared->y, 42, memory_order_relaxed);
    atomic_store_explicit(&shared->x, 1, memory_order_release);
}

static void word_receiver(void) {
    if (atomic_load_explicit(&shared->x, memory_order_acquire) == 1)
        model_check(atomic_load_explicit(&shared->y, memory_order_relaxed) == 42);
}

static void word_weak_receiver(void) {
    if (atomic_load_explicit(&shared->x, memory_order_relaxed) == 1)
        model_check(atomic_load_explicit(&shared->y, memory_order_relaxed) == 42);
}

/* An exchange in between carries the release on. */

static void word_relay(void) {
    uint32_t one = 1;
    atomic_compare_exchange_strong_explicit(&shared->x, &one, 2, memory_order_relaxed,
                                            memory_order_relaxed);
}

static void word_late_receiver(void) {
    if (atomic_load_explicit(&shared->x, memory_order_acquire) == 2)
        model_check(atomic_load_explicit(&shared->y, memory_order_relaxed) == 42);
}

/* -- Coherence: one word never goes back -- */

static void count_up(void) {
    atomic_store_explicit(&shared->x, 1, memory_order_relaxed);
    atomic_store_explicit(&shared->x, 2, memory_order_relaxed);
}

static void read_twice(void) {
    uint32_t before = atomic_load_explicit(&shared->x, memory_order_relaxed);
    uint32_t after = atomic_load_explicit(&shared->x, memory_order_relaxed);
    model_check(after >= before);
}

/* -- Independent reads of independent writes -- */

static void write_x(void) {
    atomic_store_explicit(&shared->x, 1, memory_order_seq_cst);
}

static void write_y(void) {
    atomic_store_explicit(&shared->y, 1, memory_order_seq_cst);
}

#define READ_BOTH(name, first, second, at, order)                                                  \
    static void name(void) {                                                                       \
        results[at] = atomic_load_explicit(&shared->first, order);                                 \
        results[at + 1] = atomic_load_explicit(&shared->second, order);                            \
    }

READ_BOTH(read_x_y, x, y, 0, memory_order_seq_cst)
READ_BOTH(read_y_x, y, x, 2, memory_order_seq_cst)
READ_BOTH(acquire_x_y, x, y, 0, memory_order_acquire)
READ_BOTH(acquire_y_x, y, x, 2, memory_order_acquire)

static void readers_agree(void) {
    model_check(!(results[0] == 1 && results[1] == 0 && results[2] == 1 && results[3] == 0));
}

/* -- Counting without and with an atomic addition -- */

static void add_in_two_steps(void) {
    uint32_t value = atomic_load_explicit(&shared->x, memory_order_relaxed);
    atomic_store_explicit(&shared->x, value + 1, memory_order_relaxed);
}

static void add_in_one_step(void) {
    atomic_fetch_add_explicit(&shared->x, 1, memory_order_relaxed);
}

static void counted_three(void) {
    model_check(atomic_load_explicit(&shared->x, memory_order_relaxed) == 3);
}

/* -- How many executions there are, where that can be counted by hand -- */

static uint32_t outcomes; /* a bit for each pair of results */

static void remember_outcome(void) {
    outcomes |= 1u << (2 * results[0] + results[1]);
}

static void check_outcomes_before(void) {
    model_check(outcomes == 0xf); /* both, either and none was stale, over all executions */
}

#define BOTH(first, second) {first, second}
#define ALL .preemptions = MODEL_UNBOUNDED, .stale_reads = MODEL_UNBOUNDED
#define BOUNDED .preemptions = 2, .stale_reads = 2

int main(int argument_count, char **arguments) {
    static const model_case cases[] = {
#define CASE(text, first, second, at_end, fails)                                                   \
    {.name = text ", unbounded",                                                                   \
     .setup = set_up,                                                                              \
     .threads = {first, second},                                                                   \
     .check = at_end,                                                                              \
     .must_fail = fails,                                                                           \
     ALL},                                                                                         \
        {.name = text ", bounded",                                                                 \
         .setup = set_up,                                                                          \
         .threads = {first, second},                                                               \
         .check = at_end,                                                                          \
         .must_fail = fails,                                                                       \
         BOUNDED}
        CASE("store buffering", buffer_seq_cst_first, buffer_seq_cst_second, one_saw_the_other,
             false),
        CASE("store buffering, stores release", buffer_weak_store_first, buffer_weak_store_second,
             one_saw_the_other, true),
        CASE("store buffering, loads acquire", buffer_weak_load_first, buffer_weak_load_second,
             one_saw_the_other, true),
        CASE("store buffering, fences", buffer_fence_first, buffer_fence_second, one_saw_the_other,
             false),
        CASE("message passing", message_right_sender, message_right_receiver, NULL, false),
        CASE("message passing, store relaxed", message_weak_store_sender,
             message_weak_store_receiver, NULL, true),
        CASE("message passing, load relaxed", message_weak_load_sender, message_weak_load_receiver,
             NULL, true),
        CASE("message passing, fences", message_fence_sender, message_fence_receiver, NULL, false),
        CASE("message passing, word", word_sender, word_receiver, NULL, false),
        CASE("message passing, word, load relaxed", word_sender, word_weak_receiver, NULL, true),
        CASE("coherence", count_up, read_twice, NULL, false),
#undef CASE
#define CASE(text, first, second, third, fourth, at_end, fails)                                    \
    {.name = text,                                                                                 \
     .setup = set_up,                                                                              \
     .threads = {first, second, third, fourth},                                                    \
     .check = at_end,                                                                              \
     .must_fail = fails,                                                                           \
     ALL},                                                                                         \
    {                                                                                              \
        .name = text ", bounded", .setup = set_up, .threads = {first, second, third, fourth},      \
        .check = at_end, .must_fail = fails, BOUNDED                                               \
    }
        CASE("release carried on", word_sender, word_relay, word_late_receiver, NULL, NULL, false),
        CASE("readers agree", write_x, write_y, read_x_y, read_y_x, readers_agree, false),
        CASE("readers disagree, acquire", write_x, write_y, acquire_x_y, acquire_y_x, readers_agree,
             true),
        CASE("addition", add_in_one_step, add_in_one_step, add_in_one_step, NULL, counted_three,
             false),
        CASE("addition in two steps", add_in_two_steps, add_in_two_steps, add_in_two_steps, NULL,
             counted_three, true),
#undef CASE
    };
    (void)remember_outcome;
    (void)check_outcomes_before;
    return model_main(argument_count, arguments, cases, sizeof cases / sizeof *cases);
}
