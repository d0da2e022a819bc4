/* SPDX-License-Identifier: MIT */
/* Purpose: the ready tasks of one worker. The owner works at the bottom, last in first out; thieves
 * take the oldest at the top.
 *
 * Source: D. Chase, Y. Lev, "Dynamic Circular Work-Stealing Deque", SPAA 2005; orders after
 * N. M. Le, A. Pop, A. Cohen, F. Zappa Nardelli, "Correct and Efficient Work-Stealing for Weak
 * Memory Models", PPoPP 2013, with the fences put onto the operations.
 *
 * Fields
 *   top      rises only, by CAS: a thief, or the owner when it takes the last element.
 *   bottom   written by the owner only.
 *   array    written by the owner only; old arrays stay readable until deinit.
 *   places   each word written by the owner while no index in [top, bottom) maps to it.
 *
 * States: empty (top = bottom) -push-> holds elements [top, bottom) -pop, steal-> empty.
 * While the owner pops, bottom = top - 1 is possible for a moment.
 *
 * Invariants
 *   1. An element leaves once: by a successful CAS of top from its index, or by the owner's pop of
 *      an index that no thief can win.
 *   2. pop of b without CAS is safe when it reads top < b. A thief wins b only if it read top = b,
 *      then bottom > b. All four accesses are sequentially consistent, so the thief's reads come
 *      before the owner's store of b into bottom, and that before the owner's read of top, which
 *      then gives at least b: a contradiction.
 *   3. A thief that read a place while the owner wrote it anew fails its CAS: the owner reuses the
 *      place of index i only when top has passed i.
 *
 * Progress: push and pop finish in a bounded number of steps (but for memory); a steal fails only
 * because another one succeeded: lock-free.
 *
 * Checked by: tests/model/deque_model.c, tests/unit/deque_test.c, tests/stress/deque_test.c. */
#include "queue/deque.h"

#include "base/memory.h"

enum { first_capacity = 64 };

/* The words are atomic because a thief may read a place that the owner writes; what it read then
 * is thrown away (invariant 3). */
struct place {
    _Atomic(void *(*)(void *)) run;
    _Atomic(void *) argument;
    _Atomic(void *) context;
    _Atomic(const char *) site;
};

struct ati_deque_array {
    ati_deque_array *older; /* the array this one replaced */
    int64_t capacity;       /* a power of two */
    struct place places[];
};

static size_t array_size(int64_t capacity) {
    return sizeof(ati_deque_array) + (size_t)capacity * sizeof(struct place);
}

static void write_place(ati_deque_array *array, int64_t index, const ati_work *work) {
    struct place *place = &array->places[index & (array->capacity - 1)];
    atomic_store_explicit(&place->run, work->run, memory_order_relaxed);
    atomic_store_explicit(&place->argument, work->argument, memory_order_relaxed);
    atomic_store_explicit(&place->context, work->context, memory_order_relaxed);
    atomic_store_explicit(&place->site, work->site, memory_order_relaxed);
}

static void read_place(ati_deque_array *array, int64_t index, ati_work *work) {
    struct place *place = &array->places[index & (array->capacity - 1)];
    work->run = atomic_load_explicit(&place->run, memory_order_relaxed);
    work->argument = atomic_load_explicit(&place->argument, memory_order_relaxed);
    work->context = atomic_load_explicit(&place->context, memory_order_relaxed);
    work->site = atomic_load_explicit(&place->site, memory_order_relaxed);
}

void ati_deque_deinit(ati_deque *deque) {
    ati_deque_array *array = atomic_load_explicit(&deque->array, memory_order_relaxed);
    while (array) {
        ati_deque_array *older = array->older;
        ati_release(array, array_size(array->capacity));
        array = older;
    }
    atomic_store_explicit(&deque->array, NULL, memory_order_relaxed);
}

/* Puts an array with room for [top, bottom + count) in place. False: no memory. */
static bool grow(ati_deque *deque, ati_deque_array *array, int64_t top, int64_t bottom,
                 int64_t count) {
    int64_t capacity = array ? array->capacity : first_capacity;
    while (capacity < bottom - top + count)
        capacity *= 2;
    ati_deque_array *larger = ati_allocate(array_size(capacity));
    if (!larger)
        return false;
    larger->older = array;
    larger->capacity = capacity;
    for (int64_t i = top; i < bottom; i++) {
        ati_work work;
        read_place(array, i, &work);
        write_place(larger, i, &work);
    }
    /* ORDER deque.array: release. Publishes the copied places and the capacity.
     * Pairs with: acquire in ati_deque_steal(). If relaxed: a thief reads unwritten places. */
    atomic_store_explicit(&deque->array, larger, memory_order_release);
    return true;
}

bool ati_deque_reserve(ati_deque *deque, size_t count) {
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);
    /* ORDER deque.top: acquire. A thief has finished reading a place before it is written anew.
     * Pairs with: seq_cst CAS in ati_deque_steal(). If relaxed: still no wrong element (invariant
     * 3), but the places of a stolen element could be written before the thief has read them. */
    int64_t top = atomic_load_explicit(&deque->top, memory_order_acquire);
    ati_deque_array *array = atomic_load_explicit(&deque->array, memory_order_relaxed);
    if (array && bottom - top + (int64_t)count <= array->capacity)
        return true;
    return grow(deque, array, top, bottom, (int64_t)count);
}

size_t ati_deque_room(const ati_deque *deque) {
    ati_deque *mine = (ati_deque *)deque;
    ati_deque_array *array = atomic_load_explicit(&mine->array, memory_order_relaxed);
    int64_t bottom = atomic_load_explicit(&mine->bottom, memory_order_relaxed);
    int64_t top = atomic_load_explicit(&mine->top, memory_order_relaxed);
    return array ? (size_t)(array->capacity - (bottom - top)) : 0;
}

