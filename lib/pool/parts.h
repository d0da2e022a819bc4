/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_PARTS_H
#define ASYNCTOOLS_POOL_PARTS_H

/* What stands on a pool, made by the floors above, and is listed in its dump. */
#include "base/json_text.h"
#include "base/lock.h"

#include <asynctools/pool.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parts of one kind, as a member of the pool's object: static, with a list in each pool. */
typedef struct ati_part_section {
    const char *name; /* of the member, an array */
    /* Writes one object. False: the part is idle, and nothing is to be told of it. Takes short
     * locks only, while the list of the parts is locked. */
    bool (*write)(const void *it, ati_json *json);
} ati_part_section;

/* A member of something that is listed; zeroed is not listed. */
typedef struct ati_part {
    const ati_part_section *section;
    const void *it;      /* what it is a member of */
    at_pool *pool;       /* NULL: it is not listed */
    uint64_t fork_count; /* of the process that has listed it */
    struct ati_part *older;
    struct ati_part *newer;
} ati_part;

enum { ATI_PART_SECTIONS = 16 };

typedef struct ati_part_list {
    ati_lock lock; /* guards what follows; held while it is written, so what is in it stays */
    ati_part *newest;
    uint64_t count;
} ati_part_list;

/* Of one pool; zeroed is empty. */
typedef struct ati_parts {
    ati_part_list lists[ATI_PART_SECTIONS];
} ati_parts;

/* Lists `it`, of which `part` is a member, until ati_part_remove. The pool is there until then. No
 * lock is held that `write` takes. */
void ati_part_add(at_pool *pool, ati_part *part, const ati_part_section *section, const void *it);

/* When it returns, `write` is not called for it any more. Nothing happens in the child of a process
 * fork that its parent has listed it in. */
void ati_part_remove(ati_part *part);

/* Writes all sections of a pool that have parts. */
void ati_parts_write(at_pool *pool, ati_json *json);

#endif
