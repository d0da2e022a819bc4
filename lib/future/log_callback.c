/* SPDX-License-Identifier: MIT */
/* A sink of the log that gives lines to a function of the program.
 *
 * The logger's thread appends lines to one of two buffers. At most one task delivers: it takes the
 * buffer that was filled, leaves the other one, and calls the function for each line without the
 * lock. Lines may come for ever, so after a while it starts again, behind what the pool has queued
 * by then; when the pool closes it ends, and gives up what is left. The task is in the sink's own
 * storage, so that a line costs no allocation. The sink and its task keep it alive; whoever is last
 * frees it. */
#include <asynctools/log_callback.h>

#include <asynctools/blocking.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/frame.h"
#include "base/futex.h"
#include "base/lock.h"
#include "base/memory.h"
#include "base/process_fork.h"
#include "log/sink.h"
#include "pool/pool.h"

#include <limits.h>
#include <string.h>

enum {
    default_queue_bytes = 256 * 1024,
    least_queue_bytes = 8 * 1024,
    most_queue_bytes = 1024 * 1024 * 1024,
    finish_ms = 2000, /* at the end, for calls that are still to be made */
};

static const at_duration turn_limit = AT_MILLISECONDS(1);

typedef struct callback_sink {
    ati_log_sink sink;
    at_pool *pool; /* kept */
    at_log_callback_fn call;
    void *context;
    at_drop_fn drop;
    size_t room;              /* of each buffer */
    ati_task_node node;       /* of the task */
    _Atomic uint32_t changed; /* futex: counts what the task has done */

    ati_lock lock;  /* guards the rest; nests in the logger's write_lock */
    bool is_closed; /* nothing is called any more */
    bool is_under_way;
    bool is_destroyed;  /* by the logger */
    bool has_barrier;   /* a flush waits until `delivered` is `barrier` */
    uint64_t accepted;  /* bytes */
    uint64_t delivered; /* bytes */
    uint64_t barrier;
    size_t waiting; /* lines for which the call has not begun */
    size_t called;  /* bytes of the line whose call was the last to begin, not in `delivered` yet */
    size_t begin;   /* of the next line in the buffer that is taken */
    size_t end;     /* of the lines there */
    size_t size;    /* of those in the buffer that is filled */
    char *filled;
    char *taken;
} callback_sink;

static void free_sink(callback_sink *it) {
    if (it->drop)
        it->drop(it->context);
    if (it->pool)
        ati_pool_release(it->pool);
    ati_release(it->filled, it->room);
    ati_release(it->taken, it->room);
    ati_release(it, sizeof *it);
}

/* -- The task -- */

static void say_changed(callback_sink *it) {
    /* ORDER log_callback.changed: release. Comes behind the end of the calls.
     * Pairs with: acquire in finish_callback(). If relaxed: finish sleeps beside an empty queue. */
    atomic_fetch_add_explicit(&it->changed, 1, memory_order_release);
    ati_futex_wake(&it->changed, INT_MAX);
}

/* Under the lock, while no call is under way. */
static void give_lines_up(callback_sink *it) {
    ati_counter_add(&it->sink.lost, it->waiting);
    it->delivered = it->accepted;
    it->waiting = 0;
    it->size = 0;
    it->begin = it->end = 0;
}

/* Under the lock: what was filled becomes what is taken. */
static void exchange_buffers(callback_sink *it) {
    char *filled = it->filled;
    it->filled = it->taken;
    it->taken = filled;
    it->begin = 0;
    it->end = it->size;
    it->size = 0;
}

/* Under the lock: takes the next line, which is there. */
static const char *take_line(callback_sink *it, size_t *length) {
    const char *line = it->taken + it->begin;
    size_t left = it->end - it->begin;
    const char *newline = memchr(line, '\n', left);
    *length = newline ? (size_t)(newline + 1 - line) : left;
    it->called = *length;
    it->begin += *length;
    it->waiting--;
    return line;
}

/* Gives the next line; the call for the one before has ended. NULL: there is none, or nothing is
 * called any more. Then the task ends, and frees the sink if it is the last. */
