/* SPDX-License-Identifier: MIT
 *
 * What the tests of operations share: a logger in memory, whose lines are looked at, a pool, and a
 * virtual clock. For files with FAULT_INSTALL. */
#ifndef TEST_SUPPORT_OPERATIONS_H
#define TEST_SUPPORT_OPERATIONS_H

#include "support/fixture.h"

#include <asynctools/asynctools.h>

#include <jansson.h>

/* The default logger of the running test: everything, in memory. */
extern at_logger *logger;

/* `.init` and `.fini`. */
void begin_operations(void);
void end_operations(void);

/* Moves the virtual clock. */
void pass(at_duration duration);

/* The line of `event`, which must be there once; borrowed from `*lines`, which is owned. */
json_t *line_of(const char *event, json_t **lines);

/* The text of a member, "(none)" if there is none. */
const char *text_of(const json_t *line, const char *key);

/* What the line of the end says. */
void expect_end(const char *event, const char *level, const char *outcome);

/* How many lines of an event there are. */
int event_count(const char *event);
void count_events(const char *event, int wanted);

#endif
