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

static void copy_key(key_view *view, const ati_key *key) {
    *view = (key_view){.queued = key->queued, .running = key->running, .size = key->size};
    size_t copied = key->size < shown_bytes ? key->size : shown_bytes;
    if (copied > 0)
        memcpy(view->bytes, key->bytes, copied);
}

/* Under the lock. Copies some of the keys that have tasks. Gives how many. */
static size_t copy_busy_keys(const ati_key_table *table, key_view *views) {
    size_t count = 0;
    for (size_t i = 0; i < table->bucket_count && i < bucket_limit; i++)
        for (const ati_key *key = table->buckets[i]; key && count < shown_keys;
             key = key->next_of_bucket)
            if (key->queued > 0 || key->running > 0)
                copy_key(&views[count++], key);
    return count;
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

static bool write_keyed(const void *it, ati_json *json) {
    at_keyed_executor *keyed = (at_keyed_executor *)it;
    key_view views[shown_keys];
    ati_lock_acquire(&keyed->lock);
    size_t count = copy_busy_keys(&keyed->table, views);
    size_t keys = keyed->table.count;
    int64_t queued = keyed->queued;
    int64_t running = keyed->running;
    int64_t lent = keyed->lent;
    ati_lock_release(&keyed->lock);
    ati_json_begin_object(json, NULL);
    ati_json_integer(json, "max_running", keyed->options.max_running);
    ati_json_unsigned(json, "keys", keys);
    ati_json_integer(json, "queued", queued);
    ati_json_integer(json, "running", running);
    ati_json_integer(json, "lent", lent);
    write_keys(json, views, count);
    ati_json_end_object(json);
    return true;
}

const ati_part_section ati_keyed_section = {.name = "keyed_executors", .write = write_keyed};