static const char *next_line(callback_sink *it, size_t *length) {
    ati_lock_acquire(&it->lock);
    it->delivered += it->called;
    it->called = 0;
    if (it->is_closed || ati_pool_is_closing(it->pool))
        give_lines_up(it);
    else if (it->begin == it->end)
        exchange_buffers(it);
    const char *line = it->begin < it->end ? take_line(it, length) : NULL;
    bool is_last = !line && it->is_destroyed;
    it->is_under_way = line;
    if (!line && !is_last)
        say_changed(it); /* under the lock: the sink may be gone behind it */
    ati_lock_release(&it->lock);
    if (is_last)
        free_sink(it);
    return line;
}

/* A wait of the function holds the thread, which is said to log without waiting meanwhile. In a
 * child that the function has forked, the sink and its lines are another task's or nobody's. */
static void *deliver(void *argument) {
    callback_sink *it = argument;
    uint64_t fork_count = ati_process_fork_count();
    int64_t turn_end = ati_monotonic_ns() + turn_limit;
    ati_frame_current()->keeps_thread = true;
    const char *line;
    size_t length;
    while ((line = next_line(it, &length))) {
        bool waited = ati_log_never_wait(true);
        it->call(it->context, line, length);
        ati_log_never_wait(waited);
        if (ati_process_fork_count() != fork_count)
            break;
        if (ati_monotonic_ns() >= turn_end) {
            ati_pool_start_node_last(it->pool, &it->node);
            break;
        }
    }
    return NULL;
}

/* Under the lock. Whoever logs may be the one who starts it: its operation has to do with neither
 * task nor calls, and a task that is cancelled in the queue never runs; its error stays. */
static void start_task(callback_sink *it) {
    if (it->is_under_way || it->size == 0)
        return;
    it->is_under_way = true;
    it->node.next = NULL;
    ati_frame_slot slot = ati_frame_put_slot_aside();
    at_status status = ati_pool_start_nodes(it->pool, &it->node, 1, false);
    ati_frame_put_slot_back(slot);
    if (status == AT_OK)
        return;
    it->is_under_way = false;
    if (status == AT_ERROR_FULL) /* it is tried again */
        return;
    give_lines_up(it);
    const char *end = status == AT_ERROR_CLOSED   ? "its pool is shut down"
                      : status == AT_ERROR_FORKED ? "its pool is the parent's"
                                                  : NULL;
    atomic_store_explicit(&it->sink.end, end, memory_order_relaxed);
}

/* -- The sink -- */

static void write_callback(ati_log_sink *sink, const char *lines, size_t size) {
    callback_sink *it = (callback_sink *)sink;
    ati_lock_acquire(&it->lock);
    size_t fits = ati_log_sink_end(sink) ? 0 : it->room - it->size;
    if (fits < size) {
        const char *newline = fits > 0 ? memrchr(lines, '\n', fits) : NULL;
        fits = newline ? (size_t)(newline + 1 - lines) : 0;
        ati_counter_add(&sink->lost, ati_log_count_lines(lines + fits, size - fits));
        size = fits;
    }
    memcpy(it->filled + it->size, lines, size);
    it->size += size;
    it->accepted += size;
    it->waiting += ati_log_count_lines(lines, size);
    start_task(it);
    ati_lock_release(&it->lock);
}

/* A barrier is what was accepted when it was asked for: lines that the function logs itself would
 * otherwise keep it up for ever. */
static void settle_callback(ati_log_sink *sink, bool now) {
    callback_sink *it = (callback_sink *)sink;
    ati_lock_acquire(&it->lock);
    start_task(it);
    if (now && !it->has_barrier) {
        it->has_barrier = true;
        it->barrier = it->accepted;
    }
    sink->kept = 0;
    if (it->has_barrier && it->delivered < it->barrier)
        sink->kept = it->barrier - it->delivered;
    else
        it->has_barrier = false;
    if (!it->is_under_way && sink->kept < it->size)
        sink->kept = it->size; /* the pool is full */
    ati_lock_release(&it->lock);
}

/* The task needs a worker of its pool, and this may be the only one that there is for it. */
static bool begin_wait(ati_log_sink *sink, void (**end)(void)) {
    const ati_worker *worker = ati_worker_current;
    if (!worker || worker->pool != ((callback_sink *)sink)->pool)
        return true;
    at_blocking_begin();
    if (worker->is_replaced)
        *end = at_blocking_end;
    else
        at_blocking_end();
    return worker->is_replaced;
}

