/* SPDX-License-Identifier: MIT */
/* The queue of a task manager's children: chunks, from one into the next, between two locks; see
 * task_manager.c.
 *
 *   1. taken <= pushed but for a moment of ati_children_push_taken(); children [taken, pushed)
 *      are queued. A child's 48 bytes are written by who pushes it, and belong from then on to
 *      the place that takes it.
 *   2. A chunk is needed by its children until they are let go, and by each end of the queue
 *      until it has left it. Places let go of those that ended there when they leave the chunk,
 *      all at once, so that workers do not write to it for each. If outcomes are kept, chunks
 *      stay until they are gathered, and are not counted.
 *   3. The cursor belongs to who holds `lock` while children are queued, and to who holds
 *      start_lock while none is and a place is free: the first comes about by a push under
 *      start_lock, which publishes it; the second by a look under start_lock at what the last
 *      taker has released. */
#include "base/memory.h"
#include "base/process_fork.h"
#include "future/future.h"
#include "pool/pool.h"
#include "work/task_manager.h"

/* In the child of a fork the manager will refuse it, and its record may be in anybody's hands. */
static bool lend_context(const at_task_manager *manager, ati_context **context) {
    *context = NULL;
    return manager->fork_count != ati_process_fork_count() ||
           ati_context_lend(manager->context, context);
}

bool ati_child_extra_create(const at_task_manager *manager, const char *name, bool needs_one,
                            ati_child_extra **extra) {
    ati_context *context;
    if (!lend_context(manager, &context))
        return false;
    bool has_name = name && *name;
    *extra = NULL;
    if (!context && !has_name && !needs_one)
        return true;
    ati_child_extra *made = ati_block_allocate();
    if (!made) {
        ati_context_release(context);
        return false;
    }
    *made = (ati_child_extra){.context = context};
    atomic_init(&made->references, 1);
    if (has_name && !(made->name = ati_copy_text(name))) {
        ati_child_extra_release(made);
        return false;
    }
    *extra = made;
    return true;
}

void ati_child_extra_release(ati_child_extra *extra) {
    /* ORDER child_extra.references: acq_rel. All uses by others happen before the free.
     * Pairs with: acq_rel in ati_child_extra_release(). If relaxed: freed while it is used. */
    if (!extra || atomic_fetch_sub_explicit(&extra->references, 1, memory_order_acq_rel) != 1)
        return;
    ati_release_text(extra->name);
    ati_future_release_inside(extra->future);
    ati_context_release(extra->context);
    ati_block_release(extra);
}

ati_child ati_child_of(const char *site, const at_task_options *options) {
    ati_lane lane = options->priority == AT_PRIORITY_INHERITED ? ati_lane_inherited()
                                                               : ati_lane_of(options->priority);
    return (ati_child){.run = options->run,
                       .argument = options->argument,
                       .drop = options->drop,
                       .site = site,
                       .lane = (uint8_t)lane};
}

void ati_child_drop(ati_child *child) {
    at_error_release(child->error);
    if (child->value)
        ati_call_drop(child->drop, child->value);
    ati_child_extra_release(child->extra);
}

/* -- Chunks -- */

ati_child_chunk *ati_chunk_take_spare(at_task_manager *manager) {
    /* ORDER children.spare: acquire. Nobody uses the chunk any more.
     * Pairs with: acq_rel in ati_chunk_let_go(). If relaxed: a child is written while it is read.
     */
    return atomic_exchange_explicit(&manager->spare, NULL, memory_order_acquire);
}

void ati_chunk_let_go(at_task_manager *manager, ati_child_chunk *chunk, uint32_t count) {
    if (!chunk || manager->keeps_outcomes)
        return;
    /* ORDER children.left: acq_rel. Whoever lets the last one go has seen what the others did with
     * theirs. Pairs with: acq_rel in ati_chunk_let_go(). If relaxed: a child is written anew while
     * it is used. */
    if (atomic_fetch_sub_explicit(&chunk->left, count, memory_order_acq_rel) != count)
        return;
    chunk->next = NULL;
    /* ORDER children.spare: acq_rel. Hands the chunk over, and gets the one that was there.
     * Pairs with: acquire in ati_chunk_take_spare(). If relaxed: a child is written while it is
     * read, or released. */
    chunk = atomic_exchange_explicit(&manager->spare, chunk, memory_order_acq_rel);
    ati_release(chunk, sizeof *chunk);
}

void ati_place_let_go(ati_place *place) {
    uint32_t count = place->ended_here;
    place->ended_here = 0;
    if (count > 0)
        ati_chunk_let_go(place->manager, place->chunk, count);
}

/* -- The end that is written to -- */

