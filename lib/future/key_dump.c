/* SPDX-License-Identifier: MIT */
#include "future/keyed_executor.h"

#include <stdio.h>
#include <string.h>

enum {
    shown_keys = 8,
    shown_bytes = 48,   /* of a key */
    bucket_limit = 512, /* that are looked at for busy keys */
};

/* A copy of what is said of a key. */
typedef struct key_view {
    int64_t queued;
    int64_t running;
    size_t size;
    unsigned char bytes[shown_bytes];
} key_view;

/* Under table_lock. False: the key has no tasks. */
static bool copy_busy_key(key_view *view, ati_key *key) {
    *view = (key_view){.size = key->size};
    ati_lock_acquire(&key->lock);
    bool runs_alone = atomic_load_explicit(&key->runner, memory_order_relaxed);
    view->queued = key->queued + (int64_t)ati_counter_read(&key->taken_count);
    view->running = key->running + runs_alone;
    ati_lock_release(&key->lock);
    size_t copied = key->size < shown_bytes ? key->size : shown_bytes;
    if (copied > 0)
        memcpy(view->bytes, key->bytes, copied);
    return view->queued > 0 || view->running > 0;
}

/* Under table_lock. Copies some of the keys that have tasks. Gives how many. */
static size_t copy_busy_keys(const ati_key_table *table, key_view *views) {
    size_t count = 0;
    for (size_t i = 0; i < table->bucket_count && i < bucket_limit; i++)
        for (ati_key *key = table->buckets[i]; key && count < shown_keys; key = key->next_of_bucket)
            count += copy_busy_key(&views[count], key);
    return count;
}

/* What the runners count. */
typedef struct runner_counts {
    uint64_t begun;
    uint64_t running;
    int64_t lent; /* places */
} runner_counts;

static void add_counts(runner_counts *counts, const ati_key_runner *runner) {
    counts->begun += ati_counter_read_after(&runner->begun);
    counts->running +=
        atomic_load_explicit(&((ati_key_runner *)runner)->task, memory_order_relaxed) != NULL;
}

static runner_counts count_all(at_keyed_executor *keyed) {
    runner_counts counts = {0};
    for (int64_t i = 0; i < keyed->options.max_running; i++)
        add_counts(&counts, &keyed->runners[i]);
    ati_lock_acquire(&keyed->arrival_lock);
    for (const ati_key_runner *lent = keyed->lent_runners; lent; lent = lent->older)
        add_counts(&counts, lent);
    counts.lent = keyed->lent;
    ati_lock_release(&keyed->arrival_lock);
    return counts;
}

static bool is_text(const key_view *view, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (view->bytes[i] < ' ' || view->bytes[i] > '~')
            return false;
    return size > 0;
}

/* As it is, if all of it can be printed, else in hexadecimal digits. */
static void write_bytes(ati_json *json, const key_view *view) {
    char text[2 * shown_bytes + 1] = "";
    size_t size = view->size < shown_bytes ? view->size : shown_bytes;
    if (is_text(view, size)) {
        memcpy(text, view->bytes, size);
        text[size] = '\0';
        ati_json_text(json, "key", text);
        return;
    }
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", view->bytes[i]);
    ati_json_text(json, "key_hex", text);
}

static void write_keys(ati_json *json, const key_view *views, size_t count) {
    ati_json_begin_array(json, "busy_keys");
    for (size_t i = 0; i < count; i++) {
        ati_json_begin_object(json, NULL);
        write_bytes(json, &views[i]);
        ati_json_integer(json, "queued", views[i].queued);
        ati_json_integer(json, "running", views[i].running);
        ati_json_end_object(json);
    }
    ati_json_end_array(json);
}

/* What has begun was counted here before. */
static uint64_t count_ever_queued(at_keyed_executor *keyed) {
    return ati_counter_read(&keyed->found) +
           atomic_load_explicit(&keyed->continued, memory_order_relaxed) -
           atomic_load_explicit(&keyed->refused, memory_order_relaxed);
}

static bool write_keyed(const void *it, ati_json *json) {
    at_keyed_executor *keyed = (at_keyed_executor *)it;
    key_view views[shown_keys];
    ati_lock_acquire(&keyed->table_lock);
    size_t count = copy_busy_keys(&keyed->table, views);
    size_t keys = keyed->table.count;
    ati_lock_release(&keyed->table_lock);
    runner_counts counts = count_all(keyed);
    uint64_t queued = count_ever_queued(keyed) - counts.begun;
    ati_json_begin_object(json, NULL);
    ati_json_integer(json, "max_running", keyed->options.max_running);
    ati_json_unsigned(json, "keys", keys);
    ati_json_unsigned(json, "queued", queued);
    ati_json_unsigned(json, "running", counts.running);
    ati_json_integer(json, "lent", counts.lent);
    write_keys(json, views, count);
    ati_json_end_object(json);
    return true;
}

const ati_part_section ati_keyed_section = {.name = "keyed_executors", .write = write_keyed};
