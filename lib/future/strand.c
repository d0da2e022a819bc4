/* SPDX-License-Identifier: MIT */
/* An executor that runs one work at a time, in order. What is queued while none of its turns is
 * under way starts them. A turn takes all that is queued at once, and runs it without the lock.
 *
 * Those who queue and the turn have cache lines of their own, and a turn writes nothing to those of
 * the others for a single work: references that go on its thread are given back all at once. Turns
 * that find nothing after a few works let some gather before they end, or they would take the lines
 * from the producer for each. */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process_fork.h"
#include "future/drain.h"
#include "pool/parts.h"

#include <asynctools/strand.h>

#include <string.h>

static const char kind[] = "strand ";

enum { linger_least = 4 }; /* works that were run before a turn lingers */

struct at_strand {
    at_executor executor; /* first: an at_executor of a strand is the strand */
    ati_drain drain;
    uint64_t fork_count;          /* of the process that made it */
    _Atomic(ati_worker *) worker; /* whose thread runs a turn, which writes it; or NULL */
    ati_part part;
    size_t size; /* of this allocation */

    _Alignas(
        ATI_CACHE_LINE) ati_lock lock; /* guards up to ever_queued; the pool's own nest in it */
    bool is_under_way;                 /* turns are queued or run */
    ati_task_node *first;
    ati_task_node *last;
    uint64_t ever_queued;        /* works */
    _Atomic uint64_t references; /* of the owner, of futures, of the turns while they go on */

    /* Of the turn under way, which alone looks at them. */
    _Alignas(ATI_CACHE_LINE) ati_task_node *taken;
    ati_counter begun;   /* works */
    uint64_t given_back; /* references that went on its thread, still in `references` */
    int ran;             /* works, since there was no turn; at most linger_least */

    char name[]; /* with its kind, for errors */
};

static void retain(at_executor *executor) {
    at_strand *strand = (at_strand *)executor;
    atomic_fetch_add_explicit(&strand->references, 1, memory_order_relaxed);
}

static void give_back(at_strand *strand, uint64_t count) {
    /* ORDER strand.references: acq_rel. All uses by others happen before the free.
     * Pairs with: itself in give_back(). If relaxed: freed while another still reads. */
    if (atomic_fetch_sub_explicit(&strand->references, count, memory_order_acq_rel) != count)
        return;
    at_pool *pool = strand->executor.pool;
    ati_part_remove(&strand->part);
    ati_release(strand, strand->size);
    ati_pool_release(pool);
}

static void release(at_executor *executor) {
    at_strand *strand = (at_strand *)executor;
    const ati_worker *worker = ati_worker_current;
    if (worker && atomic_load_explicit(&strand->worker, memory_order_relaxed) == worker)
        strand->given_back++;
    else
        give_back(strand, 1);
}

/* -- Running -- */

/* The turn leaves its thread. Gives the references that went there. */
static uint64_t leave_thread(at_strand *strand) {
    uint64_t given_back = strand->given_back;
    strand->given_back = 0;
    atomic_store_explicit(&strand->worker, NULL, memory_order_relaxed);
    return given_back;
}

/* What is queued becomes what is taken. False: nothing is, and the turns end if they may: then
 * others may begin one, and the references are to be given back. */
static bool take_queued(at_strand *strand, bool may_end, uint64_t *references) {
    ati_lock_acquire(&strand->lock);
    bool is_more = strand->first;
    strand->taken = strand->first;
    strand->first = strand->last = NULL;
    if (!is_more && may_end) {
        strand->is_under_way = false;
        strand->ran = 0;
        *references = 1 + leave_thread(strand);
    }
    ati_lock_release(&strand->lock);
    return is_more;
}

/* False: the turns have ended. */
static bool take_more(at_strand *strand) {
    int looks = strand->ran == linger_least ? ATI_LINGER_TIMES : 0;
    uint64_t references = 0;
    do {
        if (take_queued(strand, looks == 0, &references))
            return true;
        if (looks > 0 && !ati_worker_linger(ati_worker_current))
            looks = 1;
    } while (looks-- > 0);
    give_back(strand, references);
    return false;
}

static at_strand *strand_of(ati_drain *drain) {
    return (at_strand *)((char *)drain - offsetof(at_strand, drain));
}

static bool take(ati_drain *drain, ati_work *work) {
    at_strand *strand = strand_of(drain);
    ati_worker *worker = ati_worker_current;
    if (atomic_load_explicit(&strand->worker, memory_order_relaxed) != worker)
        atomic_store_explicit(&strand->worker, worker, memory_order_relaxed);
    if (!strand->taken && !take_more(strand))
        return false;
    ati_task_node *node = strand->taken;
    strand->taken = node->next;
    ati_prefetch_node(strand->taken);
    ati_counter_add(&strand->begun, 1);
    if (strand->ran < linger_least)
        strand->ran++;
    *work = node->work;
    return true;
}

