/* SPDX-License-Identifier: MIT */
/* Who keeps a key. Its futures do, and its runners. A key that runners have left is kept for a
 * while besides, for then the next task of it finds it: until others come in its place, or a runner
 * has nothing to do. What was found under table_lock is there; so the last reference goes there. */
#include "base/memory.h"
#include "future/future.h"
#include "future/keyed_executor.h"

void ati_key_retain(at_executor *executor) {
    ati_key *key = (ati_key *)executor;
    atomic_fetch_add_explicit(&key->others, 1, memory_order_relaxed);
}

/* Gives a reference back that is not the last: those found meanwhile are only more. */
static bool give_back_one_of_several(ati_key *key) {
    uint64_t others = atomic_load_explicit(&key->others, memory_order_relaxed);
    while (atomic_load_explicit(&key->found, memory_order_relaxed) + others > 1)
        /* ORDER key.references: release. All uses happen before the free.
         * Pairs with: acq_rel in ati_keyed_let_go(). If relaxed: freed while this thread still
         * reads. */
        if (atomic_compare_exchange_weak_explicit(&key->others, &others, others - 1,
                                                  memory_order_release, memory_order_relaxed))
            return true;
    return false;
}

/* Whether a runner has the key for itself on this thread: it has a reference, and gives back all
 * that go here. Only this thread writes that its worker is the runner's, and only the runner that
 * the key is its own. */
static bool leave_to_runner(ati_key *key) {
    const ati_worker *worker = ati_worker_current;
    ati_key_runner *runner = atomic_load_explicit(&key->runner, memory_order_relaxed);
    if (!runner || !worker || atomic_load_explicit(&runner->worker, memory_order_relaxed) != worker)
        return false;
    key->given_back++;
    return true;
}

/* In the child of a fork the locks may be held for ever, and the key stays. */
void ati_key_release(at_executor *executor) {
    ati_key *key = (ati_key *)executor;
    if (leave_to_runner(key) || give_back_one_of_several(key) || ati_keyed_is_forked(key->keyed))
        return;
    ati_key_list list;
    list.count = 1;
    list.keys[0] = key;
    ati_keyed_let_go(key->keyed, &list);
}

/* Under table_lock. False: there are enough. */
static bool become_spare(ati_key *key) {
    at_keyed_executor *keyed = key->keyed;
    if (key->size > ATI_SMALL_KEY || keyed->spare_count == ATI_SPARE_KEYS)
        return false;
    keyed->spares[keyed->spare_count++] = key;
    return true;
}

void ati_keyed_let_go(at_keyed_executor *keyed, const ati_key_list *list) {
    if (list->count == 0)
        return;
    ati_key *unused = NULL;
    size_t removed = 0;
    ati_lock_acquire(&keyed->table_lock);
    for (size_t i = 0; i < list->count; i++) {
        ati_key *key = list->keys[i];
        /* ORDER key.references: acq_rel. All uses by others happen before the free.
         * Pairs with: release in give_back_one_of_several(). If relaxed: freed while another reads.
         */
        uint64_t others = atomic_fetch_sub_explicit(&key->others, 1, memory_order_acq_rel) - 1;
        if (atomic_load_explicit(&key->found, memory_order_relaxed) + others != 0)
            continue;
        ati_key_table_remove(&keyed->table, key);
        removed++;
        if (!become_spare(key)) {
            key->next_of_bucket = unused;
            unused = key;
        }
    }
    bool is_empty = removed > 0 && keyed->table.count == 0;
    size_t wanted_size = removed > 0 ? ati_key_table_wanted_size(&keyed->table) : 0;
    /* The table keeps the executor while it has keys; these may go as soon as it is unlocked. */
    if (wanted_size > 0 && !is_empty)
        atomic_fetch_add_explicit(&keyed->references, 1, memory_order_relaxed);
    ati_lock_release(&keyed->table_lock);
    ati_keyed_fit_table(keyed, wanted_size);
    while (unused) {
        ati_key *key = unused;
        unused = key->next_of_bucket;
        ati_release(key, ati_key_size_of(key->size));
    }
    if (is_empty || wanted_size > 0)
        ati_keyed_release(keyed);
}

/* -- Under ready_lock -- */

void ati_key_begin_use(ati_key *key) {
    if (!key->is_kept && key->users == 0)
        ati_key_retain(&key->executor);
    key->users++;
}

/* The oldest is kept no more. */
static void unkeep_oldest(at_keyed_executor *keyed, ati_key_list *unkept) {
    ati_key *key = keyed->kept[keyed->oldest_kept];
    keyed->oldest_kept = (keyed->oldest_kept + 1) % ATI_KEPT_KEYS;
    keyed->kept_count--;
    key->is_kept = false;
    if (key->users == 0)
        unkept->keys[unkept->count++] = key;
}

void ati_key_end_use(ati_key *key, ati_key_list *unkept) {
    at_keyed_executor *keyed = key->keyed;
    key->users--;
    if (key->is_kept)
        return;
    /* Half of them at once: table_lock and what it guards are seldom taken from who submits. */
    if (keyed->kept_count == ATI_KEPT_KEYS)
        while (keyed->kept_count > ATI_KEPT_KEYS / 2)
            unkeep_oldest(keyed, unkept);
    key->is_kept = true;
    keyed->kept[(keyed->oldest_kept + keyed->kept_count) % ATI_KEPT_KEYS] = key;
    keyed->kept_count++;
}

void ati_keyed_forget(at_keyed_executor *keyed) {
    ati_key_list unkept;
    unkept.count = 0;
    ati_lock_acquire(&keyed->ready_lock);
    while (keyed->kept_count > 0)
        unkeep_oldest(keyed, &unkept);
    ati_lock_release(&keyed->ready_lock);
    ati_keyed_let_go(keyed, &unkept);
}
