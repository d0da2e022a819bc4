/* SPDX-License-Identifier: MIT */
#include "operation/live.h"

#include "base/clock.h"
#include "base/owner_lock.h"
#include "base/registry.h"
#include "base/thread_end.h"
#include "log/number.h"
#include "operation/operation.h"
#include "operation/operation_watch.h"
#include "pool/view.h"

#include <stdio.h>
#include <unistd.h>

/* The operations that have begun and not ended, for at_dump and for those who watch.
 *
 * What is begun by a scope is ended by the same thread: it is in that thread's own list, whose lock
 * costs the thread next to nothing. What is handed on, and what a thread without a list begins, is
 * in one of some parts that all threads share.
 *
 * A list is known to others while its thread lives. A thread that ends has no scope open.
 *
 * Who visits a list puts a mark into it and lets others have the lock after some steps. Visitors
 * hold threads_lock throughout, so each is alone and meets no mark but its own. */

enum {
    part_count = 16,
    visit_steps = 64, /* operations that are visited under a lock in one go */
    dump_limit = 1000,
};

/* Operations in a ring-less list, the newest first. */
typedef struct live_list {
    ati_live_link *first;
} live_list;

static struct live_part {
    _Alignas(ATI_CACHE_LINE) ati_lock lock; /* guards the list; nests in threads_lock */
    live_list list;
} parts[part_count];

typedef struct live_thread {
    ati_owner_lock lock; /* guards the list; nests in threads_lock */
    live_list list;
    struct live_thread *next; /* under threads_lock */
    struct live_thread *previous;
    uint32_t part;  /* one more than the number of the part it adds to */
    int32_t id;     /* of the system; 0: not asked yet */
    bool is_listed; /* others know of the list */
    ati_thread_end end;
} live_thread;

static _Thread_local live_thread own;

static ati_lock threads_lock; /* guards the list of threads */
static live_thread *first_thread;
static bool is_registered; /* under threads_lock */

static _Atomic uint32_t part_turn;
static _Atomic uint64_t missed;

/* -- Lists -- */

static at_operation *operation_of(ati_live_link *link) {
    return (at_operation *)((char *)link - offsetof(at_operation, live));
}

static void add_to(live_list *list, at_operation *operation) {
    ati_live_link *link = &operation->live;
    link->next = list->first;
    if (list->first)
        list->first->previous = link;
    list->first = link;
}

static void take_link(live_list *list, const ati_live_link *link) {
    if (link->next)
        link->next->previous = link->previous;
    if (link->previous)
        link->previous->next = link->next;
    else
        list->first = link->next;
}

static void take_from(live_list *list, at_operation *operation) {
    take_link(list, &operation->live);
}

/* -- Visits -- */

typedef struct visit {
    void (*visit)(at_operation *operation, void *context);
    void *context;
    ati_live_link mark; /* in front of what is to be visited next, between two goes */
} visit;

static void put_mark(visit *it, live_list *list, ati_live_link *next) {
    it->mark = (ati_live_link){.next = next, .previous = next->previous};
    next->previous = &it->mark;
    if (it->mark.previous)
        it->mark.previous->next = &it->mark;
    else
        list->first = &it->mark;
}

/* One go, under the lock of the list: from its beginning, or from the mark. False: it is through.
 */
static bool visit_some(visit *it, live_list *list, bool is_first) {
    ati_live_link *link = is_first ? list->first : it->mark.next;
    if (!is_first)
        take_link(list, &it->mark);
    for (int i = 0; link && i < visit_steps; i++) {
        it->visit(operation_of(link), it->context);
        link = link->next;
    }
    if (link)
        put_mark(it, list, link);
    return link;
}

static void visit_thread(visit *it, live_thread *thread) {
    bool is_first = true, some_left;
    do {
        ati_owner_lock_visit(&thread->lock);
        some_left = visit_some(it, &thread->list, is_first);
        ati_owner_lock_leave(&thread->lock);
        is_first = false;
    } while (some_left);
}