bool ati_children_have_room(const at_task_manager *manager) {
    return manager->last_chunk && manager->written < ATI_CHUNK_CHILDREN;
}

ati_child_chunk *ati_children_add_chunk(at_task_manager *manager, ati_child_chunk *chunk) {
    ati_child_chunk *last = manager->last_chunk;
    chunk->next = NULL;
    chunk->first_index = atomic_load_explicit(&manager->pushed, memory_order_relaxed);
    atomic_init(&chunk->left, ATI_CHUNK_CHILDREN + 2);
    if (last) {
        last->next = chunk;
    } else { /* the first of all: takers look at it only once a child is queued */
        manager->first_chunk = chunk;
        manager->cursor_chunk = chunk;
    }
    manager->last_chunk = chunk;
    manager->written = 0;
    return last;
}

static void publish(at_task_manager *manager, const ati_child *child) {
    manager->last_chunk->children[manager->written++] = *child;
    uint64_t pushed = atomic_load_explicit(&manager->pushed, memory_order_relaxed) + 1;
    /* ORDER children.pushed: release. Publishes the child, its chunk, and where the cursor was when
     * none was queued. Pairs with: acquire in ati_children_take(). If relaxed: a taker reads an
     * unwritten child. */
    atomic_store_explicit(&manager->pushed, pushed, memory_order_release);
}

/* Gives the chunk that the cursor has left, or NULL. */
static ati_child_chunk *move_cursor(at_task_manager *manager, ati_place *place) {
    ati_child_chunk *passed = NULL;
    if (manager->cursor == ATI_CHUNK_CHILDREN) {
        passed = manager->cursor_chunk;
        manager->cursor_chunk = passed->next;
        manager->cursor = 0;
    }
    place->chunk = manager->cursor_chunk;
    place->child = &place->chunk->children[manager->cursor++];
    return passed;
}

static void set_lane(ati_place *place, ati_lane lane) {
    place->node.next = NULL;
    place->node.work.context = ati_context_in_lane(NULL, lane);
}

void ati_children_push(at_task_manager *manager, const ati_child *child) {
    publish(manager, child);
}

ati_child_chunk *ati_children_push_taken(at_task_manager *manager, const ati_child *child,
                                         ati_place *place) {
    ati_child_chunk *passed = move_cursor(manager, place);
    set_lane(place, child->lane);
    /* First `taken`, then `pushed`: a taker that sees neither, one or both sees none queued. */
    uint64_t taken = atomic_load_explicit(&manager->taken, memory_order_relaxed) + 1;
    atomic_store_explicit(&manager->taken, taken, memory_order_relaxed);
    publish(manager, child);
    return passed;
}

bool ati_children_none_queued(const at_task_manager *manager) {
    at_task_manager *mine = (at_task_manager *)manager;
    uint64_t pushed = atomic_load_explicit(&mine->pushed, memory_order_relaxed);
    /* ORDER children.taken: acquire. What the taker of the last child did to the cursor happens
     * before it belongs to the holder of start_lock. Pairs with: release in ati_children_take(). If
     * relaxed: a start moves a stale cursor. */
    return pushed == atomic_load_explicit(&mine->taken, memory_order_acquire);
}

/* -- The end that is taken from -- */

bool ati_children_take(at_task_manager *manager, ati_place *place, ati_child_chunk **passed) {
    uint64_t taken = atomic_load_explicit(&manager->taken, memory_order_relaxed);
    if (manager->seen <= taken) {
        /* ORDER children.pushed: acquire. Sees the children, and what was taken without being
         * queued. Pairs with: release in publish(). If relaxed: reads an unwritten child, or takes
         * one twice. */
        manager->seen = atomic_load_explicit(&manager->pushed, memory_order_acquire);
        taken = atomic_load_explicit(&manager->taken, memory_order_relaxed);
        if (manager->seen <= taken)
            return false;
    }
    *passed = move_cursor(manager, place);
    set_lane(place, place->child->lane);
    /* ORDER children.taken: release. Publishes where the cursor is.
     * Pairs with: acquire in ati_children_none_queued(). If relaxed: see there. */
    atomic_store_explicit(&manager->taken, taken + 1, memory_order_release);
    return true;
}

bool ati_children_take_back(at_task_manager *manager, const ati_place *place) {
    if (place->chunk != manager->last_chunk ||
        place->child != &place->chunk->children[manager->written - 1])
        return false;
    uint64_t before = atomic_load_explicit(&manager->pushed, memory_order_relaxed) - 1;
    manager->written--;
    manager->cursor--;
    manager->seen = before;
    atomic_store_explicit(&manager->pushed, before, memory_order_relaxed);
    atomic_store_explicit(&manager->taken, before, memory_order_relaxed);
    return true;
}
