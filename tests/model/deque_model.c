/* SPDX-License-Identifier: MIT
 *
 * lib/queue/deque.c: its owner against one and two thieves. Each element leaves once, as it was
 * pushed, and none is lost. */
#include "model.h"

#include "queue/deque.c"

enum { element_max = 8, nobody = 0 };

static ati_deque *deque;
static int pushed_count;
static int taken_by[element_max]; /* one more than the number of the thread; check is -1 */

/* Each word of a work is told from those of all other works. */
static char names[element_max][4];

static ati_work make_work(int element) {
    return (ati_work){.run = (void *(*)(void *))(uintptr_t)&names[element][0],
                      .argument = &names[element][1],
                      .context = &names[element][2],
                      .site = &names[element][3]};
}

static void take(const ati_work *work) {
    int element = (int)((const char(*)[4])(uintptr_t)work->run - names);
    model_check(element >= 0 && element < pushed_count);
    model_check(work->argument == &names[element][1]);
    model_check(work->context == &names[element][2]);
    model_check(work->site == &names[element][3]);
    model_check(taken_by[element] == nobody);
    taken_by[element] = model_thread_number() + 1;
    if (model_thread_number() < 0)
        taken_by[element] = -1;
}

static void push(int count) {
    ati_work works[element_max];
    for (int i = 0; i < count; i++)
        works[count - 1 - i] = make_work(pushed_count + i);
    pushed_count += count; /* before thieves see them */
    model_check(ati_deque_push(deque, works, (size_t)count));
}

static void pop(void) {
    ati_work work;
    if (ati_deque_pop(deque, &work))
        take(&work);
}

static void steal(void) {
    ati_work work;
    if (ati_deque_steal(deque, &work) == ATI_STEAL_DONE)
        take(&work);
}

/* -- Setup: a deque with places for two, its indices at `used` -- */

static void set_up(int used, int count) {
    deque = model_allocate(sizeof *deque, _Alignof(ati_deque));
    pushed_count = 0;
    memset(taken_by, 0, sizeof taken_by);
    ati_deque_array *array = ati_allocate(array_size(2));
    array->older = NULL;
    array->capacity = 2;
    atomic_init(&deque->array, array);
    atomic_init(&deque->top, used);
    atomic_init(&deque->bottom, used);
    push(count);
}

static void start_empty(void) {
    set_up(0, 0);
}

static void start_with_one(void) {
    set_up(1, 1);
}

static void start_with_two(void) {
    set_up(1, 2);
}

/* What is left is taken, oldest first; then nothing is missing. */
static void check_all_taken(void) {
    ati_work work;
    while (ati_deque_steal(deque, &work) == ATI_STEAL_DONE)
        take(&work);
    for (int i = 0; i < pushed_count; i++)
        model_check(taken_by[i] != nobody);
    model_check(ati_deque_size(deque) == 0);
    ati_deque_deinit(deque);
}

/* -- Threads -- */

static void push_pop(void) {
    push(1);
    pop();
}

static void push_pop_twice(void) {
    push(1);
    pop();
    push(1);
    pop();
}

static void push_two_pop_two(void) {
    push(2);
    pop();
    pop();
}

static void pop_two(void) {
    pop();
    pop();
}

static void pop_push_pop(void) {
    pop();
    push(1);
    pop();
}

static void push_three(void) {
    push(1);
    push(1);
    push(1);
}

/* Grows from two places to four while thieves look at the old ones. */
static void grow_then_pop(void) {
    push(1);
    pop();
}

static void steal_twice(void) {
    steal();
    steal();
}

/* -- A stale place: the owner writes a place anew that a thief is reading -- */

static void reuse_places(void) {
    pop();
    pop();
    push(2);
}

#define CASE(text, begin, ...)                                                                     \
    {                                                                                              \
        .name = text, .setup = begin, .threads = {__VA_ARGS__}, .check = check_all_taken,          \
        .preemptions = MODEL_UNBOUNDED, .stale_reads = MODEL_UNBOUNDED                             \
    }

/* The same with one order weaker, which has to be found. */
#define MUTANT(in, operation, object, from, to, begin, ...)                                        \
    {                                                                                              \
        .name = "mutant: " operation " " object " in " in " " #to, .setup = begin,                 \
        .threads = {__VA_ARGS__}, .check = check_all_taken, .preemptions = MODEL_UNBOUNDED,        \
        .stale_reads = MODEL_UNBOUNDED, .must_fail = true, .mutant = {                             \
            in,                                                                                    \
            operation,                                                                             \
            object,                                                                                \
            memory_order_##from,                                                                   \
            memory_order_##to                                                                      \
        }                                                                                          \
    }

static const model_case cases[] = {
    CASE("last element, one thief", start_with_one, pop, steal),
    CASE("last element, two thieves", start_with_one, pop, steal, steal),
    CASE("push and pop, one thief", start_empty, push_pop, steal_twice),
    CASE("push and pop, two thieves", start_empty, push_pop, steal_twice, steal),
    CASE("push and pop twice, one thief", start_empty, push_pop_twice, steal_twice),
    CASE("push and pop twice, two thieves", start_empty, push_pop_twice, steal, steal),
    CASE("two elements, one thief", start_empty, push_two_pop_two, steal_twice),
    CASE("two elements, two thieves", start_with_two, pop_two, steal, steal),
    CASE("two elements, two thieves twice", start_with_two, pop_two, steal_twice, steal),
    CASE("pop, push, pop, one thief", start_with_two, pop_push_pop, steal_twice),
    CASE("places used again, one thief", start_with_two, reuse_places, steal_twice),
    CASE("places used again, two thieves", start_with_two, reuse_places, steal, steal),
    CASE("growth, one thief", start_with_two, grow_then_pop, steal_twice),
    CASE("growth, two thieves", start_with_two, grow_then_pop, steal, steal),
    CASE("growth, two thieves twice", start_with_two, grow_then_pop, steal_twice, steal),
    CASE("growth from empty, one thief", start_empty, push_three, steal_twice),
    MUTANT("ati_deque_pop", "store", "&deque->bottom", seq_cst, release, start_with_two, pop_two,
           steal_twice),
    MUTANT("ati_deque_pop", "load", "&deque->top", seq_cst, acquire, start_with_two, pop_two,
           steal_twice),
    MUTANT("ati_deque_steal", "load", "&deque->bottom", seq_cst, acquire, start_with_two, pop_two,
           steal_twice),
    MUTANT("ati_deque_push_works", "store", "&deque->bottom", seq_cst, relaxed, start_empty,
           push_pop, steal),
    MUTANT("ati_deque_steal", "load", "&deque->array", acquire, relaxed, start_with_two,
           grow_then_pop, steal),
    MUTANT("grow", "store", "&deque->array", release, relaxed, start_with_two, grow_then_pop,
           steal),
};

int main(int argument_count, char **arguments) {
    return model_main(argument_count, arguments, cases, sizeof cases / sizeof *cases);
}