static void pause_turn(ati_drain *drain) {
    at_strand *strand = strand_of(drain);
    give_back(strand, leave_thread(strand)); /* never the last, which the turns have */
}

/* -- Starting -- */

/* Under the lock. The first turn waits for it, if it begins at once. */
static at_status start_turns(at_strand *strand) {
    if (strand->is_under_way)
        return AT_OK;
    retain(&strand->executor);
    at_status status = ati_drain_start(&strand->drain);
    strand->is_under_way = status == AT_OK;
    return status;
}

static void append(at_strand *strand, ati_task_node *nodes, size_t count) {
    strand->ever_queued += count;
    if (strand->first)
        strand->last->next = nodes;
    else
        strand->first = nodes;
    strand->last = nodes;
    while (strand->last->next)
        strand->last = strand->last->next;
}

static at_status start(at_executor *executor, ati_task_node *nodes, size_t count,
                       bool is_continuation) {
    at_strand *strand = (at_strand *)executor;
    if (strand->fork_count != ati_process_fork_count())
        return ati_fail(AT_ERROR_FORKED, "%s belongs to the parent of this forked process",
                        strand->name);
    at_status status = is_continuation ? AT_OK : ati_pool_check_open(executor->pool);
    if (status != AT_OK)
        return status;
    ati_lock_acquire(&strand->lock);
    status = start_turns(strand);
    if (status == AT_OK)
        append(strand, nodes, count);
    ati_lock_release(&strand->lock);
    if (status != AT_OK)
        release(executor); /* what start_turns has retained */
    return status;
}

/* -- Those who look from outside -- */

/* What the turn under way has taken stays as it is: the work that runs does not end. */
static void visit_queued(at_executor *executor, bool (*visit)(const ati_work *work, void *context),
                         void *context) {
    at_strand *strand = (at_strand *)executor;
    bool goes_on = true;
    ati_lock_acquire(&strand->lock);
    for (const ati_task_node *node = strand->taken; node && goes_on; node = node->next)
        goes_on = visit(&node->work, context);
    for (const ati_task_node *node = strand->first; node && goes_on; node = node->next)
        goes_on = visit(&node->work, context);
    ati_lock_release(&strand->lock);
}

static bool write_strand(const void *it, ati_json *json) {
    at_strand *strand = (at_strand *)it;
    ati_lock_acquire(&strand->lock);
    bool is_under_way = strand->is_under_way;
    uint64_t begun = ati_counter_read(&strand->begun);
    uint64_t queued = strand->ever_queued - begun;
    ati_lock_release(&strand->lock);
    if (!is_under_way)
        return false;
    ati_json_begin_object(json, NULL);
    ati_json_text(json, "name", strand->name + strlen(kind));
    ati_json_unsigned(json, "queued", queued);
    ati_json_unsigned(json, "begun", begun);
    ati_json_end_object(json);
    return true;
}

static const ati_part_section section = {.name = "strands", .write = write_strand};

/* -- Making -- */

static at_strand *allocate(const char *name) {
    size_t name_size = name && *name ? strlen(name) + 1 : sizeof "without a name";
    size_t size = sizeof(at_strand) + sizeof kind - 1 + name_size;
    at_strand *strand = ati_allocate_aligned(size, _Alignof(at_strand));
    if (!strand)
        return NULL;
    memset(strand, 0, size);
    strand->size = size;
    memcpy(strand->name, kind, sizeof kind - 1);
    memcpy(strand->name + sizeof kind - 1, name && *name ? name : "without a name", name_size);
    return strand;
}

at_status at_strand_create(at_strand **strand, at_pool *pool, const at_strand_options *options) {
    ATI_CALLER_CHECK(strand, "at_strand_create", "`strand` is NULL");
    ATI_CALLER_CHECK(pool, "at_strand_create", "`pool` is NULL");
    if (options && !ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "at_strand_create: reserved: is not zero");
    at_strand *made = allocate(options ? options->name : NULL);
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_strand_create: out of memory");
    made->executor = (at_executor){.start = start,
                                   .retain = retain,
                                   .release = release,
                                   .pool = pool,
                                   .serial_name = made->name,
                                   .visit_queued = visit_queued};
    ati_drain_init(&made->drain, pool, take, pause_turn);
    atomic_init(&made->references, 1);
    made->fork_count = ati_process_fork_count();
    ati_pool_retain(pool);
    ati_part_add(pool, &made->part, &section, made);
    *strand = made;
    return AT_OK;
}

at_executor *at_strand_executor(at_strand *strand) {
    ATI_CALLER_CHECK(strand, "at_strand_executor", "`strand` is NULL");
    return &strand->executor;
}

void at_strand_destroy(at_strand *strand) {
    if (strand)
        release(&strand->executor);
}
