/* SPDX-License-Identifier: MIT
 *
 * lib/queue/byte_ring_spsc.c: one producer, one consumer. Records arrive whole, in order and each
 * once, over the end of the ring too; and neither side sleeps while the other has seen no need to
 * wake it. */
#include "model.h"

#include "base/barrier.h"
#include "base/futex.h"
#include "queue/byte_ring_spsc.c"

enum {
    ring_size = 64,
    record_max = 24, /* two such records fill the ring */
};

typedef struct world {
    ati_byte_ring ring;
    _Alignas(8) unsigned char bytes[ring_size];
    _Atomic uint32_t consumer_sleeps;
    _Atomic uint32_t producer_waits;
    _Atomic uint32_t wakes; /* futex of both */
} world;

static world *shared;
static unsigned char written_count;
static unsigned char read_count;

void ati_heavy_barrier(void) {
    atomic_thread_fence(memory_order_seq_cst);
}

_Noreturn void ati_assert_abort(const char *condition, const char *file, int line) {
    model_fail("%s:%d: does not hold: %s", file, line, condition);
}

/* The record of a number: its size and its bytes tell it from others. */
static size_t record_length(unsigned char number) {
    return number % 3 == 1 ? 9 : record_max;
}

static bool write_record(void) {
    size_t size = record_length(written_count);
    unsigned char *bytes = ati_byte_ring_reserve_spsc(&shared->ring, size);
    if (!bytes)
        return false;
    memset(bytes, written_count + 1, size);
    written_count++;
    ati_byte_ring_commit_spsc(&shared->ring, size);
    return true;
}

static void read_record(void) {
    size_t size = 0;
    const unsigned char *bytes = ati_byte_ring_front_spsc(&shared->ring, &size);
    model_check(bytes && read_count < written_count && size == record_length(read_count));
    for (size_t i = 0; i < size; i++)
        model_check(bytes[i] == read_count + 1);
    read_count++;
    ati_byte_ring_step_spsc(&shared->ring);
}

static void read_all(void) {
    ati_byte_ring_look_spsc(&shared->ring);
    while (ati_byte_ring_left_spsc(&shared->ring) > 0)
        read_record();
    ati_byte_ring_release_spsc(&shared->ring);
}

/* -- Setup and check -- */

static void start(void) {
    shared = model_allocate(sizeof *shared, _Alignof(world));
    written_count = 0;
    read_count = 0;
    ati_byte_ring_init(&shared->ring, shared->bytes, ring_size, record_max);
}

static void start_full(void) {
    start();
    while (write_record())
        ;
}

static void check_all_read(void) {
    read_all();
    model_check(read_count == written_count);
    model_check(ati_byte_ring_drained_spsc(&shared->ring));
}

/* -- Threads -- */

static void write_three(void) {
    for (int i = 0; i < 3; i++)
        (void)write_record();
}

static void write_four(void) {
    for (int i = 0; i < 4; i++)
        (void)write_record();
}

static void read_twice(void) {
    read_all();
    read_all();
}

static void read_three_times(void) {
    read_all();
    read_all();
    read_all();
}

/* Releases after each record, so that the producer may follow closely. */
static void read_one_by_one(void) {
    ati_byte_ring_look_spsc(&shared->ring);
    while (ati_byte_ring_left_spsc(&shared->ring) > 0) {
        read_record();
        ati_byte_ring_release_spsc(&shared->ring);
    }
}

static void look_around_and_write(void) {
    (void)write_record();
    (void)ati_byte_ring_half_full_spsc(&shared->ring);
    (void)write_record();
    (void)ati_byte_ring_drained_spsc(&shared->ring);
    (void)write_record();
}

/* -- Sleep: announce, look again, sleep; the other acts, looks who sleeps, wakes -- */

static void sleep_until(uint32_t wakes) {
    while (atomic_load_explicit(&shared->wakes, memory_order_acquire) == wakes)
        ati_futex_wait(&shared->wakes, wakes, AT_FOREVER);
}

static void wake(void) {
    atomic_fetch_add_explicit(&shared->wakes, 1, memory_order_release);
    ati_futex_wake(&shared->wakes, 1);
}

static void write_and_wake(void) {
    if (!write_record())
        return;
    ati_light_barrier();
    if (atomic_load_explicit(&shared->consumer_sleeps, memory_order_relaxed) == 1)
        wake();
}

static void read_or_sleep(void) {
    atomic_store_explicit(&shared->consumer_sleeps, 1, memory_order_relaxed);
    ati_heavy_barrier();
    if (ati_byte_ring_look_spsc(&shared->ring) == 0)
        sleep_until(0);
    ati_byte_ring_look_spsc(&shared->ring);
    model_check(ati_byte_ring_left_spsc(&shared->ring) > 0);
    read_record();
    ati_byte_ring_release_spsc(&shared->ring);
}

static void read_and_wake(void) {
    read_all();
    if (atomic_load_explicit(&shared->producer_waits, memory_order_seq_cst) == 1)
        wake();
}

static void write_or_wait(void) {
    if (write_record())
        return;
    atomic_store_explicit(&shared->producer_waits, 1, memory_order_seq_cst);
    if (write_record())
        return;
    sleep_until(0);
    model_check(write_record());
}

#define CASE(text, begin, producer, consumer)                                                      \
    {                                                                                              \
        .name = text, .setup = begin, .threads = {producer, consumer}, .check = check_all_read,    \
        .preemptions = MODEL_UNBOUNDED, .stale_reads = MODEL_UNBOUNDED                             \
    }

#define MUTANT(in)                                                                                 \
    {                                                                                              \
        .name = "mutant: no " in, .setup = start, .threads = {write_and_wake, read_or_sleep},      \
        .check = check_all_read, .preemptions = MODEL_UNBOUNDED, .stale_reads = MODEL_UNBOUNDED,   \
        .must_fail = true, .mutant = {                                                             \
            in,                                                                                    \
            "fence",                                                                               \
            "",                                                                                    \
            memory_order_seq_cst,                                                                  \
            memory_order_relaxed                                                                   \
        }                                                                                          \
    }

static const model_case cases[] = {
    CASE("from empty", start, write_three, read_twice),
    CASE("from full", start_full, write_three, read_twice),
    CASE("from full, one by one", start_full, write_four, read_one_by_one),
    CASE("four records", start, write_four, read_three_times),
    CASE("half full and drained", start, look_around_and_write, read_three_times),
    CASE("consumer sleeps", start, write_and_wake, read_or_sleep),
    CASE("producer waits", start_full, write_or_wait, read_and_wake),
    MUTANT("ati_light_barrier"),
    MUTANT("ati_heavy_barrier"),
};

int main(int argument_count, char **arguments) {
    return model_main(argument_count, arguments, cases, sizeof cases / sizeof *cases);
}