static bool is_busy(callback_sink *it) {
    ati_lock_acquire(&it->lock);
    start_task(it);
    bool result = it->is_under_way;
    ati_lock_release(&it->lock);
    return result;
}

static void finish_callback(ati_log_sink *sink) {
    callback_sink *it = (callback_sink *)sink;
    at_deadline deadline = ati_monotonic_ns() + AT_MILLISECONDS(finish_ms);
    void (*end_wait)(void) = NULL;
    (void)begin_wait(sink, &end_wait);
    for (bool in_time = true; in_time;) {
        /* ORDER log_callback.changed: acquire. What is looked at next is not older.
         * Pairs with: release in say_changed(). If relaxed: it sleeps beside an empty queue. */
        uint32_t seen = atomic_load_explicit(&it->changed, memory_order_acquire);
        if (!is_busy(it))
            break;
        in_time = ati_futex_wait(&it->changed, seen, deadline);
    }
    if (end_wait)
        end_wait();
    ati_lock_acquire(&it->lock);
    it->is_closed = true;
    ati_counter_add(&sink->lost, it->waiting);
    it->waiting = 0;
    ati_lock_release(&it->lock);
    sink->kept = 0;
}

/* In the child the task and what was queued are the parent's. */
static void fork_callback(ati_log_sink *sink, ati_fork_phase phase) {
    callback_sink *it = (callback_sink *)sink;
    if (phase == ATI_FORK_PREPARE) {
        ati_lock_acquire(&it->lock);
        return;
    }
    if (phase == ATI_FORK_CHILD) {
        it->is_under_way = false;
        it->has_barrier = false;
        it->delivered = it->accepted;
        it->called = 0;
        it->waiting = 0;
        it->size = 0;
        it->begin = it->end = 0;
        sink->kept = 0;
    }
    ati_lock_release(&it->lock);
}

static void destroy_callback(ati_log_sink *sink) {
    callback_sink *it = (callback_sink *)sink;
    ati_lock_acquire(&it->lock);
    bool is_last = !it->is_under_way;
    it->is_destroyed = true;
    ati_lock_release(&it->lock);
    if (is_last)
        free_sink(it);
}

static const ati_log_sink_kind callback_kind = {
    .name = "callback",
    .write = write_callback,
    .settle = settle_callback,
    .finish = finish_callback,
    .fork = fork_callback,
    .destroy = destroy_callback,
    .begin_wait = begin_wait,
};

/* -- Making -- */

static callback_sink *allocate_sink(size_t room) {
    callback_sink *it = ati_allocate_zeroed(sizeof *it);
    if (!it)
        return NULL;
    it->room = room;
    it->sink.kind = &callback_kind;
    it->node.work = (ati_work){.run = deliver, .argument = it, .site = AT_SITE("log callback")};
    it->filled = ati_allocate(room);
    it->taken = it->filled ? ati_allocate(room) : NULL;
    if (it->taken)
        return it;
    free_sink(it);
    return NULL;
}

at_status at_logger_add_callback(at_logger *logger, at_pool *pool, at_log_callback_fn call,
                                 void *context, const at_log_callback_options *options) {
    ATI_CALLER_CHECK(logger && pool && call, "at_logger_add_callback",
                     "an argument is NULL; give a logger, a pool and a function");
    static const at_log_callback_options defaults;
    if (!options)
        options = &defaults;
    int64_t room = options->queue_bytes ? options->queue_bytes : default_queue_bytes;
    if (room < least_queue_bytes || room > most_queue_bytes)
        return ati_fail(AT_ERROR_INVALID,
                        "at_logger_add_callback: `queue_bytes` is not between 8 KiB and 1 GiB");
    if (!ati_all_zero(options->reserved, sizeof options->reserved))
        return ati_fail(AT_ERROR_INVALID, "at_logger_add_callback: `reserved` is not zero");
    callback_sink *it = allocate_sink((size_t)room);
    if (!it)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_logger_add_callback: out of memory");
    it->pool = pool;
    it->call = call;
    it->context = context;
    it->drop = options->drop;
    ati_pool_retain(pool);
    if (!ati_log_add_sink(logger, &it->sink)) {
        it->drop = NULL;
        free_sink(it);
        return ati_fail(AT_ERROR_FULL, "at_logger_add_callback: the logger has eight sinks");
    }
    return AT_OK;
}
