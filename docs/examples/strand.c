/* SPDX-License-Identifier: MIT */
/* An account that many tasks use, without a lock: all that touches it runs on its strand. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

struct account {
    at_strand *strand;
    int balance; /* touched on the strand only */
};

static void *pay_in(void *argument) {
    struct account *account = argument;
    account->balance += 10;
    return account;
}

/* A work may wait: its worker goes on with other things, the strand stays with it. */
static void *pay_in_after_a_while(void *argument) {
    AT_TRY(at_sleep(AT_MILLISECONDS(1)));
    return pay_in(argument);
}

/* One that would have to wait for its own end is told so. */
static void *wait_for_the_next(void *argument) {
    struct account *account = argument;
    at_executor *executor = at_strand_executor(account->strand);
    at_future *next = at_executor_submit(executor, pay_in, account);
    expect(at_future_wait(next, AT_FOREVER, NULL) == AT_ERROR_DEADLOCK,
           "not before this has ended");
    puts(at_error_message(at_error_last()));
    return at_return_future(next); /* but it may go on with it */
}

static void *give_balance(void *value, void *argument) {
    struct account *account = argument;
    return value ? &account->balance : NULL;
}

int main(void) {
    at_pool *pool;
    struct account account = {0};
    void *balance;
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    at_strand_options named = {.name = "account"};
    expect(at_strand_create(&account.strand, pool, &named) == AT_OK, "a strand");
    at_executor *executor = at_strand_executor(account.strand);

    at_future_release(at_executor_submit(executor, pay_in_after_a_while, &account));
    for (int i = 0; i < 100; i++)
        at_future_release(at_executor_submit(executor, pay_in, &account));
    at_task_options options = {
        .run = wait_for_the_next, .argument = &account, .name = "a hasty work"};
    at_future *last = at_executor_submit_with(executor, &options);
    last = at_future_then(last, give_balance, &account); /* on the strand, too */
    expect(at_future_wait(last, AT_FOREVER, &balance) == AT_OK, "the end");
    expect(*(int *)balance == 1020, "nothing was lost");

    at_future_release(last);
    at_strand_destroy(account.strand);
    at_pool_destroy(pool);
    return 0;
}
