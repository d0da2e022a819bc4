/* SPDX-License-Identifier: MIT
 *
 * The parts of random_work.h that know nothing of how trees grow: chance, what is owned and
 * counted, and how futures end. */
#ifndef TEST_SUPPORT_RANDOM_NODE_H
#define TEST_SUPPORT_RANDOM_NODE_H

#include "support/random_work.h"

#include <asynctools/asynctools.h>

/* A part of a tree: owned by the task that is to grow it. */
struct node {
    uint64_t seed;
    int depth;
    void (*act)(struct node *node);
};

/* -- Chance -- */

uint64_t next(uint64_t *seed);
int up_to(uint64_t *seed, int limit); /* less than that */
at_duration short_while(uint64_t *seed);

/* -- What is seen -- */

#define expect(condition) note(condition, #condition, __FILE__, __LINE__)
void note(bool holds, const char *what, const char *file, int line);

/* Whatever was cancelled, refused or has failed on purpose; anything else is a fault. */
#define allow(status) allow_at(status, __FILE__, __LINE__)
void allow_at(at_status status, const char *file, int line);

/* -- What is owned -- */

struct node *make_node(struct node *parent, void (*act)(struct node *node));
void drop_node(void *node);

/* What a task returns: a number that is not 0, to be dropped. */
void *give_value(uint64_t number);
void drop_value(void *value);
void *look_at(void *value, void *context); /* of any future; for at_future_then */

/* Outcomes whose values are numbers; releases them. */
void check_outcomes(at_outcome *outcomes, size_t count);

/* -- Tasks -- */

void leaf(struct node *node);
void sleep_until_cancelled(struct node *node);

void *run_node(void *node); /* the work function of all tasks */
at_task_options task_of(struct node *node);
at_future *submit(struct node *parent, void (*act)(struct node *node));

/* -- Ends -- */

/* Waits for a future, in one of several ways, and lets it go; other trees may get hold of it. */
void end_future(struct node *node, at_future *future);

/* Cancels a token that another tree runs under, perhaps; and leaves this one to others. */
void share_token(struct node *node, at_token *token);

void end_sharing(void);

#endif
