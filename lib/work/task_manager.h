/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_WORK_TASK_MANAGER_H
#define ASYNCTOOLS_WORK_TASK_MANAGER_H

/* The inside of a task manager. See task_manager.c for the argument. */
#include "base/block_cache.h"
#include "base/context.h"
#include "base/lock.h"
#include "future/stop.h"
#include "pool/executor.h"
#include "pool/parts.h"
#include "pool/waiter.h"

#include <asynctools/task_manager.h>

/* What only some children have: one block of the cache in base/block_cache.h. */
typedef struct ati_child_extra {
    ati_stop stop;                /* first; if it is a submitted one */
    _Atomic uint32_t references;  /* the child's, and that of the future's list */
    char *name;                   /* owned, or NULL: that of its function */
    at_future *future;            /* of a submitted one, which owns the value: kept inside */
    ati_context *context;         /* under the manager's, if it is of another operation; owned */
    struct ati_child_extra *next; /* of those that the manager keeps for who has gathered them */
} ati_child_extra;

_Static_assert(sizeof(ati_child_extra) <= ATI_BLOCK_SIZE, "what a child has beside is one block");

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
    uint64_t first_index;  /* of its first child */
    _Atomic uint32_t left; /* children not let go, and the ends of the queue that are here */
    ati_child children[ATI_CHUNK_CHILDREN];
} ati_child_chunk;

/* One of max_concurrent places, in a queue of the pool or running: one block of the cache in
 * base/block_cache.h. It goes from a child to the next. */
typedef struct ati_place {
    ati_task_node node; /* its link: in the manager's list of free ones too */
    at_task_manager *manager;
    ati_child_chunk *chunk;
    ati_child *child;
    uint32_t ended_here; /* children of `chunk` that ended here and are not let go yet */
    uint32_t in_a_row;   /* children that it was that of since it was free */
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

    /* The end of the queue that is written to, and who may write. */
    _Alignas(ATI_CACHE_LINE) ati_lock start_lock; /* guards the following; `lock` nests in it */
    bool is_closed;                               /* a join has ended: no further start */
    uint32_t written;                             /* children in the last chunk */
    ati_child_chunk *last_chunk;
    _Atomic uint64_t pushed; /* children ever written; read by takers */
    uint64_t running;        /* places that are not free */
    ati_task_node *free_places;
    ati_join_wait *joins;

    /* The end that is taken from. While nobody is queued and a place is free, `cursor`,
     * `cursor_chunk` and `taken` belong to the holder of start_lock. */
    _Alignas(ATI_CACHE_LINE) ati_lock lock; /* guards the following; nothing nests in it */
    uint32_t cursor;
    ati_child_chunk *cursor_chunk; /* where the next child is that is queued, or will be */
    uint64_t seen;                 /* what `pushed` was at the last look */
    _Atomic uint64_t taken;        /* children that ever got a place */
    uint64_t refused;              /* of these, not taken by the pool: they are none */
    uint64_t failed;
    uint64_t cancelled;

    /* Guarded by `lock` too, but for first_chunk: the first start writes it, and from the end of
     * the last child on who gathers. */
    _Alignas(ATI_CACHE_LINE) ati_child_chunk *first_chunk; /* if outcomes are kept */
    uint32_t gathered;                 /* children at the beginning of the first chunk */
    uint64_t given;                    /* outcomes that somebody has got */
    ati_child_extra *lent;             /* of those, with values that are in their futures */
    at_task_manager_decision decision; /* the first that is not to go on */
    at_error *first_error;             /* in time; owned */
    at_error *others[ATI_OTHER_LIMIT]; /* owned */
    size_t other_count;
    uint64_t others_dropped;
    _Atomic(ati_child_chunk *) spare; /* an empty chunk, or NULL; exchanged, under no lock */
};

/* Whether the running code belongs to a child. */
bool ati_task_manager_is_inside(const at_task_manager *manager);

/* Makes what a child with this name (or NULL), started by the running code, has beside itself;
 * NULL if nothing, unless it `needs_one`. False: out of memory. */
bool ati_child_extra_create(const at_task_manager *manager, const char *name, bool needs_one,
                            ati_child_extra **extra);
void ati_child_extra_release(ati_child_extra *extra); /* NULL is allowed */

/* Starts a child like `child`, or queues it; takes its `extra`. Other than AT_OK, with an error: it
 * never runs, and what it was to own is the caller's. */
at_status ati_child_start(at_task_manager *manager, const ati_child *child, const char *call);

/* A child as these options say, without anything extra. */
ati_child ati_child_of(const char *site, const at_task_options *options);

/* Drops its outcome. */
void ati_child_drop(ati_child *child);

/* -- Chunks: without a lock -- */

/* An empty one that the manager has kept, or NULL. */
ati_child_chunk *ati_chunk_take_spare(at_task_manager *manager);

/* So many children of a chunk, or ends of the queue, need it no more. NULL is allowed. */
void ati_chunk_let_go(at_task_manager *manager, ati_child_chunk *chunk, uint32_t count);

/* The same for the children that have ended in this place. */
void ati_place_let_go(ati_place *place);

/* -- Under start_lock -- */

bool ati_children_have_room(const at_task_manager *manager);

/* Gives the chunk that was the last one, for which one is to be let go; or NULL. */
ati_child_chunk *ati_children_add_chunk(at_task_manager *manager, ati_child_chunk *chunk);

/* Writes a child behind the others; there is room. */
void ati_children_push(at_task_manager *manager, const ati_child *child);

/* The same while none is queued and a place is free: it is this child's. Gives the chunk that the
 * cursor has left, for which one is to be let go; or NULL. */
ati_child_chunk *ati_children_push_taken(at_task_manager *manager, const ati_child *child,
                                         ati_place *place);

bool ati_children_none_queued(const at_task_manager *manager);

/* -- Under `lock` -- */

/* The place is that of the first child that is queued; `passed` as in ati_children_push_taken().
 * False: none is. */
bool ati_children_take(at_task_manager *manager, ati_place *place, ati_child_chunk **passed);

/* Under both locks: the child of the place, which has never been one, is not written any more, if
 * it was the last one. */
bool ati_children_take_back(at_task_manager *manager, const ati_place *place);

/* What a dump says of it (task_manager_dump.c). */
extern const ati_part_section ati_task_manager_section;

#endif
