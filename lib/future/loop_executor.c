/* SPDX-License-Identifier: MIT */
/* An executor whose works are run by the owner of some loop. The descriptor is written when the
 * queue is not empty any more, and read when a dispatch has left it empty, both under the lock: so
 * it is readable exactly as long as works are queued, whoever comes first. */
#include "base/check.h"
#include "base/error.h"
#include "base/lock.h"
#include "base/memory.h"
#include "base/process_fork.h"
#include "base/registry.h"
#include "pool/executor.h"

#include <asynctools/loop_executor.h>

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct at_loop_executor {
    at_executor executor;        /* first: an at_executor of a loop is the loop executor */
    _Atomic uint32_t references; /* of the owner and of futures */
    uint64_t fork_count;         /* of the process that made it */
    int fd;
    ati_registry_entry registry_entry;

    ati_task_node *taken; /* to be run next; the dispatching thread's own */
    bool is_dispatching;  /* that thread's own too */
    ati_counter begun;    /* works; written by that thread */

    ati_lock lock; /* guards what follows, and the content of the descriptor; innermost */
    ati_task_node *first;
    ati_task_node *last;
    uint64_t ever_queued; /* works */
    bool is_signalled;    /* the descriptor is readable */
    bool is_closed;
};

static void retain(at_executor *executor) {
    at_loop_executor *loop = (at_loop_executor *)executor;
    atomic_fetch_add_explicit(&loop->references, 1, memory_order_relaxed);
}

static void release(at_executor *executor) {
    at_loop_executor *loop = (at_loop_executor *)executor;
    /* ORDER loop.references: acq_rel. All uses by others happen before the free.
     * Pairs with: itself in release(). If relaxed: freed while another still reads. */
    if (atomic_fetch_sub_explicit(&loop->references, 1, memory_order_acq_rel) == 1)
        ati_release(loop, sizeof *loop);
}

/* -- Queueing -- */

/* Under the lock. Neither can fail or block: the count in the descriptor is 0 or 1. */
static void set_signal(at_loop_executor *loop, bool wanted) {
    if (loop->is_signalled == wanted)
        return;
    uint64_t count = 1;
    ssize_t done =
        wanted ? write(loop->fd, &count, sizeof count) : read(loop->fd, &count, sizeof count);
    (void)done;
    loop->is_signalled = wanted;
}

static void append(at_loop_executor *loop, ati_task_node *nodes, size_t count) {
    loop->ever_queued += count;
    if (loop->first)
        loop->last->next = nodes;
    else
        loop->first = nodes;
    loop->last = nodes;
    while (loop->last->next)
        loop->last = loop->last->next;
    set_signal(loop, true);
}

static bool is_forked(const at_loop_executor *loop) {
    return loop->fork_count != ati_process_fork_count();
}

static at_status fail_forked(const char *call) {
    return ati_fail(AT_ERROR_FORKED, "%s: the loop executor belongs to the parent of this process",
                    call);
}

static at_status start(at_executor *executor, ati_task_node *nodes, size_t count,
                       bool is_continuation) {
    (void)is_continuation;
    at_loop_executor *loop = (at_loop_executor *)executor;
    if (is_forked(loop))
        return fail_forked("at_executor_submit");
    ati_lock_acquire(&loop->lock);
    bool is_closed = loop->is_closed;
    if (!is_closed)
        append(loop, nodes, count);
    ati_lock_release(&loop->lock);
    return is_closed ? ati_fail(AT_ERROR_CLOSED, "the loop executor was destroyed") : AT_OK;
}

/* -- Running -- */

static ati_task_node *take(at_loop_executor *loop) {
    if (!loop->taken) {
        ati_lock_acquire(&loop->lock);
        loop->taken = loop->first;
        loop->first = loop->last = NULL;
        ati_lock_release(&loop->lock);
    }
    ati_task_node *node = loop->taken;
    if (!node)
        return NULL;
    loop->taken = node->next;
    ati_counter_add(&loop->begun, 1);
    return node;
}

static void settle_signal(at_loop_executor *loop) {
    ati_lock_acquire(&loop->lock);
    set_signal(loop, loop->taken || loop->first);
    ati_lock_release(&loop->lock);
}

