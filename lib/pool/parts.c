/* SPDX-License-Identifier: MIT */
/* Each section has a list and a lock of its own, so many parts of one kind neither hide nor hold up
 * those of another. */
#include "pool/parts.h"

#include "base/atomic.h"
#include "base/check.h"
#include "base/frame.h"
#include "base/process_fork.h"
#include "pool/pool.h"

#include <stdio.h>

enum {
    written_limit = 64, /* parts of one section in one dump */
    look_limit = 4096,  /* of which so many may be idle */
};

static _Atomic(const ati_part_section *) sections[ATI_PART_SECTIONS];

/* -- Sections -- */

/* Index of its list in each pool. Places are taken in order and for ever, so whoever finds one
 * taken by this section has found its only one. No lock: a process fork would leave it held. */
static uint32_t index_of(const ati_part_section *section) {
    for (uint32_t i = 0; i < ATI_PART_SECTIONS; i++) {
        const ati_part_section *taken = atomic_load_explicit(&sections[i], memory_order_relaxed);
        if (taken == section ||
            (!taken &&
             /* ORDER part.section: release. Publishes what the section is called.
              * Pairs with: acquire in ati_parts_write(). If relaxed: a dump reads a section that is
              * not written yet. */
             (atomic_compare_exchange_strong_explicit(&sections[i], &taken, section,
                                                      memory_order_release, memory_order_relaxed) ||
              taken == section)))
            return i;
    }
    ATI_ASSERT(false); /* more sections than places */
    return 0;
}

static ati_part_list *list_of(const ati_part *part) {
    return &part->pool->parts.lists[index_of(part->section)];
}

/* -- Parts -- */

/* Of a parent's pool, which has to be built anew for that, the lists may be in disorder. */
static bool has_lists(at_pool *pool) {
    if (!ati_pool_is_forked(pool))
        return true;
    ati_frame_slot slot = ati_frame_put_slot_aside();
    at_status status = ati_pool_start_afresh(pool);
    ati_frame_put_slot_back(slot);
    return status == AT_OK;
}

void ati_part_add(at_pool *pool, ati_part *part, const ati_part_section *section, const void *it) {
    *part = (ati_part){.section = section, .it = it};
    if (!has_lists(pool))
        return;
    part->pool = pool;
    part->fork_count = ati_process_fork_count();
    ati_part_list *list = list_of(part);
    ati_lock_acquire(&list->lock);
    part->older = list->newest;
    if (part->older)
        part->older->newer = part;
    list->newest = part;
    list->count++;
    ati_lock_release(&list->lock);
}

void ati_part_remove(ati_part *part) {
    if (!part->pool || part->fork_count != ati_process_fork_count())
        return;
    ati_part_list *list = list_of(part);
    ati_lock_acquire(&list->lock);
    if (part->newer)
        part->newer->older = part->older;
    else
        list->newest = part->older;
    if (part->older)
        part->older->newer = part->newer;
    list->count--;
    ati_lock_release(&list->lock);
}

/* -- The dump -- */

/* Under the lock of the list. */
static void write_list(const ati_part_list *list, const ati_part_section *section, ati_json *json) {
    char left_out[64];
    uint64_t written = 0;
    uint64_t seen = 0;
    ati_json_begin_array(json, section->name);
    for (const ati_part *part = list->newest;
         part && written < written_limit && seen < look_limit + written; part = part->older) {
        written += section->write(part->it, json);
        seen++;
    }
    ati_json_end_array(json);
    snprintf(left_out, sizeof left_out, "%s_not_shown", section->name);
    ati_json_unsigned(json, left_out, list->count - written);
}

void ati_parts_write(at_pool *pool, ati_json *json) {
    for (uint32_t i = 0; i < ATI_PART_SECTIONS; i++) {
        /* ORDER part.section: acquire. Sees what the section is called.
         * Pairs with: release in index_of(). If relaxed: reads a section that is not written
         * yet. */
        const ati_part_section *section = atomic_load_explicit(&sections[i], memory_order_acquire);
        ati_part_list *list = &pool->parts.lists[i];
        ati_lock_acquire(&list->lock);
        if (section && list->count > 0)
            write_list(list, section, json);
        ati_lock_release(&list->lock);
    }
}
