/* SPDX-License-Identifier: MIT
 *
 * lib/operation/tracker_ring.c: writers and a reader. No event is torn, events of one writer come
 * without a gap and the newest first, and what happened before an event of the snapshot is in it
 * too, in whichever ring. */
#include "model.h"

#include "operation/tracker_ring.c"

enum {
    slots = 2, /* of a ring: the third event overwrites the first */
    member_bytes = 8,
};

static ati_tracker_rings *shared;
static _Atomic uint32_t *handed; /* the first writer has written */
static uint64_t last_seen;       /* number of the newest event of the last walk, by writer */

bool ati_barrier_is_unequal(void) {
    return true;
}

void ati_heavy_barrier(void) {
    atomic_thread_fence(memory_order_seq_cst);
}

int64_t ati_coarse_ns(void) {
    return 0;
}

/* All words of an event say the same. */
static void write_event(uint32_t home, uint64_t number) {
    ati_ring_event event = {
        .name = (const void *)(uintptr_t)number,
        .started_at = (int64_t)number,
        .id = number,
        .members_length = member_bytes,
    };
    ati_tracker_rings_write(shared, &home, &event, (const char *)&number);
}

static void check_whole(const ati_ring_event *event, const char *members) {
    uint64_t word;
    memcpy(&word, members, sizeof word);
    model_check(event->id != 0 && word == event->id);
    model_check(event->started_at == (int64_t)event->id);
    model_check((uintptr_t)event->name == event->id);
}

/* Gives how many events there were, and the newest in last_seen. */
static int walk_all(bool is_one_writer) {
    ati_ring_walk walk;
    ati_ring_event event;
    _Alignas(8) char members[member_bytes + 8];
    int count = 0;
    uint64_t before = 0;
    last_seen = 0;
    ati_ring_walk_begin(&walk, shared);
    while (ati_ring_walk_next(&walk, &event, members)) {
        check_whole(&event, members);
        if (count++ == 0)
            last_seen = event.id;
        else
            model_check(!is_one_writer || event.id == before - 1);
        before = event.id;
    }
    return count;
}

/* -- Setup and check -- */

static void start(uint32_t ring_count) {
    shared = model_allocate(sizeof *shared, _Alignof(ati_tracker_rings));
    handed = model_allocate(sizeof *handed, _Alignof(uint64_t));
    model_check(ati_tracker_rings_init(shared, 1, member_bytes, ring_count));
    shared->slot_count = slots;
    shared->kept_count = slots;
    for (uint32_t i = 0; i < ring_count; i++)
        atomic_init(&shared->rings[i], create_ring(shared));
}

static void start_one(void) {
    start(1);
}

static void start_one_full(void) {
    start(1);
    write_event(0, 1);
    write_event(0, 2);
}

static void start_two(void) {
    start(2);
}

/* Where the system has no unequal barriers. */
static void start_two_equal(void) {
    start(2);
    shared->is_unequal = false;
}

static void check_nothing(void) {
}

static void check_two(void) {
    model_check(walk_all(false) == 2);
    model_check(ati_counter_read(&shared->lost) == 0);
}

/* -- Threads -- */

static void write_one_more(void) {
    write_event(0, 3);
}

static void write_first(void) {
    write_event(0, 1);
}

static void write_two(void) {
    write_event(0, 1);
    write_event(0, 2);
}

static void read_one_writer(void) {
    walk_all(true);
}

/* Event 1 in one ring has happened before event 2 in the other. */
static void write_and_hand_over(void) {
    write_event(0, 1);
    atomic_store_explicit(handed, 1, memory_order_release);
}

static void write_after_other(void) {
    if (atomic_load_explicit(handed, memory_order_acquire) == 1)
        write_event(1, 2);
}

static void move_on(void) {
    write_event(0, 1);
    write_event(1, 2);
}

