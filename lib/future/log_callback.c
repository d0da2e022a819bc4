/* SPDX-License-Identifier: MIT */
/* A sink of the log that gives lines to a function of the program.
 *
 * The logger's thread appends lines to one of two buffers. At most one task delivers: it takes the
 * buffer that was filled, leaves the other one, and calls the function for each line without the
 * lock. The task is in the sink's own storage, so that a line costs no allocation. The sink and its
 * task keep it alive; whoever is last frees it. */
#include <asynctools/log_callback.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/frame.h"
#include "base/futex.h"
#include "base/lock.h"
#include "base/memory.h"
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

typedef struct callback_sink {
    ati_log_sink sink;
    at_pool *pool; /* kept */
    at_log_callback_fn call;
    void *context;
    at_drop_fn drop;
    size_t room; /* of each buffer */
    at_task task;
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
    size_t size;    /* of the buffer that is filled */
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

/* Takes what was filled. Nothing, or closed: the task ends, and frees the sink if it is the last.
 */
static size_t take_lines(callback_sink *it) {
    ati_lock_acquire(&it->lock);
    size_t size = it->is_closed ? 0 : it->size;
    char *filled = it->filled;
    it->filled = it->taken;
    it->taken = filled;
    it->size = 0;
    bool is_last = false;
    if (size == 0) {
        it->is_under_way = false;
        is_last = it->is_destroyed;
        if (!is_last)
            say_changed(it); /* under the lock: the sink may be gone behind it */
    }
    ati_lock_release(&it->lock);
    if (is_last)
        free_sink(it);
    return size;
}

/* Whether the next line may be delivered, after one of `before` bytes. */
static bool begin_line(callback_sink *it, size_t before, bool is_line) {
    ati_lock_acquire(&it->lock);
    it->delivered += before;
    bool goes_on = is_line && !it->is_closed;
    if (goes_on)
        it->waiting--;
    ati_lock_release(&it->lock);
    return goes_on;
}

static void deliver_lines(callback_sink *it, size_t size) {
    const char *line = it->taken;
    const char *end = line + size;
    size_t length = 0;
    while (begin_line(it, length, line < end)) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        length = (size_t)((newline ? newline + 1 : end) - line);
        bool waited = ati_log_never_wait(true);
        it->call(it->context, line, length);
        ati_log_never_wait(waited);
        line += length;
    }
}

/* A wait of the function holds the thread, which is said to log without waiting meanwhile. */
static void *deliver(void *argument) {
    ati_frame_current()->keeps_thread = true;
    for (size_t size; (size = take_lines(argument)) > 0;)
        deliver_lines(argument, size);
    return NULL;
}

/* Under the lock. */
static void start_task(callback_sink *it) {
    if (it->is_under_way || it->size == 0)
        return;
    at_status status = ati_pool_check_open(it->pool);
    it->is_under_way = true;
    at_task_init(&it->task, deliver, it);
    if (status == AT_OK)
        status = at_pool_start_task(it->pool, &it->task);
    if (status == AT_OK)
        return;
    it->is_under_way = false;
    at_error_clear();
    if (status == AT_ERROR_FULL) /* it is tried again */
        return;
    ati_counter_add(&it->sink.lost, it->waiting);
    it->delivered = it->accepted;
    it->waiting = 0;
    it->size = 0;
}

/* -- The sink -- */

static void write_callback(ati_log_sink *sink, const char *lines, size_t size) {
    callback_sink *it = (callback_sink *)sink;
    ati_lock_acquire(&it->lock);
    size_t fits = it->room - it->size;
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
    for (bool in_time = true; in_time;) {
        /* ORDER log_callback.changed: acquire. What is looked at next is not older.
         * Pairs with: release in say_changed(). If relaxed: it sleeps beside an empty queue. */
        uint32_t seen = atomic_load_explicit(&it->changed, memory_order_acquire);
        if (!is_busy(it))
            break;
        in_time = ati_futex_wait(&it->changed, seen, deadline);
    }
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
        it->waiting = 0;
        it->size = 0;
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
};

/* -- Making -- */

static callback_sink *allocate_sink(size_t room) {
    callback_sink *it = ati_allocate_zeroed(sizeof *it);
    if (!it)
        return NULL;
    it->room = room;
    it->sink.kind = &callback_kind;
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
