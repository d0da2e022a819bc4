/* SPDX-License-Identifier: MIT
 *
 * The checker itself: small programs of which it is known what C11 allows. */
#include "model.h"

#include "base/futex.h"
#include "base/memory.h"

typedef struct words {
    _Atomic uint32_t x;
    _Atomic uint32_t y;
    _Atomic uint32_t z;
    _Atomic(uint32_t *) pointer;
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

/* -- What else has to be found -- */

static void sleep_for_ever(void) {
    ati_futex_wait(&shared->z, 0, AT_FOREVER);
}

/* Handed over, but released too early by the one who took it. */
static void release_piece(void) {
    uint32_t *piece = ati_allocate(sizeof *piece);
    *piece = 1;
    atomic_store_explicit(&shared->pointer, piece, memory_order_release);
    ati_release(piece, sizeof *piece);
}

static void use_released(void) {
    uint32_t *piece = atomic_load_explicit(&shared->pointer, memory_order_acquire);
    if (piece)
        results[0] = *piece;
}

/* Each is tried with and without a bound. */
#define CASE_WITHIN(text, bound, at_end, fails, ...)                                               \
    {                                                                                              \
        .name = text, .setup = set_up, .threads = {__VA_ARGS__}, .check = at_end,                  \
        .must_fail = fails, .preemptions = bound, .stale_reads = bound                             \
    }
#define CASE(text, at_end, fails, ...)                                                             \
    CASE_WITHIN(text, MODEL_UNBOUNDED, at_end, fails, __VA_ARGS__),                                \
        CASE_WITHIN(text, 2, at_end, fails, __VA_ARGS__)

static const model_case cases[] = {
    CASE("store buffering", one_saw_the_other, false, buffer_seq_cst_first, buffer_seq_cst_second),
    CASE("store buffering, stores release", one_saw_the_other, true, buffer_weak_store_first,
         buffer_weak_store_second),
    CASE("store buffering, loads acquire", one_saw_the_other, true, buffer_weak_load_first,
         buffer_weak_load_second),
    CASE("store buffering, fences", one_saw_the_other, false, buffer_fence_first,
         buffer_fence_second),
    CASE("message passing", NULL, false, message_right_sender, message_right_receiver),
    CASE("message passing, store relaxed", NULL, true, message_weak_store_sender,
         message_weak_store_receiver),
    CASE("message passing, load relaxed", NULL, true, message_weak_load_sender,
         message_weak_load_receiver),
    CASE("message passing, fences", NULL, false, message_fence_sender, message_fence_receiver),
    CASE("message passing, word", NULL, false, word_sender, word_receiver),
    CASE("message passing, word, load relaxed", NULL, true, word_sender, word_weak_receiver),
    CASE("release carried on", NULL, false, word_sender, word_relay, word_late_receiver),
    CASE("coherence", NULL, false, count_up, read_twice),
    CASE("readers agree", readers_agree, false, write_x, write_y, read_x_y, read_y_x),
    CASE("readers disagree, acquire", readers_agree, true, write_x, write_y, acquire_x_y,
         acquire_y_x),
    CASE("addition", counted_three, false, add_in_one_step, add_in_one_step, add_in_one_step),
    CASE("addition in two steps", counted_three, true, add_in_two_steps, add_in_two_steps,
         add_in_two_steps),
    CASE("deadlock", NULL, true, sleep_for_ever, write_x),
    CASE("use after release", NULL, true, use_released, release_piece),
};

int main(int argument_count, char **arguments) {
    return model_main(argument_count, arguments, cases, sizeof cases / sizeof *cases);
}
