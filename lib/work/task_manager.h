/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_WORK_TASK_MANAGER_H
#define ASYNCTOOLS_WORK_TASK_MANAGER_H

/* The inside of a task manager. See task_manager.c for the argument. */
#include "base/block_cache.h"
#include "base/context.h"
#include "base/lock.h"
#include "pool/executor.h"
#include "pool/parts.h"
#include "pool/waiter.h"

#include <asynctools/task_manager.h>

/* What only some children have. */
typedef struct ati_child_extra {
    char *name;           /* owned, or NULL: that of its function */
    at_future *future;    /* of a submitted one, which owns the value: kept inside, or NULL */
    ati_context *context; /* of its own: owned, or NULL */
    struct ati_child_extra *next; /* of those that the manager keeps for who has gathered them */
} ati_child_extra;

/* What is known of a child. */
typedef struct ati_child {
    union {
        at_run_fn run;   /* until it has run */
        at_error *error; /* from then on: owned, or NULL */
    };
    union {
        void *argument;
        void *value; /* owned with `drop` */
    };
    at_drop_fn drop; /* of either */
    const char *site;
    ati_child_extra *extra; /* owned, or NULL */
    at_status status;       /* how it ended */
    uint8_t lane;           /* ati_lane */
    bool was_refused;       /* the pool did not take it: it was no child */
    bool is_noted;          /* its error is the first of all */
} ati_child;

enum { ATI_CHUNK_CHILDREN = 84 }; /* 4 KiB */

/* Children, in the order in which they were started. */
typedef struct ati_child_chunk {
    struct ati_child_chunk *next;
    struct ati_child_chunk *previous;
    uint64_t first_index; /* of its first child */
    uint32_t written;
    uint32_t left; /* of these, so many are still needed */
    ati_child children[ATI_CHUNK_CHILDREN];
} ati_child_chunk;

/* One of max_concurrent places, in a queue of the pool or running: one block of the cache in
 * base/block_cache.h. It goes from a child to the next. */
typedef struct ati_place {
    ati_task_node node; /* its link: in the manager's list of free ones too */
    at_task_manager *manager;
    ati_child_chunk *chunk;
    ati_child *child;
} ati_place;

_Static_assert(sizeof(ati_place) <= ATI_BLOCK_SIZE, "a place is one block");

/* One that waits until all children have ended. */
typedef struct ati_join_wait {
    ati_waiter waiter; /* first */
    struct ati_join_wait *next;
} ati_join_wait;

enum { ATI_OTHER_LIMIT = 64 }; /* errors kept beside the first one */

struct at_task_manager {
    at_pool *pool;        /* kept by a reference */
    ati_context *context; /* the operation of the children; owned */
    uint64_t max_concurrent;
    bool keeps_outcomes;
    at_task_manager_policy policy;
    at_task_manager_decide_fn decide; /* or NULL */
    void *decide_context;
    uint64_t fork_count; /* of the process that made it */
    ati_part part;

    ati_lock lock;  /* guards what follows; nothing nests in it */
    bool is_closed; /* a join has ended: no further start */
    ati_child_chunk *first_chunk;
    ati_child_chunk *last_chunk;
    ati_child_chunk *cursor_chunk; /* where the next child that is queued is, or will be */
    uint32_t cursor;
    uint32_t gathered; /* children at the beginning of the first chunk */
    uint64_t kept;     /* children whose outcomes nobody has got */
    ati_task_node *free_places;
    ati_child_extra *lent; /* of those that were gathered, and whose values are in their futures */
    ati_join_wait *joins;
    at_task_manager_decision decision; /* the first that is not to go on */
    at_task_manager_counts counts;
    at_error *first_error;             /* in time; owned */
    at_error *others[ATI_OTHER_LIMIT]; /* owned */
    size_t other_count;
    uint64_t others_dropped;
    uint64_t next_index; /* of a child */
};

/* Whether the running code belongs to a child. */
bool ati_task_manager_is_inside(const at_task_manager *manager);

/* Makes what a child with these options needs beside itself. False: out of memory. */
bool ati_child_extra_create(const char *name, ati_child_extra **extra);
void ati_child_extra_release(ati_child_extra *extra); /* NULL is allowed */

/* Starts a child like `child`, or queues it; takes its `extra`. Other than AT_OK, with an error: it
 * never runs, and what it was to own is the caller's. */
at_status ati_child_start(at_task_manager *manager, const ati_child *child, const char *call);

/* A child as these options say, without anything extra. */
ati_child ati_child_of(const char *site, const at_task_options *options);

/* Drops its outcome. */
void ati_child_drop(ati_child *child);

/* -- Under the lock -- */

/* Whether there is room for one more child. */
bool ati_chunks_have_room(const at_task_manager *manager);
void ati_chunks_add(at_task_manager *manager, ati_child_chunk *chunk);

/* Writes a child behind the others; there is room. */
void ati_child_queue(at_task_manager *manager, const ati_child *child);

/* A child is not needed any more. Gives the chunk to be released, or NULL. */
ati_child_chunk *ati_child_let_go(at_task_manager *manager, ati_child_chunk *chunk);

/* The place is that of the first child that is queued. */
void ati_place_take_queued(at_task_manager *manager, ati_place *place);

/* The child of this place is through with it: it is that of the next. False: there is none, and the
 * place is free. */
bool ati_place_pass_on(at_task_manager *manager, ati_place *place);
ati_place *ati_place_take_free(at_task_manager *manager); /* or NULL */

/* What a dump says of it (task_manager_dump.c). */
extern const ati_part_section ati_task_manager_section;

#endif