bool ati_deque_push_works(ati_deque *deque, const ati_works *works) {
    size_t count = works->count;
    if (!ati_deque_reserve(deque, count))
        return false;
    ati_deque_array *array = atomic_load_explicit(&deque->array, memory_order_relaxed);
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed);
    for (size_t i = 0; i < count; i++) {
        ati_work work = ati_works_get(works, i);
        write_place(array, bottom + (int64_t)(count - 1 - i), &work);
    }
    /* ORDER deque.bottom: seq_cst. Publishes the places to thieves, and comes before the pusher's
     * look at what was stolen and who sleeps. Pairs with: seq_cst load in ati_deque_steal() and
     * ati_deque_size(). If release: a worker falls asleep on work that its pusher thinks it will
     * find. */
    atomic_store_explicit(&deque->bottom, bottom + (int64_t)count, memory_order_seq_cst);
    return true;
}

bool ati_deque_push(ati_deque *deque, const ati_work *works, size_t count) {
    return ati_deque_push_works(deque, &(ati_works){works, count, 0});
}

bool ati_deque_peek(const ati_deque *deque, ati_work *work) {
    ati_deque *mine = (ati_deque *)deque;
    int64_t last = atomic_load_explicit(&mine->bottom, memory_order_relaxed) - 1;
    if (last < atomic_load_explicit(&mine->top, memory_order_relaxed))
        return false;
    read_place(atomic_load_explicit(&mine->array, memory_order_relaxed), last, work);
    return true;
}

bool ati_deque_pop(ati_deque *deque, ati_work *work) {
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_relaxed) - 1;
    /* Empty for certain: top never falls, and only the owner lets bottom rise. */
    if (bottom < atomic_load_explicit(&deque->top, memory_order_relaxed))
        return false;
    ati_deque_array *array = atomic_load_explicit(&deque->array, memory_order_relaxed);
    /* ORDER deque.bottom: seq_cst. Takes the place away from thieves before top is read.
     * Pairs with: seq_cst load in ati_deque_steal(). If release: both take it (invariant 2). */
    atomic_store_explicit(&deque->bottom, bottom, memory_order_seq_cst);
    /* ORDER deque.top: seq_cst. Sees every steal that could win this index.
     * Pairs with: seq_cst CAS in ati_deque_steal(). If relaxed: both take it (invariant 2). */
    int64_t top = atomic_load_explicit(&deque->top, memory_order_seq_cst);
    if (top < bottom) {
        read_place(array, bottom, work);
        return true;
    }
    bool won = false;
    if (top == bottom) {
        read_place(array, bottom, work);
        /* ORDER deque.top: seq_cst. The last element goes to one of owner and thieves.
         * Pairs with: seq_cst CAS in ati_deque_steal(). If relaxed: see invariant 2. */
        won = atomic_compare_exchange_strong_explicit(&deque->top, &top, top + 1,
                                                      memory_order_seq_cst, memory_order_relaxed);
    }
    /* Empty again, top = bottom. Relaxed: a thief that reads it finds no element below it. */
    atomic_store_explicit(&deque->bottom, bottom + 1, memory_order_relaxed);
    return won;
}

ati_steal ati_deque_steal(ati_deque *deque, ati_work *work) {
    /* ORDER deque.top: seq_cst. Read before bottom.
     * Pairs with: seq_cst load in ati_deque_pop(). If acquire: see invariant 2. */
    int64_t top = atomic_load_explicit(&deque->top, memory_order_seq_cst);
    /* ORDER deque.bottom: seq_cst. Sees the places below it, and the owner's claim.
     * Pairs with: seq_cst store in ati_deque_push_works() and ati_deque_pop(). If relaxed: reads an
     * unwritten place, or takes what the owner has popped. */
    int64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_seq_cst);
    if (top >= bottom)
        return ATI_STEAL_EMPTY;
    /* ORDER deque.array: acquire. Sees the places and the capacity.
     * Pairs with: release in grow(). If relaxed: reads unwritten places. */
    ati_deque_array *array = atomic_load_explicit(&deque->array, memory_order_acquire);
    read_place(array, top, work);
    /* ORDER deque.top: seq_cst. Wins the element, after the place has been read.
     * Pairs with: acquire in ati_deque_reserve(), seq_cst in ati_deque_pop(). If relaxed: the owner
     * overwrites the place first, or takes the element too. */
    if (!atomic_compare_exchange_strong_explicit(&deque->top, &top, top + 1, memory_order_seq_cst,
                                                 memory_order_relaxed))
        return ATI_STEAL_LOST;
    return ATI_STEAL_DONE;
}

size_t ati_deque_size(const ati_deque *deque) {
    ati_deque *mine = (ati_deque *)deque;
    /* ORDER deque.bottom: seq_cst. A worker that announced its sleep sees what was pushed before.
     * Pairs with: seq_cst store in ati_deque_push_works(). If relaxed: it sleeps on work. */
    int64_t bottom = atomic_load_explicit(&mine->bottom, memory_order_seq_cst);
    /* ORDER deque.top: seq_cst. At least what a worker saw that found the deque empty before.
     * Pairs with: seq_cst CAS in ati_deque_steal(). If relaxed: an empty deque looks full to its
     * owner, and the worker that fell asleep on it is not woken. */
    int64_t top = atomic_load_explicit(&mine->top, memory_order_seq_cst);
    return bottom > top ? (size_t)(bottom - top) : 0;
}