static void read_causes(void) {
    ati_ring_walk walk;
    ati_ring_event event;
    _Alignas(8) char members[member_bytes + 8];
    bool is_seen[3] = {false};
    ati_ring_walk_begin(&walk, shared);
    while (ati_ring_walk_next(&walk, &event, members)) {
        check_whole(&event, members);
        is_seen[event.id] = true;
    }
    model_check(!is_seen[2] || is_seen[1]);
}

/* Two writers and one place to write: one of them goes on to the other ring. */
static void write_second(void) {
    write_event(0, 2);
}

#define UNBOUNDED .preemptions = MODEL_UNBOUNDED, .stale_reads = MODEL_UNBOUNDED
#define BOUNDED .preemptions = 3, .stale_reads = 2

static const model_case cases[] = {
    {.name = "overwritten while it is read",
     .setup = start_one_full,
     .threads = {write_one_more, read_one_writer},
     .check = check_nothing,
     BOUNDED},
    {.name = "written while it is read",
     .setup = start_one,
     .threads = {write_two, read_one_writer},
     .check = check_nothing,
     BOUNDED},
    {.name = "two writers, one ring",
     .setup = start_two,
     .threads = {write_first, write_second},
     .check = check_two,
     UNBOUNDED},
    {.name = "moves to another ring",
     .setup = start_two,
     .threads = {move_on, read_causes},
     .check = check_nothing,
     BOUNDED},
    {.name = "after an event of another thread",
     .setup = start_two,
     .threads = {write_and_hand_over, write_after_other, read_causes},
     .check = check_nothing,
     .preemptions = 2,
     .stale_reads = 1},
    {.name = "after an event of another thread, without barriers",
     .setup = start_two_equal,
     .threads = {write_and_hand_over, write_after_other, read_causes},
     .check = check_nothing,
     .preemptions = 2,
     .stale_reads = 1},
    {.name = "mutant: a word before its version",
     .setup = start_one_full,
     .threads = {write_one_more, read_one_writer},
     .check = check_nothing,
     BOUNDED,
     .must_fail = true,
     .mutant = {"store_word", "store", "word", memory_order_release, memory_order_relaxed}},
    {.name = "mutant: the version before a word",
     .setup = start_one_full,
     .threads = {write_one_more, read_one_writer},
     .check = check_nothing,
     BOUNDED,
     .must_fail = true,
     .mutant = {"load_word", "load", "(_Atomic uint64_t *)word", memory_order_acquire,
                memory_order_relaxed}},
    {.name = "mutant: the head before the event",
     .setup = start_one,
     .threads = {write_two, read_one_writer},
     .check = check_nothing,
     BOUNDED,
     .must_fail = true,
     .mutant = {"ati_tracker_rings_write", "store", "&ring->head", memory_order_release,
                memory_order_relaxed}},
    {.name = "mutant: no heavy barrier",
     .setup = start_two,
     .threads = {move_on, read_causes},
     .check = check_nothing,
     BOUNDED,
     .must_fail = true,
     .mutant = {"ati_heavy_barrier", "fence", "", memory_order_seq_cst, memory_order_relaxed}},
    {.name = "mutant: without barriers, the epoch before the events",
     .setup = start_two_equal,
     .threads = {move_on, read_causes},
     .check = check_nothing,
     BOUNDED,
     .must_fail = true,
     .mutant = {"read_epoch", "fetch_add", "&rings->epoch", memory_order_release,
                memory_order_relaxed}},
    {.name = "mutant: without barriers, the heads before the epoch",
     .setup = start_two_equal,
     .threads = {move_on, read_causes},
     .check = check_nothing,
     BOUNDED,
     .must_fail = true,
     .mutant = {"begin_epoch", "fetch_add", "&rings->epoch", memory_order_acquire,
                memory_order_relaxed}},
};

int main(int argument_count, char **arguments) {
    return model_main(argument_count, arguments, cases, sizeof cases / sizeof *cases);
}
