/* SPDX-License-Identifier: MIT
 *
 * Atomic words under the C11 rules, as far as they can be run forward: each location keeps all
 * messages (values) stored to it, in the order in which they were stored; each thread has a view,
 * the oldest message per location that it may still read; a message carries the view that its
 * release published, and an acquire that reads it takes the view over. So a load without
 * synchronisation may give an older value, and the checker tries all of them.
 *
 * Source: J. Kang and others, "A Promising Semantics for Relaxed-Memory Concurrency", POPL 2017,
 * without promises; for sequential consistency, see sequential.c. */
#include "engine.h"

enum { message_limit = 100 };

typedef struct message {
    uint64_t value;
    int event; /* that stored it */
    view published;
} message;

typedef struct location {
    size_t size;
    void *object;
    int count;
    message messages[message_limit];
} location;

typedef struct thread_views {
    view seen;
    view unacquired; /* of messages read relaxed: an acquire fence takes it over */
    view fenced;     /* as seen at the last release fence: relaxed stores publish it */
} thread_views;

static location locations[location_limit];
static int location_count;
static thread_views threads[thread_limit];
/* What sequentially consistent fences have seen, and what was stored sequentially consistent. */
static view fences;
static view stores;
static model_bounds left;

static thread_views *self(void) {
    return &threads[threads_current()];
}

const view *memory_view(void) {
    return &self()->seen;
}

model_bounds *memory_budget(void) {
    return &left;
}

static void join_times(view *into, const view *from) {
    for (int i = 0; i < location_limit; i++)
        if (into->times[i] < from->times[i])
            into->times[i] = from->times[i];
}

void view_join(view *into, const view *from) {
    join_times(into, from);
    for (int i = 0; i < thread_limit; i++)
        if (into->clock[i] < from->clock[i])
            into->clock[i] = from->clock[i];
}

void memory_begin_execution(void) {
    sequential_begin_execution();
    location_count = 0;
    fences = (view){0};
    stores = (view){0};
    for (int i = 0; i < thread_limit; i++) {
        threads[i] = (thread_views){0};
        threads[i].seen.clock[i] = 1;
    }
}

void memory_start_threads(int count) {
    for (int i = 1; i < count; i++)
        view_join(&threads[i].seen, &threads[0].seen);
    threads[0].seen.clock[0]++;
}

void memory_end_threads(void) {
    for (int i = 1; i < thread_limit; i++)
        view_join(&threads[0].seen, &threads[i].seen);
    for (int i = 0; i < location_count; i++)
        threads[0].seen.times[i] = (uint8_t)(locations[i].count - 1);
}

static uint64_t to_word(const void *value, size_t size) {
    uint64_t word = 0;
    __builtin_memcpy(&word, value, size);
    return word;
}

int memory_find(void *object, size_t size) {
    uint8_t *number = plain_location(object);
    plain_check_atomic(object, size);
    if (*number == 0) {
        if (location_count == location_limit)
            model_fail("too many atomic words");
        location *added = &locations[location_count];
        added->object = object;
        added->size = size;
        added->count = 1;
        added->messages[0].value = to_word(object, size);
        added->messages[0].published = (view){0};
        *number = (uint8_t)++location_count;
    }
    if (locations[*number - 1].size != size)
        model_fail("an atomic word is used with two sizes");
    return *number - 1;
}

uint64_t memory_read_newest(int number) {
    location *read = &locations[number];
    self()->seen.times[number] = (uint8_t)(read->count - 1);
    return read->messages[read->count - 1].value;
}

static bool acquires(memory_order order) {
    return order == memory_order_acquire || order == memory_order_acq_rel ||
           order == memory_order_seq_cst || order == memory_order_consume;
}

static bool releases(memory_order order) {
    return order == memory_order_release || order == memory_order_acq_rel ||
           order == memory_order_seq_cst;
}

/* -- The two halves of every operation -- */

static void read_message(int number, int time, memory_order order) {
    thread_views *views = self();
    const view *published = &locations[number].messages[time].published;
    if (views->seen.times[number] < time)
        views->seen.times[number] = (uint8_t)time;
    view_join(acquires(order) ? &views->seen : &views->unacquired, published);
}

/* `continued`: the message that a read-modify-write read, whose release it carries on. */
static void write_message(int number, uint64_t value, memory_order order, const view *continued) {
    location *written = &locations[number];
    thread_views *views = self();
    if (threads_are_alone())
        written->count = 0; /* nobody will ask for what was before */
    if (written->count == message_limit)
        model_fail("too many stores to one atomic word");
    int time = written->count++;
    message *added = &written->messages[time];
    views->seen.times[number] = (uint8_t)time;
    if (continued != &added->published)
        added->published = continued ? *continued : (view){0};
    view_join(&added->published, releases(order) ? &views->seen : &views->fenced);
    added->published.times[number] = (uint8_t)time;
    added->event = explore_event();
    added->value = to_word(&value, written->size);
    if (order == memory_order_seq_cst && !threads_are_alone()) {
        stores.times[number] = (uint8_t)time;
        sequential_add(number, time, true);
    }
    if (releases(order))
        views->seen.clock[threads_current()]++;
    __builtin_memcpy(written->object, &value, written->size);
}

