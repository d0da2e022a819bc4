/* SPDX-License-Identifier: MIT
 *
 * What the files of the checker share. One thread of the system runs it all; thread 0 is setup and
 * check, threads 1 and up are those of the case. */
#ifndef MODEL_ENGINE_H
#define MODEL_ENGINE_H

#include "model.h"

enum {
    thread_limit = MODEL_THREADS + 1,
    location_limit = 160, /* atomic words in use in one execution */
    event_limit = 4000,   /* operations in one execution */
    no_location = -1,
};

/* What a thread knows: per location the newest message it has seen, per thread the last of its
 * plain accesses that happened before. */
typedef struct view {
    uint8_t times[location_limit];
    uint16_t clock[thread_limit];
} view;

void view_join(view *into, const view *from);

/* An operation about to be done, or done. */
typedef struct operation {
    const model_site *site; /* NULL: of the checker itself */
    const char *name;
    uint64_t value; /* read or written, for the report */
    int location;   /* or no_location */
    uint8_t thread;
    bool writes;
    bool is_fence; /* depends on everything */
    bool is_stale;
} operation;

/* What is explored now. */
typedef struct model_bounds {
    int preemptions;
    int stale_reads;
    int early_returns;
} model_bounds;

/* -- explore.c: which threads and values come next -- */

typedef enum explore_outcome { EXPLORE_THREAD, EXPLORE_REDUNDANT } explore_outcome;

void explore_begin_case(const model_bounds *bounds);
void explore_begin_execution(void);
/* One of the `enabled` threads (a mask); `pending` are the next operations of all. */
explore_outcome explore_choose_thread(unsigned enabled, const operation *pending, int *thread);
int explore_choose_value(int count); /* 0 first */
bool explore_next_execution(void);   /* false: all were explored */
int explore_event(void);             /* the number of the event in progress */
/* Whether the current event comes after another one for some other reason than what it reads. */
bool explore_follows(int other);

/* -- threads.c: the threads of one execution -- */

typedef enum execution_outcome {
    EXECUTION_GOOD,
    EXECUTION_FAULTY,
    EXECUTION_REDUNDANT,
} execution_outcome;

execution_outcome threads_run(const model_case *tested);
const char *threads_fault(void); /* what model_fail said */
int threads_current(void);
bool threads_are_alone(void); /* in setup and check */

/* Gives others their turn before the operation; returns when it is to be done. */
operation *threads_step(const operation *next);

/* -- memory.c: atomic words -- */

void memory_begin_execution(void);
void memory_start_threads(int count); /* they have seen what setup did */
void memory_end_threads(void);        /* check has seen everything */
int memory_find(void *object, size_t size);
uint64_t memory_read_newest(int location); /* what the kernel sees */
const view *memory_view(void);             /* of the current thread */
model_bounds *memory_budget(void);         /* what is left of the bounds in this execution */

/* -- sequential.c: the order of sequentially consistent accesses. Times are of messages -- */

void sequential_begin_execution(void);
/* Whether the current thread may read a message, of which it takes over `acquired`. */
bool sequential_allows_read(int location, int time, const view *acquired);
/* An access done: it wrote the message, or only read it. */
void sequential_add(int location, int time, bool writes);

/* -- plain.c: plain memory -- */

void plain_begin_execution(void);
uint8_t *plain_location(void *object); /* a place to keep the number of its location plus one */
void plain_check_atomic(void *object, size_t size);

/* -- report.c -- */

void report_site(model_site *site); /* each operation, when it is met */
void report_trace(void);
operation *report_event(const operation *done); /* remembers it for the trace */
void report_begin_execution(void);

#endif
