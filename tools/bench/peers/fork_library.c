/* SPDX-License-Identifier: MIT */
#include "fork.h"
#include "messages.h"

#include <asynctools/fork.h>
#include <asynctools/future.h>
#include <asynctools/parallel.h>
#include <asynctools/pool.h>

#include <stddef.h>

/* The library itself. The thread that enters sleeps until the root's future is there. */

static void *create(int workers) {
    at_pool *pool;
    if (at_pool_create(&pool, &(at_pool_options){.thread_count = workers}) != AT_OK)
        give_up("%s", at_error_message(at_error_last()));
    return pool;
}

static void destroy(void *pool) {
    at_pool_destroy(pool);
}

static void *enter(void *pool, at_run_fn run, void *argument) {
    void *result;
    at_future *future = at_pool_submit(pool, run, argument);
    if (at_future_wait(future, AT_FOREVER, &result) != AT_OK)
        give_up("%s", at_error_message(at_future_error(future)));
    at_future_release(future);
    return result;
}

/* Numbers go through arguments and results as they are. */
static void *as_pointer(int64_t number) {
    return (void *)(intptr_t)number;
}

static int64_t as_number(const void *pointer) {
    return (int64_t)(intptr_t)pointer;
}

static void *find_fibonacci(void *argument) {
    int64_t n = as_number(argument);
    if (n < 2)
        return argument;
    at_fork left;
    at_fork_start(&left, find_fibonacci, as_pointer(n - 1));
    int64_t right = as_number(find_fibonacci(as_pointer(n - 2)));
    return as_pointer(as_number(at_fork_join(&left, find_fibonacci)) + right);
}

static int64_t run_fibonacci(void *pool, const struct fork_work *work) {
    return as_number(enter(pool, find_fibonacci, as_pointer(work->size)));
}

/* The number of the first leaf and how many levels are below, in one word. */
enum { SKYNET_LEVEL_BITS = 4, SKYNET_LEVEL_MASK = 15 };

static const int64_t leaves_of_level[] = {1,      10,      100,      1000,     10000,
                                          100000, 1000000, 10000000, 100000000};

static void *pack_leaves(int64_t first, int64_t level) {
    return as_pointer(first << SKYNET_LEVEL_BITS | level);
}

static inline __attribute__((always_inline)) void *add_leaves(void *argument);

/* A node with children; on its own, so that a leaf needs no frame. */
static __attribute__((noinline)) void *add_children(int64_t first, int64_t level) {
    at_fork forks[SKYNET_CHILDREN - 1];
    int64_t share = leaves_of_level[level - 1];
    for (int i = 0; i < SKYNET_CHILDREN - 1; i++)
        at_fork_start(&forks[i], add_leaves, pack_leaves(first + i * share, level - 1));
    int64_t sum =
        as_number(add_leaves(pack_leaves(first + (SKYNET_CHILDREN - 1) * share, level - 1)));
    for (int i = SKYNET_CHILDREN - 2; i >= 0; i--)
        sum += as_number(at_fork_join(&forks[i], add_leaves));
    return as_pointer(sum);
}

static inline void *add_leaves(void *argument) {
    int64_t level = as_number(argument) & SKYNET_LEVEL_MASK;
    int64_t first = as_number(argument) >> SKYNET_LEVEL_BITS;
    return level == 0 ? as_pointer(first) : add_children(first, level);
}

static int64_t run_skynet(void *pool, const struct fork_work *work) {
    int64_t level = 0;
    while (leaves_of_level[level] < work->size)
        level++;
    return as_number(enter(pool, add_leaves, pack_leaves(0, level)));
}

struct queens_task {
    struct queens_board board;
    int row;
    int size;
};