static void visit_part(visit *it, struct live_part *part) {
    bool is_first = true, some_left;
    do {
        ati_lock_acquire(&part->lock);
        some_left = visit_some(it, &part->list, is_first);
        ati_lock_release(&part->lock);
        is_first = false;
    } while (some_left);
}

void ati_live_visit(void (*visit_one)(at_operation *operation, void *context), void *context) {
    visit it = {.visit = visit_one, .context = context};
    ati_lock_acquire(&threads_lock);
    for (live_thread *thread = first_thread; thread; thread = thread->next)
        visit_thread(&it, thread);
    for (int i = 0; i < part_count; i++)
        visit_part(&it, &parts[i]);
    ati_lock_release(&threads_lock);
}

/* -- at_dump -- */

typedef struct wanted {
    uint64_t id;
    char *name;
} wanted;

static void copy_name(at_operation *operation, void *context) {
    const wanted *it = context;
    if (at_operation_id(operation) == it->id)
        (void)snprintf(it->name, ATI_VIEW_OPERATION, "%s", at_operation_name(operation));
}

static void find_name(uint64_t id, char name[ATI_VIEW_OPERATION]) {
    wanted it = {.id = id};
    it.name = name;
    ati_live_visit(copy_name, &it);
}

static void write_hex(ati_json *json, const char *key, uint64_t high, const uint64_t *low) {
    char text[33];
    char *end = ati_number_hex(text, high);
    if (low)
        end = ati_number_hex(end, *low);
    *end = '\0';
    ati_json_text(json, key, text);
}

typedef struct live_dump {
    ati_json *json;
    uint64_t count;
} live_dump;

static void write_operation(at_operation *operation, void *context_of_visit) {
    live_dump *dump = context_of_visit;
    ati_json *json = dump->json;
    if (dump->count++ >= dump_limit)
        return;
    const ati_context *context = ati_operation_context(operation);
    int64_t now = at_clock_now(operation->clock);
    ati_json_begin_object(json, NULL);
    ati_json_text(json, "name", context->name);
    write_hex(json, "operation_id", context->id, NULL);
    write_hex(json, "trace_id", context->trace_id[0], &context->trace_id[1]);
    if (context->parent_id != 0)
        write_hex(json, "parent_operation_id", context->parent_id, NULL);
    ati_json_integer(json, "age_us", (now - operation->started_at) / 1000);
    if (context->deadline != AT_FOREVER) {
        ati_json_integer(json, "left_us", ati_time_between(now, context->deadline) / 1000);
        ati_json_bool(json, "is_overdue", now > context->deadline);
    }
    if (operation->slow != AT_FOREVER)
        ati_json_bool(json, "is_slow", now - operation->started_at >= operation->slow);
    ati_json_bool(json, "is_cancelled", ati_context_reason(context) != AT_CANCEL_NONE);
    ati_json_integer(json, "thread", operation->thread);
    ati_json_begin_object(json, "fields");
    ati_json_members(json, context->log_fields, context->log_fields_length);
    ati_json_end_object(json);
    ati_json_end_object(json);
}

static void write_live(ati_registry_entry *entry, ati_json *json) {
    (void)entry;
    live_dump dump = {.json = json};
    ati_json_begin_object(json, NULL);
    ati_json_begin_array(json, "live");
    ati_live_visit(write_operation, &dump);
    ati_json_end_array(json);
    ati_json_unsigned(json, "live_count", dump.count);
    ati_json_unsigned(json, "live_left_out", dump.count > dump_limit ? dump.count - dump_limit : 0);
    ati_json_unsigned(json, "without_memory", atomic_load_explicit(&missed, memory_order_relaxed));
    ati_json_end_object(json);
}

/* -- process_fork: what other threads have begun goes on in the parent only -- */

static void hold(void) {
    ati_lock_acquire(&threads_lock);
    for (int i = 0; i < part_count; i++)
        ati_lock_acquire(&parts[i].lock);
}

