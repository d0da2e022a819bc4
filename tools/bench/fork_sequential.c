/* SPDX-License-Identifier: MIT */
#include "peers/fork.h"

#include <stddef.h>

/* The programs as one writes them who knows of no other CPU. None is inlined into itself, so that
 * the recursion stays one. */

__attribute__((noinline)) static int64_t find_fibonacci(int64_t n) {
    return n < 2 ? n : find_fibonacci(n - 1) + find_fibonacci(n - 2);
}

__attribute__((noinline)) static int64_t add_leaves(int64_t first, int64_t count) {
    if (count == 1)
        return first;
    int64_t sum = 0, share = count / SKYNET_CHILDREN;
    for (int i = 0; i < SKYNET_CHILDREN; i++)
        sum += add_leaves(first + i * share, share);
    return sum;
}

__attribute__((noinline)) static int64_t count_queens(struct queens_board board, int row,
                                                      int size) {
    int64_t count = 0;
    if (row == size)
        return 1;
    for (int column = 0; column < size; column++) {
        if (!queens_fit(&board, row, column))
            continue;
        board.columns[row] = (signed char)column;
        count += count_queens(board, row + 1, size);
    }
    return count;
}

__attribute__((noinline)) static int64_t count_nodes(struct tree_node node, int64_t full_levels) {
    int64_t count = 1;
    int children = tree_child_count(node, full_levels);
    for (int i = 0; i < children; i++)
        count += count_nodes(tree_child(node, i), full_levels);
    return count;
}

static void multiply(const struct fork_work *work, struct matrix_block block) {
    if (block.extent == MATRIX_BLOCK) {
        matrix_multiply_block(work, block);
        return;
    }
    for (int i = 0; i < 8; i++)
        multiply(work, matrix_part(block, i));
}

static int64_t run_fibonacci(void *pool, const struct fork_work *work) {
    (void)pool;
    return find_fibonacci(work->size);
}

static int64_t run_skynet(void *pool, const struct fork_work *work) {
    (void)pool;
    return add_leaves(0, work->size);
}

static int64_t run_queens(void *pool, const struct fork_work *work) {
    (void)pool;
    return count_queens((struct queens_board){{0}}, 0, (int)work->size);
}

static int64_t run_tree(void *pool, const struct fork_work *work) {
    (void)pool;
    return count_nodes(tree_root(), work->size);
}

static int64_t run_chain(void *pool, const struct fork_work *work) {
    uint64_t state = 0;
    (void)pool;
    for (int64_t i = 0; i < work->size; i++)
        state = chain_link(state);
    return (int64_t)state;
}

static int64_t run_matrix(void *pool, const struct fork_work *work) {
    (void)pool;
    multiply(work, (struct matrix_block){.extent = work->size});
    return 0;
}

static int64_t run_loop(void *pool, const struct fork_work *work) {
    (void)pool;
    for (int64_t i = 0; i < matrix_square_count(work); i++)
        matrix_compute_square(work, i);
    return 0;
}

const struct fork_peer fork_sequential = {
    .name = "sequential",
    .programs = {run_fibonacci, run_skynet, run_queens, run_tree, run_chain, run_matrix, run_loop},
};