static int64_t run_works(at_loop_executor *loop, int64_t max_works, at_duration budget) {
    at_clock *clock = at_clock_current();
    at_deadline deadline = budget == AT_FOREVER ? AT_FOREVER : at_after(budget);
    int64_t count = 0;
    loop->is_dispatching = true;
    while (count < max_works) {
        ati_task_node *node = take(loop);
        if (!node)
            break;
        node->work.run(node->work.argument);
        count++;
        if (deadline != AT_FOREVER && at_clock_now(clock) >= deadline)
            break;
    }
    loop->is_dispatching = false;
    return count;
}

at_status at_loop_executor_dispatch(at_loop_executor *loop, int64_t max_works, at_duration budget,
                                    int64_t *work_count) {
    ATI_CALLER_CHECK(loop, "at_loop_executor_dispatch", "`loop` is NULL");
    ATI_CALLER_CHECK(!loop->is_dispatching, "at_loop_executor_dispatch",
                     "called by a work that it runs; return from it instead");
    if (is_forked(loop))
        return fail_forked("at_loop_executor_dispatch");
    if (max_works < 0 || budget < 0)
        return ati_fail(AT_ERROR_INVALID, "at_loop_executor_dispatch: %s: %lld is negative",
                        max_works < 0 ? "max_works" : "budget",
                        (long long)(max_works < 0 ? max_works : budget));
    int64_t count = run_works(loop, max_works, budget);
    settle_signal(loop);
    if (work_count)
        *work_count = count;
    return AT_OK;
}

/* -- The dump -- */

static void write_loop(ati_registry_entry *entry, ati_json *json) {
    at_loop_executor *loop =
        (at_loop_executor *)((char *)entry - offsetof(at_loop_executor, registry_entry));
    if (is_forked(loop)) {
        ati_json_begin_object(json, NULL);
        ati_json_text(json, "state", "forked");
        ati_json_end_object(json);
        return;
    }
    ati_lock_acquire(&loop->lock);
    bool is_closed = loop->is_closed;
    uint64_t begun = ati_counter_read(&loop->begun);
    uint64_t queued = loop->ever_queued - begun;
    ati_lock_release(&loop->lock);
    ati_json_begin_object(json, NULL);
    ati_json_text(json, "state", is_closed ? "closing" : "running");
    ati_json_integer(json, "fd", loop->fd);
    ati_json_unsigned(json, "queued", queued);
    ati_json_unsigned(json, "begun", begun);
    ati_json_end_object(json);
}

/* -- Making -- */

at_status at_loop_executor_create(at_loop_executor **loop) {
    ATI_CALLER_CHECK(loop, "at_loop_executor_create", "`loop` is NULL");
    at_loop_executor *made = ati_allocate_zeroed(sizeof *made);
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_loop_executor_create: out of memory");
    made->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (made->fd < 0) {
        int reason = errno;
        ati_release(made, sizeof *made);
        return ati_fail(AT_ERROR_SYSTEM, "at_loop_executor_create: eventfd: %s",
                        strerrordesc_np(reason));
    }
    made->executor = (at_executor){.start = start, .retain = retain, .release = release};
    atomic_init(&made->references, 1);
    made->fork_count = ati_process_fork_count();
    made->registry_entry = (ati_registry_entry){.section = "loop_executors", .write = write_loop};
    ati_registry_add(&made->registry_entry);
    *loop = made;
    return AT_OK;
}

at_executor *at_loop_executor_executor(at_loop_executor *loop) {
    ATI_CALLER_CHECK(loop, "at_loop_executor_executor", "`loop` is NULL");
    return &loop->executor;
}

int at_loop_executor_fd(const at_loop_executor *loop) {
    ATI_CALLER_CHECK(loop, "at_loop_executor_fd", "`loop` is NULL");
    return loop->fd;
}

void at_loop_executor_destroy(at_loop_executor *loop) {
    if (!loop)
        return;
    ATI_CALLER_CHECK(!loop->is_dispatching, "at_loop_executor_destroy",
                     "called by a work that it runs; return from it instead");
    if (!is_forked(loop)) {
        ati_lock_acquire(&loop->lock);
        loop->is_closed = true;
        ati_lock_release(&loop->lock);
        (void)run_works(loop, AT_UNLIMITED, AT_FOREVER);
    }
    ati_registry_remove(&loop->registry_entry);
    close(loop->fd);
    release(&loop->executor);
}
