/* SPDX-License-Identifier: MIT */
#ifndef BENCH_FORK_KERNEL_H
#define BENCH_FORK_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the programs of all contestants compute, less the recursion that they spread over workers.
 * Both are the same for all; in which order the parts of a node come is up to each. */

enum {
    QUEENS_MAX = 16,
    TREE_CHILDREN = 8,
    SKYNET_CHILDREN = 10,
    MATRIX_BLOCK = 32,      /* where the recursion of the product ends */
    MATRIX_LOOP_BLOCK = 64, /* what one turn of the loop over blocks computes */
};

struct fork_work {
    int64_t size;        /* Fibonacci's number, leaves, queens, full levels, links, rows */
    const double *left;  /* size x size, row by row */
    const double *right; /* the like */
    double *product;     /* the like; zero before */
};

/* A place for one queen in each of the first rows. */
struct queens_board {
    signed char columns[QUEENS_MAX];
};

/* Tells whether a queen in the next row is safe from those in the `row` rows above it. */
static inline bool queens_fit(const struct queens_board *board, int row, int column) {
    for (int i = 0; i < row; i++) {
        int distance = board->columns[i] - column;
        if (distance == 0 || distance == row - i || distance == i - row)
            return false;
    }
    return true;
}

/* A tree that nobody can know before it is walked: a node's children follow from a hash of its
 * path. After `full_levels` levels in which each node has 8, one has 8 with a chance just under an
 * eighth and else none, so that trees of one node lie beside trees of thousands (the binomial tree
 * of UTS: Olivier and others, "UTS: An Unbalanced Tree Search Benchmark", 2006). */
struct tree_node {
    uint64_t hash;
    int level;
};

static inline uint64_t tree_mix(uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static inline struct tree_node tree_root(void) {
    struct tree_node root = {1, 0};
    return root;
}

static inline int tree_child_count(struct tree_node node, int64_t full_levels) {
    const uint64_t chance = 0x1f851eb8; /* of 2^32: 0.985 / 8 */
    return node.level < full_levels || (node.hash >> 32) < chance ? TREE_CHILDREN : 0;
}

static inline struct tree_node tree_child(struct tree_node node, int index) {
    enum { ROUNDS = 16 }; /* some 25 ns of work for a node */
    struct tree_node child = {node.hash + 0x9e3779b97f4a7c15u * (uint64_t)(index + 1),
                              node.level + 1};
    for (int i = 0; i < ROUNDS; i++)
        child.hash = tree_mix(child.hash);
    return child;
}

/* One link of a chain, some 600 ns that need the link before. */
uint64_t chain_link(uint64_t state);

/* A square of `extent` rows in each of the three matrices. */
struct matrix_block {
    int64_t row;
    int64_t column;
    int64_t inner;
    int64_t extent;
};

/* The eighth of a block product that `index` says in its bits: half of rows, columns, inner ones.
 * Those with the same half of the inner ones, 0 to 3 and 4 to 7, touch different products. */
static inline struct matrix_block matrix_part(struct matrix_block block, int index) {
    int64_t half = block.extent / 2;
    struct matrix_block part = {block.row + (index & 1 ? half : 0),
                                block.column + (index & 2 ? half : 0),
                                block.inner + (index & 4 ? half : 0), half};
    return part;
}

/* Adds the product of two squares of MATRIX_BLOCK rows. */
void matrix_multiply_block(const struct fork_work *work, struct matrix_block block);

/* Computes square number `index` of MATRIX_LOOP_BLOCK rows of the product. */
void matrix_compute_square(const struct fork_work *work, int64_t index);

static inline int64_t matrix_square_count(const struct fork_work *work) {
    int64_t squares = work->size / MATRIX_LOOP_BLOCK;
    return squares * squares;
}

/* Fills matrices with small whole numbers; all sums are exact. */
void matrix_fill(double *left, double *right, int64_t size);

/* Tells whether the product is right, by multiplying with vectors from both sides. */
bool matrix_verify(const struct fork_work *work);

#ifdef __cplusplus
}
#endif

#endif