/* -- Operations -- */

static operation *step(model_site *site, int number, bool writes) {
    report_site(site);
    operation next = {.site = site, .name = site->operation, .location = number, .writes = writes};
    return threads_step(&next);
}

/* Whether the current thread may read a message that is not the newest. Not if it could as well
 * have read it before the next one was stored: that is another execution. */
static bool may_read(int number, int time, memory_order order) {
    if (!explore_follows(locations[number].messages[time + 1].event))
        return false;
    if (order != memory_order_seq_cst)
        return time >= self()->seen.times[number];
    return time >= self()->seen.times[number] && time >= fences.times[number] &&
           sequential_allows_read(number, time, &locations[number].messages[time].published);
}

/* Chooses a message to be read: the newest one, or an older one whose value is not `unwanted` (if
 * that is given). */
static int choose_message(int number, memory_order order, const uint64_t *unwanted,
                          operation *done) {
    const message *messages = locations[number].messages;
    int newest = locations[number].count - 1;
    int times[message_limit];
    int count = 0;
    times[count++] = newest;
    if (left.stale_reads != 0 && !threads_are_alone())
        for (int i = newest - 1; i >= 0; i--)
            if ((!unwanted || messages[i].value != *unwanted) && may_read(number, i, order))
                times[count++] = i;
    int choice = explore_choose_value(count);
    if (choice > 0) {
        left.stale_reads--;
        done->is_stale = true;
    }
    return times[choice];
}

void model_load(model_site *site, void *object, size_t size, void *value) {
    int number = memory_find(object, size);
    operation *done = step(site, number, false);
    memory_order order = site->effective;
    int time = choose_message(number, order, NULL, done);
    read_message(number, time, order);
    if (order == memory_order_seq_cst && !threads_are_alone())
        sequential_add(number, time, false);
    done->value = locations[number].messages[time].value;
    __builtin_memcpy(value, &done->value, size);
}

void model_store(model_site *site, void *object, size_t size, const void *value) {
    int number = memory_find(object, size);
    operation *done = step(site, number, true);
    done->value = to_word(value, size);
    write_message(number, done->value, site->effective, NULL);
}

/* Reads the newest message, as every read-modify-write must. */
static uint64_t modify(model_site *site, int number, uint64_t value) {
    int newest = locations[number].count - 1;
    uint64_t old = locations[number].messages[newest].value;
    read_message(number, newest, site->effective);
    write_message(number, value, site->effective, &locations[number].messages[newest].published);
    return old;
}

void model_exchange(model_site *site, void *object, size_t size, const void *value, void *old) {
    int number = memory_find(object, size);
    operation *done = step(site, number, true);
    done->value = to_word(value, size);
    uint64_t before = modify(site, number, done->value);
    __builtin_memcpy(old, &before, size);
}

void model_add(model_site *site, void *object, size_t size, uint64_t change, void *old) {
    int number = memory_find(object, size);
    operation *done = step(site, number, true);
    done->value = locations[number].messages[locations[number].count - 1].value + change;
    uint64_t before = modify(site, number, done->value);
    __builtin_memcpy(old, &before, size);
}

/* Succeeds on the newest message only; may fail on any older one with another value. */
bool model_compare_exchange(model_site *site, void *object, size_t size, void *expected,
                            const void *value, memory_order failure) {
    int number = memory_find(object, size);
    operation *done = step(site, number, true);
    uint64_t wanted = to_word(expected, size);
    int time = choose_message(number, failure, &wanted, done);
    done->value = locations[number].messages[time].value;
    if (done->value == wanted) {
        done->value = to_word(value, size);
        modify(site, number, done->value);
        return true;
    }
    read_message(number, time, failure);
    __builtin_memcpy(expected, &done->value, size);
    return false;
}

void model_fence(model_site *site) {
    report_site(site);
    memory_order order = site->effective;
    threads_step(&(operation){.site = site,
                              .name = "fence",
                              .location = no_location,
                              .is_fence = order == memory_order_seq_cst});
    thread_views *views = self();
    if (acquires(order))
        view_join(&views->seen, &views->unacquired);
    if (order == memory_order_seq_cst) {
        join_times(&views->seen, &fences);
        join_times(&views->seen, &stores);
        join_times(&fences, &views->seen);
    }
    if (releases(order)) {
        views->fenced = views->seen;
        views->seen.clock[threads_current()]++;
    }
}
