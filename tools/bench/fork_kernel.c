/* SPDX-License-Identifier: MIT */
#include "fork_kernel.h"

#include <stddef.h>

uint64_t chain_link(uint64_t state) {
    enum { ROUNDS = 200 };
    for (int i = 0; i < ROUNDS; i++)
        state = tree_mix(state + 1);
    return state;
}

void matrix_multiply_block(const struct fork_work *work, struct matrix_block block) {
    int64_t size = work->size;
    for (int row = 0; row < MATRIX_BLOCK; row++) {
        const double *left = work->left + (block.row + row) * size + block.inner;
        double *product = work->product + (block.row + row) * size + block.column;
        double sums[MATRIX_BLOCK];
        for (int column = 0; column < MATRIX_BLOCK; column++)
            sums[column] = product[column];
        for (int inner = 0; inner < MATRIX_BLOCK; inner++) {
            const double *right = work->right + (block.inner + inner) * size + block.column;
            for (int column = 0; column < MATRIX_BLOCK; column++)
                sums[column] += left[inner] * right[column];
        }
        for (int column = 0; column < MATRIX_BLOCK; column++)
            product[column] = sums[column];
    }
}

void matrix_compute_square(const struct fork_work *work, int64_t index) {
    int64_t squares = work->size / MATRIX_LOOP_BLOCK;
    int64_t first_row = index / squares * MATRIX_LOOP_BLOCK;
    int64_t first_column = index % squares * MATRIX_LOOP_BLOCK;
    for (int64_t inner = 0; inner < work->size; inner += MATRIX_BLOCK)
        for (int64_t row = 0; row < MATRIX_LOOP_BLOCK; row += MATRIX_BLOCK)
            for (int64_t column = 0; column < MATRIX_LOOP_BLOCK; column += MATRIX_BLOCK)
                matrix_multiply_block(work,
                                      (struct matrix_block){first_row + row, first_column + column,
                                                            inner, MATRIX_BLOCK});
}

/* Whole numbers from 0 to 7. */
static double pick_digit(uint64_t seed) {
    return (double)(tree_mix(seed * 0x9e3779b97f4a7c15u) & 7);
}

void matrix_fill(double *left, double *right, int64_t size) {
    for (int64_t i = 0; i < size * size; i++) {
        left[i] = pick_digit((uint64_t)i);
        right[i] = pick_digit((uint64_t)(i + size * size));
    }
}

static double row_weight(int64_t row) {
    return pick_digit((uint64_t)row ^ 0x5eed1);
}

static double column_weight(int64_t column) {
    return pick_digit((uint64_t)column ^ 0x5eed2);
}

/* Weighted by rows and columns, the sum of the product is the sum over the inner index of the
 * weighted sums of the left's column and the right's row. Below 2^53 all is exact. */
bool matrix_verify(const struct fork_work *work) {
    int64_t size = work->size;
    double expected = 0, found = 0;
    for (int64_t inner = 0; inner < size; inner++) {
        double left = 0, right = 0;
        for (int64_t i = 0; i < size; i++) {
            left += row_weight(i) * work->left[i * size + inner];
            right += column_weight(i) * work->right[inner * size + i];
        }
        expected += left * right;
    }
    for (int64_t row = 0; row < size; row++) {
        double sum = 0;
        for (int64_t column = 0; column < size; column++)
            sum += column_weight(column) * work->product[row * size + column];
        found += row_weight(row) * sum;
    }
    return found == expected;
}