static void let_go(void) {
    for (int i = part_count - 1; i >= 0; i--)
        ati_lock_release(&parts[i].lock);
    ati_lock_release(&threads_lock);
}

/* Whoever watched it is not there, and the thread that began it has another number. */
static void keep(at_operation *operation) {
    ati_operation_forget_watch(operation);
    operation->thread = ati_live_thread_id();
}

/* Of the operations of a part those stay that the thread which forked has begun. */
static void keep_those_of(int32_t thread, live_list *list) {
    ati_live_link *next;
    for (ati_live_link *link = list->first; link; link = next) {
        at_operation *each = operation_of(link);
        next = link->next;
        if (each->thread == thread) {
            keep(each);
        } else {
            take_from(list, each);
            each->live_place = ATI_LIVE_NOWHERE;
        }
    }
}

static void forget_others(void) {
    int32_t parent = own.id;
    own.id = 0;
    for (int i = 0; i < part_count; i++)
        keep_those_of(parent, &parts[i].list);
    for (ati_live_link *link = own.list.first; link; link = link->next)
        keep(operation_of(link));
    first_thread = own.is_listed ? &own : NULL;
    own.next = NULL;
    own.previous = NULL;
    ati_owner_lock_init(&own.lock); /* a visitor is not in this process */
    let_go();
}

static const ati_registry_fork fork_hooks = {
    .before = hold,
    .after_in_parent = let_go,
    .after_in_child = forget_others,
};

static ati_registry_entry entry = {
    .section = "operations", .write = write_live, .fork = &fork_hooks};

/* -- Threads -- */

static void leave_threads(void) {
    ati_lock_acquire(&threads_lock);
    if (own.next)
        own.next->previous = own.previous;
    if (own.previous)
        own.previous->next = own.next;
    else
        first_thread = own.next;
    own.is_listed = false;
    ati_lock_release(&threads_lock);
}

static void prepare_thread(void) {
    own.part = atomic_fetch_add_explicit(&part_turn, 1, memory_order_relaxed) % part_count + 1;
    own.end.end = leave_threads;
    ati_owner_lock_init(&own.lock);
    bool can_end = ati_thread_end_add(&own.end);
    bool is_first;
    ati_lock_acquire(&threads_lock);
    is_first = !is_registered;
    is_registered = true;
    if (can_end) {
        own.next = first_thread;
        if (first_thread)
            first_thread->previous = &own;
        first_thread = &own;
        own.is_listed = true;
    }
    ati_lock_release(&threads_lock);
    if (is_first) {
        ati_registry_add(&entry);
        ati_view_install_operations(find_name);
    }
}

int32_t ati_live_thread_id(void) {
    if (own.id == 0)
        own.id = gettid();
    return own.id;
}

/* -- The calls -- */

void ati_live_add(at_operation *operation, bool is_scope) {
    if (own.part == 0)
        prepare_thread();
    if (is_scope && own.is_listed) {
        operation->live_place = ATI_LIVE_OF_THREAD;
        ati_owner_lock_acquire(&own.lock);
        add_to(&own.list, operation);
        ati_owner_lock_release(&own.lock);
        return;
    }
    struct live_part *part = &parts[own.part - 1];
    operation->live_place = own.part - 1;
    ati_lock_acquire(&part->lock);
    add_to(&part->list, operation);
    ati_lock_release(&part->lock);
}

void ati_live_remove(at_operation *operation) {
    if (operation->live_place == ATI_LIVE_NOWHERE)
        return;
    if (operation->live_place == ATI_LIVE_OF_THREAD) {
        ati_owner_lock_acquire(&own.lock);
        take_from(&own.list, operation);
        ati_owner_lock_release(&own.lock);
    } else {
        struct live_part *part = &parts[operation->live_place];
        ati_lock_acquire(&part->lock);
        take_from(&part->list, operation);
        ati_lock_release(&part->lock);
    }
    ati_operation_leave_watch(operation);
}

void ati_live_miss(void) {
    atomic_fetch_add_explicit(&missed, 1, memory_order_relaxed);
}
