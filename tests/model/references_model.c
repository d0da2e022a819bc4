/* SPDX-License-Identifier: MIT
 *
 * lib/base/references.c: while owners go, uses begin and end in whichever cells. The last one is
 * told, nobody else, and sees what all others have done. */
#include "model.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/references.c"

typedef struct thing {
    ati_references references;
    uint32_t written[MODEL_THREADS]; /* each by one thread, read by who frees it */
    uint32_t total;
} thing;

static thing *shared;
static _Atomic uint32_t *handed; /* a use was begun for another thread */
static int freed_count;

_Noreturn void ati_caller_abort(const char *call, const char *sentence) {
    model_fail("%s: %s", call, sentence);
}

static void free_if(bool is_last) {
    if (!is_last)
        return;
    freed_count++;
    for (int i = 0; i < MODEL_THREADS; i++)
        shared->total += shared->written[i];
    ati_release(shared, sizeof *shared);
}

static void begin(uint32_t cell) {
    ati_references_begin_use(&shared->references, cell);
}

static void end(uint32_t cell) {
    shared->written[model_thread_number()]++;
    free_if(ati_references_end_use(&shared->references, cell));
}

static void release(void) {
    shared->written[model_thread_number()]++;
    free_if(ati_references_release(&shared->references, "release"));
}

/* -- Setup and check -- */

static void start_owned(void) {
    freed_count = 0;
    shared = ati_allocate_aligned(sizeof *shared, _Alignof(thing));
    handed = model_allocate(sizeof *handed, _Alignof(uint64_t));
    for (int i = 0; i < MODEL_THREADS; i++)
        shared->written[i] = 0;
    shared->total = 0;
    ati_references_init(&shared->references);
}

static void start_used(void) {
    start_owned();
    begin(0);
}

static void start_used_twice(void) {
    start_used();
    begin(1);
}

static void start_owned_twice(void) {
    start_owned();
    ati_references_retain(&shared->references);
}

static void check_freed(void) {
    model_check(freed_count == 1);
}

/* What was handed over and not taken is ended here. */
static void check_handed(void) {
    if (atomic_load_explicit(handed, memory_order_relaxed) == 1) {
        model_check(freed_count == 0);
        free_if(ati_references_end_use(&shared->references, 2));
    }
    check_freed();
}

/* -- Threads -- */

static void end_in_first(void) {
    end(0);
}

static void end_in_other(void) {
    end(1);
}

/* An inner use by leave of the outer one alone. */
static void use_inside(void) {
    begin(1);
    end(0);
    end(1);
}

static void use_inside_backwards(void) {
    begin(0);
    end(1);
    end(0);
}

/* The user becomes an owner. */
static void own_inside(void) {
    ati_references_retain(&shared->references);
    end(0);
    release();
}

static void own_again(void) {
    ati_references_retain(&shared->references);
    release();
    release();
}

static void use_and_release(void) {
    begin(0);
    end(1);
    release();
}

static void hand_over(void) {
    begin(0);
    /* Pairs with the acquire in take_over(). */
    atomic_store_explicit(handed, 1, memory_order_release);
    release();
}

static void take_over(void) {
    uint32_t there = 1;
    if (atomic_compare_exchange_strong_explicit(handed, &there, 2, memory_order_acquire,
                                                memory_order_relaxed))
        end(1);
}

#define CASE(what, start, ends, ...)                                                               \
    {                                                                                              \
        .name = what, .setup = start, .threads = {__VA_ARGS__}, .check = ends,                     \
        .preemptions = MODEL_UNBOUNDED, .stale_reads = MODEL_UNBOUNDED                             \
    }

#define MUTANT(what, start, first, second, function_of, operation_of, object_of, order_of)         \
    {                                                                                              \
        .name = "mutant: " what, .setup = start, .threads = {first, second}, .check = check_freed, \
        .preemptions = 3, .stale_reads = 2, .must_fail = true, .mutant = {                         \
            function_of,                                                                           \
            operation_of,                                                                          \
            object_of,                                                                             \
            order_of,                                                                              \
            memory_order_relaxed                                                                   \
        }                                                                                          \
    }

static const model_case cases[] = {
    CASE("the owner goes while a use ends", start_used, check_freed, release, end_in_first),
    CASE("it ends in another cell", start_used, check_freed, release, end_in_other),
    CASE("an inner use", start_used, check_freed, release, use_inside),
    CASE("a user becomes an owner", start_used, check_freed, release, own_inside),
    CASE("two owners", start_owned_twice, check_freed, release, use_and_release),
    CASE("owners that come and go", start_owned_twice, check_freed, own_again, use_and_release),
    CASE("a use is handed over", start_owned, check_handed, hand_over, take_over),
    CASE("two users", start_used_twice, check_freed, release, end_in_other, end_in_first),
    CASE("two users with inner uses", start_used_twice, check_freed, release, use_inside,
         use_inside_backwards),
    MUTANT("an owner before its end", start_owned_twice, release, release, "ati_references_release",
           "compare_exchange", "&references->owners", memory_order_acq_rel),
    MUTANT("a use before its end", start_used, release, end_in_first, "ati_references_end_use",
           "fetch_sub", "count", memory_order_release),
    MUTANT("the closer before the uses", start_used, release, end_in_first, "close_cells",
           "exchange", "&references->cells[i].count", memory_order_acquire),
    MUTANT("the last one before the others", start_used, release, end_in_first, "take_from_shared",
           "fetch_sub", "&references->shared", memory_order_acq_rel),
};

int main(int argument_count, char **arguments) {
    return model_main(argument_count, arguments, cases, sizeof cases / sizeof *cases);
}
