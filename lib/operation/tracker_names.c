/* SPDX-License-Identifier: MIT */
#include "operation/tracker_names.h"

#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "log/default_logger.h"

#include <asynctools/log.h>

#include <string.h>

/* A hash table with open addressing that only grows: a slot is NULL until a name is put there, for
 * good. Two threads that add the same name try for the same slot, as all names before it in the
 * row stay; one of them finds that of the other there. So nobody waits for anybody, and the child
 * of a process fork finds the table in order.
 *
 * A name is counted before it is put into the table, so that there are never more than `limit`.
 * While several threads add the last one, others may find the table full a little too early: their
 * event counts as `_other_`. */

static const char other_text[] = "_other_";

/* Eight bytes at a time; the last eight may overlap those before. */
static uint64_t hash_name(uint64_t seed, const char *text, size_t length) {
    uint64_t hash = seed ^ length;
    uint64_t word = 0;
    for (size_t at = 0; at + sizeof word < length; at += sizeof word) {
        memcpy(&word, text + at, sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    if (length >= sizeof word) {
        memcpy(&word, text + length - sizeof word, sizeof word);
    } else {
        for (size_t i = 0; i < length; i++)
            word = word << 8 | (unsigned char)text[i];
    }
    hash = (hash ^ word) * 0xbf58476d1ce4e5b9u;
    return hash ^ hash >> 29;
}

static ati_tracker_cell *create_cell(void) {
    ati_tracker_cell *cell = ati_allocate_aligned(sizeof *cell, ATI_CACHE_LINE);
    if (cell)
        memset(cell, 0, sizeof *cell);
    return cell;
}

static size_t name_size(uint32_t length) {
    return sizeof(ati_tracker_name) + length + 1;
}

static ati_tracker_name *create_name(const char *text, uint32_t length, uint64_t hash) {
    ati_tracker_name *name = ati_allocate_zeroed(name_size(length));
    ati_tracker_cell *cell = name ? create_cell() : NULL;
    if (!cell) {
        ati_release(name, name_size(length));
        return NULL;
    }
    atomic_init(&name->cells[0], cell);
    name->hash = hash;
    name->length = length;
    memcpy(name->text, text, length);
    return name;
}

static void destroy_name(ati_tracker_name *name) {
    for (int i = 0; i < ATI_TRACKER_CELLS; i++)
        ati_release(atomic_load_explicit(&name->cells[i], memory_order_relaxed),
                    sizeof(ati_tracker_cell));
    ati_release(name, name_size(name->length));
}

bool ati_tracker_names_init(ati_tracker_names *names, uint64_t limit) {
    memset(names, 0, sizeof *names);
    names->seed = ati_random_next();
    names->limit = limit;
    uint64_t size = 4;
    while (size < 2 * (limit + 1))
        size *= 2;
    names->mask = size - 1;
    names->slots = ati_allocate_zeroed(size * sizeof *names->slots);
    uint32_t length = sizeof other_text - 1;
    uint64_t hash = hash_name(names->seed, other_text, length);
    names->other = names->slots ? create_name(other_text, length, hash) : NULL;
    if (!names->other) {
        ati_release(names->slots, size * sizeof *names->slots);
        return false;
    }
    atomic_init(&names->slots[hash & names->mask], names->other);
    atomic_init(&names->last, names->other);
    return true;
}

void ati_tracker_names_deinit(ati_tracker_names *names) {
    ati_tracker_name *name = ati_tracker_names_last(names);
    while (name) {
        ati_tracker_name *next = name->next;
        destroy_name(name);
        name = next;
    }
    ati_release(names->slots, (names->mask + 1) * sizeof *names->slots);
}

ati_tracker_name *ati_tracker_names_last(ati_tracker_names *names) {
    /* ORDER tracker.names: acquire. Sees the names of the list.
     * Pairs with: release in link(). If relaxed: reads a name that is not written yet. */
    return atomic_load_explicit(&names->last, memory_order_acquire);
}

static void link(ati_tracker_names *names, ati_tracker_name *name) {
    name->next = atomic_load_explicit(&names->last, memory_order_relaxed);
    /* ORDER tracker.names: release. Publishes the name and its place in the list.
     * Pairs with: acquire in ati_tracker_names_last(). If relaxed: readers follow a pointer that is
     * not there yet. */
    while (!atomic_compare_exchange_weak_explicit(&names->last, &name->next, name,
                                                  memory_order_release, memory_order_relaxed))
        ;
}

/* A name as it is looked for. */
typedef struct key {
    const char *text;
    uint32_t length;
    uint64_t hash;
} key;

static bool is_name(const ati_tracker_name *name, const key *wanted) {
    return name->hash == wanted->hash && name->length == wanted->length &&
           memcmp(name->text, wanted->text, wanted->length) == 0;
}

/* Gives the name, or NULL and the slot where it would be. */
static ati_tracker_name *find(ati_tracker_names *names, const key *wanted, uint64_t *slot) {
    for (*slot = wanted->hash & names->mask;; *slot = (*slot + 1) & names->mask) {
        /* ORDER tracker.slots: acquire. Sees the name that was put there.
         * Pairs with: acq_rel in put(). If relaxed: compares with an unwritten text. */
        ati_tracker_name *name = atomic_load_explicit(&names->slots[*slot], memory_order_acquire);
        if (!name || is_name(name, wanted))
            return name;
    }
}

/* Puts `made` at `slot` or, where others were faster, behind it; or gives the same one of another
 * thread. */
static ati_tracker_name *put(ati_tracker_names *names, ati_tracker_name *made, uint64_t slot,
                             const key *wanted) {
    for (;; slot = (slot + 1) & names->mask) {
        ati_tracker_name *there = NULL;
        /* ORDER tracker.slots: acq_rel. Publishes the name, or sees that of another thread.
         * Pairs with: acquire in find(). If relaxed: compares with an unwritten text. */
        if (atomic_compare_exchange_strong_explicit(&names->slots[slot], &there, made,
                                                    memory_order_acq_rel, memory_order_acquire))
            return made;
        if (is_name(there, wanted))
            return there;
    }
}

static bool count_name(ati_tracker_names *names) {
    uint64_t count = atomic_load_explicit(&names->count, memory_order_relaxed);
    while (count < names->limit)
        if (atomic_compare_exchange_weak_explicit(&names->count, &count, count + 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

static void report_full(ati_tracker_names *names, const key *refused) {
    if (atomic_load_explicit(&names->is_reported, memory_order_relaxed) ||
        atomic_exchange_explicit(&names->is_reported, true, memory_order_relaxed))
        return;
    at_logger *logger = ati_default_logger_take();
    at_log_warn(logger, "tracker.names_full", at_kv("names", names->limit),
                at_kv_text("refused", refused->text, refused->length));
    ati_default_logger_give_back(logger);
}

static ati_tracker_name *add(ati_tracker_names *names, const key *wanted, uint64_t slot) {
    if (!count_name(names)) {
        ati_tracker_name *there = find(names, wanted, &slot); /* another thread may have added it */
        if (!there)
            report_full(names, wanted);
        return there ? there : names->other;
    }
    ati_tracker_name *made = create_name(wanted->text, wanted->length, wanted->hash);
    ati_tracker_name *there = made ? put(names, made, slot, wanted) : names->other;
    if (there == made) {
        link(names, made);
        return made;
    }
    if (made)
        destroy_name(made);
    atomic_fetch_sub_explicit(&names->count, 1, memory_order_relaxed);
    return there;
}

/* What the escapes of JSON stand for is put back, and a control character is a question mark. */
uint32_t ati_tracker_clean(char *to, const char *text) {
    char escaped[ATI_TRACKER_NAME_MAX * 6 + ATI_TEXT_SLACK] = "";
    const char *end = ati_text_escape(escaped, escaped + sizeof escaped - ATI_TEXT_SLACK, &text,
                                      text + strnlen(text, ATI_TRACKER_NAME_MAX));
    char *at = to;
    for (const char *from = escaped; from < end; from++) {
        if (*from != '\\') {
            *at++ = *from;
            continue;
        }
        from++;
        *at++ = *from == '"' || *from == '\\' ? *from : '?';
        if (*from == 'u')
            from += 4;
    }
    *at = '\0';
    return (uint32_t)(at - to);
}

static key key_of(const ati_tracker_names *names, const char *text, size_t length) {
    return (key){text, (uint32_t)length, hash_name(names->seed, text, length)};
}

/* Looks for a name as it is given, and then as it would be kept. */
static ati_tracker_name *search(ati_tracker_names *names, const char *text, bool makes) {
    uint64_t slot;
    key wanted = key_of(names, text, strnlen(text, ATI_TRACKER_NAME_MAX));
    ati_tracker_name *name = find(names, &wanted, &slot);
    if (__builtin_expect(name != NULL, 1))
        return name;
    char cleaned[ATI_TRACKER_CLEAN_SIZE];
    wanted = key_of(names, cleaned, ati_tracker_clean(cleaned, text));
    name = find(names, &wanted, &slot);
    return name || !makes ? name : add(names, &wanted, slot);
}

ati_tracker_name *ati_tracker_names_get(ati_tracker_names *names, const char *text) {
    return search(names, text, true);
}

ati_tracker_name *ati_tracker_names_find(ati_tracker_names *names, const char *text) {
    return search(names, text, false);
}

/* -- What is counted -- */

static ati_tracker_cell *load_cell(const ati_tracker_name *name, uint32_t index) {
    /* ORDER tracker.cells: acquire. Sees the cell empty, or what was counted since.
     * Pairs with: acq_rel in make_cell(). If relaxed: counts in uninitialised memory. */
    return atomic_load_explicit(&((ati_tracker_name *)name)->cells[index], memory_order_acquire);
}

/* Without memory all threads count in the first. */
static ati_tracker_cell *make_cell(ati_tracker_name *name, uint32_t index) {
    ati_tracker_cell *made = create_cell();
    if (!made)
        return load_cell(name, 0);
    ati_tracker_cell *other = NULL;
    /* ORDER tracker.cells: acq_rel. Publishes the empty cell, or sees that of another thread.
     * Pairs with: acquire in load_cell(). If relaxed: counts in uninitialised memory. */
    if (atomic_compare_exchange_strong_explicit(&name->cells[index], &other, made,
                                                memory_order_acq_rel, memory_order_acquire))
        return made;
    ati_release(made, sizeof *made);
    return other;
}

void ati_tracker_name_count(ati_tracker_name *name, uint32_t index, at_operation_outcome outcome,
                            int64_t duration) {
    ati_tracker_cell *cell = load_cell(name, index);
    if (__builtin_expect(!cell, 0))
        cell = make_cell(name, index);
    ati_histogram_record_shared(&cell->durations, duration);
    /* ORDER tracker.outcomes: release. Comes after the event in the histogram.
     * Pairs with: acquire in add_cell(). If relaxed: more events have ended than there are. */
    atomic_fetch_add_explicit(&cell->outcomes[outcome].value, 1, memory_order_release);
}

static void add_cell(ati_tracker_cell *cell, uint64_t outcomes[AT_OPERATION_OUTCOME_COUNT],
                     ati_histogram_total *total) {
    for (int i = 0; i < AT_OPERATION_OUTCOME_COUNT; i++)
        /* ORDER tracker.outcomes: acquire. The histogram has these events.
         * Pairs with: release in ati_tracker_name_count(). If relaxed: more events have ended than
         * there are. */
        outcomes[i] += atomic_load_explicit(&cell->outcomes[i].value, memory_order_acquire);
    ati_histogram_add(total, &cell->durations);
}

void ati_tracker_name_add(const ati_tracker_name *name,
                          uint64_t outcomes[AT_OPERATION_OUTCOME_COUNT],
                          ati_histogram_total *total) {
    for (uint32_t i = 0; i < ATI_TRACKER_CELLS; i++) {
        ati_tracker_cell *cell = load_cell(name, i);
        if (cell)
            add_cell(cell, outcomes, total);
    }
}

void ati_tracker_name_clear(ati_tracker_name *name) {
    for (uint32_t i = 0; i < ATI_TRACKER_CELLS; i++) {
        ati_tracker_cell *cell = load_cell(name, i);
        if (!cell)
            continue;
        for (int outcome = 0; outcome < AT_OPERATION_OUTCOME_COUNT; outcome++)
            atomic_store_explicit(&cell->outcomes[outcome].value, 0, memory_order_relaxed);
        ati_histogram_clear(&cell->durations);
    }
}
