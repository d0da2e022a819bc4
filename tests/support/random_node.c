/* SPDX-License-Identifier: MIT */
#include "support/random_node.h"

#include <stdio.h>
#include <stdlib.h>

enum { slot_count = 8 };

struct random_work random_work;

/* -- Chance -- */

uint64_t next(uint64_t *seed) {
    uint64_t mixed = *seed += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
}

int up_to(uint64_t *seed, int limit) {
    return (int)(next(seed) % (uint64_t)limit);
}

at_duration short_while(uint64_t *seed) {
    return AT_MICROSECONDS(1 + up_to(seed, 300));
}

/* -- What is owned -- */

struct node *make_node(struct node *parent, void (*act)(struct node *node)) {
    struct node *node = malloc(sizeof *node);
    *node = (struct node){.seed = next(&parent->seed), .depth = parent->depth + 1, .act = act};
    atomic_fetch_add_explicit(&random_work.live_nodes, 1, memory_order_relaxed);
    return node;
}

void *look_at(void *value, void *context) {
    if (value) /* as long as its future it can be read, whatever it is */
        (void)*(volatile char *)value;
    return context;
}

void drop_node(void *node) {
    atomic_fetch_sub_explicit(&random_work.live_nodes, 1, memory_order_relaxed);
    free(node);
}

void drop_value(void *value) {
    atomic_fetch_sub_explicit(&random_work.live_values, 1, memory_order_relaxed);
    free(value);
}

void *give_value(uint64_t number) {
    uint64_t *value = malloc(sizeof *value);
    *value = number;
    atomic_fetch_add_explicit(&random_work.live_values, 1, memory_order_relaxed);
    return at_return(value, drop_value);
}

void note(bool holds, const char *what, const char *file, int line) {
    if (!holds && atomic_fetch_add_explicit(&random_work.wrong, 1, memory_order_relaxed) == 0)
        fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
}

void allow_at(at_status status, const char *file, int line) {
    switch (status) {
    case AT_OK:
    case AT_ERROR_CANCELLED:
    case AT_ERROR_TIMED_OUT:
    case AT_ERROR_IO:
    case AT_ERROR_FULL:
    case AT_ERROR_DROPPED:
    case AT_ERROR_EXPIRED:
    case AT_ERROR_ABANDONED:
        return;
    default:
        note(false, at_error_message(at_error_last()), file, line);
    }
}

void check_outcomes(at_outcome *outcomes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        allow(outcomes[i].status);
        expect((outcomes[i].status == AT_OK) == (outcomes[i].error == NULL));
        if (outcomes[i].status == AT_OK && outcomes[i].value)
            expect(*(uint64_t *)outcomes[i].value != 0);
    }
    at_outcomes_release(outcomes, count);
}

/* -- Ends -- */

/* Futures and tokens that other trees get hold of. */
static _Atomic(at_future *) strangers[slot_count];
static _Atomic(at_token *) tokens[slot_count];

/* Does something to what another tree waits for, without a wait. */
static void meddle(struct node *node, at_future *stranger) {
    switch (up_to(&node->seed, 4)) {
    case 0:
        at_future_cancel(stranger);
        break;
    case 1:
        stranger = at_future_with_timeout(stranger, at_after(short_while(&node->seed)));
        at_future_ignore(stranger);
        break;
    case 2: {
        at_continuation_options inlined = {.executor = at_executor_inline()};
        stranger = at_future_then_with(stranger, look_at, &inlined);
        at_future_ignore(stranger);
        if (up_to(&node->seed, 2))
            at_future_cancel(stranger);
        break;
    }
    default:
        break;
    }
    at_future_release(stranger);
}

void end_future(struct node *node, at_future *future) {
    void *value = NULL;
    at_future_ignore(future);
    if (up_to(&node->seed, 3) == 0) {
        int slot = up_to(&node->seed, slot_count);
        at_future *stranger = atomic_exchange(&strangers[slot], at_future_retain(future));
        if (stranger)
            meddle(node, stranger);
    }
    switch (up_to(&node->seed, 6)) {
    case 0:
        at_future_cancel(future);
        break;
    case 1:
        allow(at_future_wait(future, at_after(short_while(&node->seed)), NULL));
        at_future_cancel(future);
        break;
    default:
        allow(at_future_wait(future, AT_FOREVER, &value));
        look_at(value, NULL);
    }
    at_future_release(future);
}

void share_token(struct node *node, at_token *token) {
    int slot = up_to(&node->seed, slot_count);
    at_token *stranger = atomic_exchange(&tokens[slot], at_token_retain(token));
    if (stranger && up_to(&node->seed, 2))
        (void)at_token_cancel(stranger);
    at_token_release(stranger);
}

void end_sharing(void) {
    for (int slot = 0; slot < slot_count; slot++) {
        at_future_release(atomic_exchange(&strangers[slot], NULL));
        at_token_release(atomic_exchange(&tokens[slot], NULL));
    }
}

/* -- Leaves -- */

void leaf(struct node *node) {
    switch (up_to(&node->seed, 5)) {
    case 0:
        allow(at_sleep(short_while(&node->seed)));
        break;
    case 1:
        at_yield();
        break;
    case 2:
        allow(at_check());
        break;
    default:
        break;
    }
}

void sleep_until_cancelled(struct node *node) {
    (void)node;
    at_status status = at_sleep(AT_SECONDS(1000));
    expect(status == AT_ERROR_CANCELLED || status == AT_ERROR_TIMED_OUT);
}

/* The work function of all tasks. Also one whose waits are cancelled gives a value or an error. */
void *run_node(void *argument) {
    struct node *node = argument;
    node->act(node);
    uint64_t chance = next(&node->seed);
    drop_node(node);
    at_error_clear();
    if (chance % 13 == 0)
        return at_fail(AT_ERROR_IO, "on purpose");
    return chance % 3 == 0 ? NULL : give_value(chance | 1);
}

at_task_options task_of(struct node *node) {
    return (at_task_options){.run = run_node, .argument = node, .drop = drop_node};
}

at_future *submit(struct node *parent, void (*act)(struct node *node)) {
    at_task_options task = task_of(make_node(parent, act));
    task.priority = (at_priority)up_to(&parent->seed, 4);
    return at_pool_submit_with(random_work.pool, &task);
}
