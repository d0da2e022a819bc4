/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_OPERATION_OPERATION_H
#define ASYNCTOOLS_OPERATION_OPERATION_H

/* What an operation has besides its record (base/context.h), in whose memory it lies: so it is
 * there as long as anything runs under it. */
#include "base/context.h"
#include "base/lock.h"
#include "operation/live.h"
#include "operation/metadata.h"

#include <asynctools/operation.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A function that was given to at_defer. */
typedef struct ati_deferred {
    struct ati_deferred *next;
    void (*run)(void *argument);
    void *argument;
} ati_deferred;

struct at_operation {
    /* Set before anybody else knows of it. */
    at_logger *logger;   /* NULL: the default one */
    at_tracker *tracker; /* or NULL */
    at_clock *clock;
    int64_t started_at; /* of `clock` */
    at_duration slow;   /* AT_FOREVER: never */
    uint8_t start_level;
    uint8_t end_level;
    uint8_t verbose_level; /* that it asks for by ati_log_verbose_add */
    bool keeps_lines;      /* those in its context are its own */
    uint8_t late_said;     /* ati_late bits: no line of these is to come; see operation_watch.c */
    uint8_t late_due;      /* those that its watcher is to say */
    int32_t thread;        /* that began it */

    /* See live.c. */
    ati_live_link live;
    uint32_t live_place;

    _Atomic uint32_t watched; /* see operation_watch.c */
    struct at_operation *next_late;

    ati_try_lock lock; /* guards what follows; the allocator may be called inside */
    bool has_ended;
    bool has_outcome;
    at_operation_outcome outcome;
    at_error *error;        /* with the outcome, or NULL */
    ati_deferred *deferred; /* the last first */
    ati_metadata metadata;  /* the last member: most of it is not zeroed */
};

static inline ati_context *ati_operation_context(const at_operation *operation) {
    return (ati_context *)((char *)operation - offsetof(ati_context, bytes));
}

/* The operation that log lines under `context` are of; NULL: none, or one that a task manager or
 * the like stands for. */
at_operation *ati_operation_of(const ati_context *context);

/* -- report.c: what it says of itself -- */

void ati_operation_log_start(at_operation *operation);

/* How an operation has ended. */
typedef struct ati_operation_result {
    at_operation_outcome outcome;
    const at_error *error; /* or NULL */
    at_duration duration;
} ati_operation_result;

void ati_operation_log_end(at_operation *operation, const ati_operation_result *result);

/* What can be said of one that goes on for too long. */
typedef enum ati_late {
    ATI_LATE_SLOW = 1,    /* it has run for longer than `slow` */
    ATI_LATE_OVERDUE = 2, /* its deadline has passed */
} ati_late;

/* Which of these hold at `now` of its clock. */
uint32_t ati_operation_late(const at_operation *operation, int64_t now);

/* Says it, each in a line, to `logger` (NULL: its own). */
void ati_operation_log_late(const at_operation *operation, uint32_t late, at_logger *logger);

/* Tells its tracker. */
void ati_operation_track(at_operation *operation, const ati_operation_result *result);

#endif
