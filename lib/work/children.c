/* SPDX-License-Identifier: MIT */
/* Where the children of a task manager are kept, and their places; see task_manager.c. What takes a
 * manager is called under its lock. */
#include "base/memory.h"
#include "future/future.h"
#include "pool/pool.h"
#include "work/task_manager.h"

bool ati_child_extra_create(const char *name, ati_child_extra **extra) {
    *extra = ati_allocate_zeroed(sizeof **extra);
    if (!*extra)
        return false;
    if (name && *name && !((*extra)->name = ati_copy_text(name))) {
        ati_release(*extra, sizeof **extra);
        *extra = NULL;
    }
    return *extra;
}

void ati_child_extra_release(ati_child_extra *extra) {
    if (!extra)
        return;
    ati_release_text(extra->name);
    ati_future_release_inside(extra->future);
    ati_context_release(extra->context);
    ati_release(extra, sizeof *extra);
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

bool ati_chunks_have_room(const at_task_manager *manager) {
    return manager->last_chunk && manager->last_chunk->written < ATI_CHUNK_CHILDREN;
}

void ati_chunks_add(at_task_manager *manager, ati_child_chunk *chunk) {
    ati_child_chunk *last = manager->last_chunk;
    chunk->next = NULL;
    chunk->previous = last;
    chunk->first_index = manager->next_index;
    chunk->written = 0;
    chunk->left = 0;
    if (last)
        last->next = chunk;
    else
        manager->first_chunk = chunk;
    manager->last_chunk = chunk;
    if (!manager->cursor_chunk)
        manager->cursor_chunk = chunk;
}

void ati_child_queue(at_task_manager *manager, const ati_child *child) {
    ati_child_chunk *chunk = manager->last_chunk;
    chunk->children[chunk->written++] = *child;
    chunk->left++;
    manager->next_index++;
    manager->counts.queued++;
}

void ati_place_take_queued(at_task_manager *manager, ati_place *place) {
    if (manager->cursor == ATI_CHUNK_CHILDREN) {
        manager->cursor_chunk = manager->cursor_chunk->next;
        manager->cursor = 0;
    }
    manager->counts.queued--;
    place->chunk = manager->cursor_chunk;
    place->child = &place->chunk->children[manager->cursor++];
    place->node.next = NULL;
    place->node.work.context = ati_context_in_lane(NULL, place->child->lane);
}

ati_child_chunk *ati_child_let_go(at_task_manager *manager, ati_child_chunk *chunk) {
    if (--chunk->left > 0)
        return NULL;
    if (chunk == manager->last_chunk) { /* begins again; all in it have ended, and before it too */
        chunk->first_index = manager->next_index;
        chunk->written = 0;
        manager->cursor = 0;
        manager->gathered = 0;
        return NULL;
    }
    if (chunk == manager->cursor_chunk) {
        manager->cursor_chunk = chunk->next;
        manager->cursor = 0;
    }
    chunk->next->previous = chunk->previous;
    if (chunk->previous) {
        chunk->previous->next = chunk->next;
    } else {
        manager->first_chunk = chunk->next;
        manager->gathered = 0;
    }
    return chunk;
}

/* -- Places -- */

ati_place *ati_place_take_free(at_task_manager *manager) {
    ati_task_node *node = manager->free_places;
    if (!node)
        return NULL;
    manager->free_places = node->next;
    return (ati_place *)((char *)node - offsetof(ati_place, node));
}

static void free_place(at_task_manager *manager, ati_place *place) {
    place->node.next = manager->free_places;
    manager->free_places = &place->node;
}

bool ati_place_pass_on(at_task_manager *manager, ati_place *place) {
    if (manager->counts.queued > 0) {
        ati_place_take_queued(manager, place);
        return true;
    }
    manager->counts.running--;
    free_place(manager, place);
    return false;
}