static void *count_queens(void *argument) {
    const struct queens_task *own = argument;
    struct queens_task children[QUEENS_MAX];
    at_fork forks[QUEENS_MAX];
    int safe = 0;
    int64_t count = 0;
    if (own->row == own->size)
        return as_pointer(1);
    for (int column = 0; column < own->size; column++) {
        if (!queens_fit(&own->board, own->row, column))
            continue;
        children[safe] = (struct queens_task){own->board, own->row + 1, own->size};
        children[safe].board.columns[own->row] = (signed char)column;
        safe++;
    }
    for (int i = 0; i < safe - 1; i++)
        at_fork_start(&forks[i], count_queens, &children[i]);
    if (safe > 0)
        count = as_number(count_queens(&children[safe - 1]));
    for (int i = safe - 2; i >= 0; i--)
        count += as_number(at_fork_join(&forks[i], count_queens));
    return as_pointer(count);
}

static int64_t run_queens(void *pool, const struct fork_work *work) {
    struct queens_task root = {.size = (int)work->size};
    return as_number(enter(pool, count_queens, &root));
}

struct tree_task {
    struct tree_node node;
    int64_t full_levels;
};

static void *count_nodes(void *argument) {
    const struct tree_task *own = argument;
    struct tree_task children[TREE_CHILDREN];
    at_fork forks[TREE_CHILDREN];
    int child_count = tree_child_count(own->node, own->full_levels);
    int64_t count = 1;
    if (child_count == 0)
        return as_pointer(count);
    for (int i = 0; i < child_count; i++) {
        children[i] = (struct tree_task){tree_child(own->node, i), own->full_levels};
        if (i < child_count - 1)
            at_fork_start(&forks[i], count_nodes, &children[i]);
    }
    count += as_number(count_nodes(&children[child_count - 1]));
    for (int i = child_count - 2; i >= 0; i--)
        count += as_number(at_fork_join(&forks[i], count_nodes));
    return as_pointer(count);
}

static int64_t run_tree(void *pool, const struct fork_work *work) {
    struct tree_task root = {tree_root(), work->size};
    return as_number(enter(pool, count_nodes, &root));
}

static void *make_link(void *argument) {
    uint64_t *state = argument;
    *state = chain_link(*state);
    return NULL;
}

static void *follow_chain(void *argument) {
    uint64_t state = 0;
    for (int64_t left = as_number(argument); left > 0; left--) {
        at_fork link;
        at_fork_start(&link, make_link, &state);
        at_fork_join(&link, make_link);
    }
    return as_pointer((int64_t)state);
}

static int64_t run_chain(void *pool, const struct fork_work *work) {
    return as_number(enter(pool, follow_chain, as_pointer(work->size)));
}

struct matrix_task {
    const struct fork_work *work;
    struct matrix_block block;
};

static void *multiply(void *argument) {
    const struct matrix_task *own = argument;
    if (own->block.extent == MATRIX_BLOCK) {
        matrix_multiply_block(own->work, own->block);
        return NULL;
    }
    for (int inner = 0; inner < 8; inner += 4) {
        struct matrix_task parts[4];
        at_fork forks[3];
        for (int i = 0; i < 4; i++)
            parts[i] = (struct matrix_task){own->work, matrix_part(own->block, inner + i)};
        /* The last first: where nobody takes one, they are computed in their order, which the
         * caches like. */
        for (int i = 3; i > 0; i--)
            at_fork_start(&forks[i - 1], multiply, &parts[i]);
        multiply(&parts[0]);
        for (int i = 1; i < 4; i++)
            at_fork_join(&forks[i - 1], multiply);
    }
    return NULL;
}

static int64_t run_matrix(void *pool, const struct fork_work *work) {
    struct matrix_task root = {work, {.extent = work->size}};
    enter(pool, multiply, &root);
    return 0;
}

static void *compute_square(int64_t index, void *work) {
    matrix_compute_square(work, index);
    return NULL;
}

static int64_t run_loop(void *pool, const struct fork_work *work) {
    if (at_parallel_for(pool, 0, matrix_square_count(work), compute_square, (void *)work, NULL) !=
        AT_OK)
        give_up("%s", at_error_message(at_error_last()));
    return 0;
}

const struct fork_peer fork_library = {
    .name = "asynctools",
    .is_library = true,
    .create = create,
    .destroy = destroy,
    .programs = {run_fibonacci, run_skynet, run_queens, run_tree, run_chain, run_matrix, run_loop},
};
