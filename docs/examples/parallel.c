/* SPDX-License-Identifier: MIT */
/* Loops whose turns several workers make at once. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { width = 64, height = 48 };

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static unsigned char image[height][width];
static unsigned char blurred[height][width];

static void *blur_row(int64_t row, void *context) {
    (void)context;
    for (int column = 1; column + 1 < width; column++)
        blurred[row][column] =
            (unsigned char)((image[row][column - 1] + image[row][column] + image[row][column + 1]) /
                            3);
    return NULL;
}

/* A whole range at once: the loop is inside. */
static void *scale(int64_t begin, int64_t end, void *numbers) {
    for (int64_t i = begin; i < end; i++)
        ((double *)numbers)[i] *= 2;
    return NULL;
}

static void zero(void *sum, void *numbers) {
    (void)numbers;
    *(double *)sum = 0;
}

static void *add_up(int64_t begin, int64_t end, void *sum, void *numbers) {
    for (int64_t i = begin; i < end; i++)
        *(double *)sum += ((double *)numbers)[i];
    return NULL;
}

static void add(void *left, void *right, void *numbers) {
    (void)numbers;
    *(double *)left += *(double *)right;
}

static void *check_number(int64_t index, void *numbers) {
    if (((double *)numbers)[index] > 1000)
        return at_fail(AT_ERROR_INVALID, "number %lld is too large", (long long)index);
    return NULL;
}

static void *count_up(void *count) {
    ++*(int *)count;
    return NULL;
}

int main(void) {
    at_pool *pool;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    expect(at_parallel_for(pool, 0, height, blur_row, NULL, NULL) == AT_OK, "all rows");

    double numbers[1000];
    for (int i = 0; i < 1000; i++)
        numbers[i] = i;
    at_parallel_options options = {.grain = 100}; /* at least so many in a row */
    expect(at_parallel_for_ranges(pool, 0, 1000, scale, numbers, &options) == AT_OK, "all scaled");

    at_parallel_reduction sum = {
        .size = sizeof(double), .init = zero, .run = add_up, .merge = add, .context = numbers};
    double total;
    expect(at_parallel_reduce(pool, 0, 1000, &sum, &total) == AT_OK, "a sum");
    expect(total == 999000, "of all");

    expect(at_parallel_for(pool, 0, 1000, check_number, numbers, NULL) == AT_ERROR_INVALID,
           "the first failure ends the loop");
    puts(at_error_message(at_error_last()));

    int counts[2] = {0, 0};
    at_parallel_call calls[2] = {{count_up, &counts[0]}, {count_up, &counts[1]}};
    expect(at_parallel_invoke(pool, calls, 2) == AT_OK, "two calls");
    expect(counts[0] == 1 && counts[1] == 1, "each once");
    at_pool_destroy(pool);
    return 0;
}
