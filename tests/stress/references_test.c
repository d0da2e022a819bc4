/* SPDX-License-Identifier: MIT
 *
 * Threads begin and end uses of something while its owners go: it is freed once, by the last of
 * them, who sees what the others wrote. */
#include "support/test.h"

#include "base/memory.h"
#include "base/references.h"

#include <pthread.h>

enum { thread_count = 4, inner_count = 20 };

#if defined(__SANITIZE_THREAD__)
enum { round_count = 1500 };
#else
enum { round_count = 6000 };
#endif

TestSuite(references_stress, .timeout = 200);

typedef struct thing {
    ati_references references;
    uint64_t written[thread_count]; /* each by one thread, read by who frees it */
} thing;

typedef struct user {
    pthread_t thread;
    uint32_t number;
    uint32_t cell; /* the next one */
} user;

static pthread_barrier_t barrier;
static thing *shared; /* of this round; written by the first thread between two barriers */
static _Atomic uint32_t freed_count;
static _Atomic uint32_t wrong_count; /* frees that have not seen all */

static void free_if(bool is_last) {
    if (!is_last)
        return;
    uint64_t total = 0;
    for (int i = 0; i < thread_count; i++)
        total += shared->written[i];
    if (total != thread_count)
        atomic_fetch_add_explicit(&wrong_count, 1, memory_order_relaxed);
    ati_release(shared, sizeof *shared);
    atomic_fetch_add_explicit(&freed_count, 1, memory_order_relaxed);
}

/* Not the same row for any two threads. */
static uint32_t next_cell(user *self) {
    self->cell = self->cell * 1664525 + 1013904223 + self->number;
    return (self->cell >> 16) % ATI_REFERENCE_CELLS;
}

static void use_inside(user *self) {
    for (int i = 0; i < inner_count; i++) {
        ati_references_begin_use(&shared->references, next_cell(self));
        free_if(ati_references_end_use(&shared->references, next_cell(self)));
    }
}

/* Each thread has a reference: the first two are owners, the others users. One of the users goes
 * on as an owner. */
static void give_back(user *self, uint32_t round) {
    use_inside(self);
    shared->written[self->number]++;
    if (self->number == 3) {
        ati_references_retain(&shared->references);
        free_if(ati_references_end_use(&shared->references, next_cell(self)));
        free_if(ati_references_release(&shared->references, "give_back"));
    } else if (self->number == 2) {
        free_if(ati_references_end_use(&shared->references, next_cell(self)));
    } else {
        for (uint32_t i = 0; i < round % 50; i++)
            ati_cpu_relax();
        free_if(ati_references_release(&shared->references, "give_back"));
    }
}

static void make_thing(void) {
    shared = ati_allocate_aligned(sizeof *shared, _Alignof(thing));
    cr_assert_not_null(shared);
    for (int i = 0; i < thread_count; i++)
        shared->written[i] = 0;
    ati_references_init(&shared->references);
    ati_references_retain(&shared->references);
    ati_references_begin_use(&shared->references, 0);
    ati_references_begin_use(&shared->references, 1);
}

static void *run_rounds(void *argument) {
    user *self = argument;
    for (uint32_t round = 0; round < round_count; round++) {
        if (self->number == 0)
            make_thing();
        pthread_barrier_wait(&barrier);
        give_back(self, round);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

Test(references_stress, freed_once_by_the_last) {
    user users[thread_count] = {0};
    cr_assert_eq(pthread_barrier_init(&barrier, NULL, thread_count), 0);
    for (uint32_t i = 0; i < thread_count; i++) {
        users[i].number = i;
        cr_assert_eq(pthread_create(&users[i].thread, NULL, run_rounds, &users[i]), 0);
    }
    for (int i = 0; i < thread_count; i++)
        pthread_join(users[i].thread, NULL);
    cr_expect_eq(freed_count, round_count);
    cr_expect_eq(wrong_count, 0);
    pthread_barrier_destroy(&barrier);
}
