/* SPDX-License-Identifier: MIT */
/* A task that divides its work: forks cost nanoseconds, and workers without work take some. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

static void *fibonacci(void *n) {
    if ((intptr_t)n < 2)
        return n;
    at_fork left;
    at_fork_start(&left, fibonacci, (void *)((intptr_t)n - 1)); /* others may take it */
    intptr_t right = (intptr_t)fibonacci((void *)((intptr_t)n - 2));
    return (void *)(right + (intptr_t)at_fork_join(&left, fibonacci)); /* or it is called here */
}

struct node {
    struct node *left;
    struct node *right;
    int value;
};

/* The value of a fork is what its function returns, AT_FAILED too. */
static void *check_tree(void *argument) {
    struct node *node = argument;
    if (!node)
        return NULL;
    if (node->value < 0)
        return at_fail(AT_ERROR_INVALID, "a node holds %d", node->value);
    at_fork left;
    at_fork_start(&left, check_tree, node->left);
    void *right = check_tree(node->right);
    void *outcome = at_fork_join(&left, check_tree); /* joined on every path */
    return right == AT_FAILED ? right : outcome;
}

int main(void) {
    at_pool *pool;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");

    at_future *sum = at_pool_submit(pool, fibonacci, (void *)25);
    void *value;
    expect(at_future_wait(sum, AT_FOREVER, &value) == AT_OK, "a value");
    expect((intptr_t)value == 75025, "the 25th number");
    at_future_release(sum);

    struct node leaves[2] = {{.value = 1}, {.value = -2}};
    struct node root = {.left = &leaves[0], .right = &leaves[1], .value = 3};
    at_future *checked = at_pool_submit(pool, check_tree, &root);
    expect(at_future_wait(checked, AT_FOREVER, NULL) == AT_ERROR_INVALID, "a failure");
    puts(at_error_message(at_error_last()));
    at_future_release(checked);

    /* In a plain thread the join makes the call. */
    expect((intptr_t)fibonacci((void *)10) == 55, "the 10th number");
    at_pool_destroy(pool);
    return 0;
}
