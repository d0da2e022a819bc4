/* SPDX-License-Identifier: MIT */
/* Purpose: a future that passes the outcome of another on, if that comes in time.
 *
 * One allocation, the registration with the source and the timer of the deadline in it, both taken
 * back in constant time. Three may decide what becomes of the result: the source, the task that the
 * timer starts, and who cancels; `is_decided` says who was the first. `users` counts the
 * registration, the timer, and who is at work on them: the last frees the memory.
 *
 * Who cancels finds all this through the result: while that is pending and locked, nobody can
 * complete it, and who is to do so is a user.
 *
 * Checked by: tests/unit/future_timeout_test.c, tests/stress/future_cancel_test.c. */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "future/future.h"
#include "pool/pool.h"

typedef struct timeout {
    ati_registration registration; /* first; with the source */
    ati_task_timer timer;
    at_future *source; /* retained */
    at_future *result; /* kept by a reference held inside until it is complete */
    at_pool *pool;     /* kept by the source */
    _Atomic uint32_t users;
    _Atomic bool is_decided;
} timeout;

static void release_user(timeout *it) {
    /* ORDER timeout.users: acq_rel. All uses happen before the free.
     * Pairs with: itself in release_user(). If relaxed: freed while still read. */
    if (atomic_fetch_sub_explicit(&it->users, 1, memory_order_acq_rel) != 1)
        return;
    at_future_release(it->source);
    ati_release(it, sizeof *it);
}

static void add_user(timeout *it) {
    atomic_fetch_add_explicit(&it->users, 1, memory_order_relaxed);
}

/* True: the caller is to complete the result. */
static bool decide(timeout *it) {
    return !atomic_exchange_explicit(&it->is_decided, true, memory_order_relaxed);
}

static void complete(timeout *it, const ati_result *result, ati_completions *list) {
    at_future *completed = it->result;
    ati_future_complete(completed, result, list);
    ati_future_release_inside(completed);
}

/* A timer that has expired already finds that all is decided. */
static void stop_timer(timeout *it) {
    if (ati_task_timer_remove(it->pool, &it->timer))
        release_user(it);
}

/* Takes the interest in the source away. */
static void leave_source(timeout *it, ati_unwanted *list) {
    bool is_unwanted;
    ati_future_mark_passed(it->source);
    bool left = ati_future_leave(it->source, &it->registration, &is_unwanted);
    if (is_unwanted) {
        ati_future_retain_inside(it->source);
        ati_unwanted_add(list, it->source);
    }
    if (left)
        release_user(it);
}

static void fire_timeout(ati_registration *registration, at_future *source, ati_completions *list) {
    timeout *it = (timeout *)registration;
    if (decide(it)) {
        ati_result result = ati_result_of(source);
        complete(it, &result, list);
        stop_timer(it);
    }
    release_user(it);
}

static void give_up(timeout *it, at_error *error, ati_unwanted *list) {
    complete(it, &(ati_result){.error = error}, list->completions);
    leave_source(it, list);
    ati_unwanted_cancel(list);
}

/* The task of the timer. */
static void *time_out(void *argument) {
    timeout *it = argument;
    ati_worker *worker = ati_worker_current;
    ati_completions completions = {0};
    ati_task_run run;
    ati_task_begin(worker, &run, NULL, AT_SITE("at_future_with_timeout"), NULL);
    bool is_due = decide(it);
    if (is_due) {
        ati_unwanted unwanted = {.completions = &completions};
        give_up(it,
                ati_error_create(run.frame.site, NULL, AT_ERROR_TIMED_OUT,
                                 "at_future_with_timeout: the deadline has passed"),
                &unwanted);
    }
    release_user(it);
    ati_task_end(worker, &run, is_due ? AT_OK : AT_ERROR_CANCELLED);
    ati_completions_run(&completions);
    return NULL;
}

void ati_timeout_cancel(at_future *result, ati_unwanted *list) {
    timeout *it = result->node.work.argument;
    add_user(it);
    ati_future_unlock(result, 0, 0);
    if (decide(it)) {
        ati_result cancelled = {.error = ati_error_static(AT_ERROR_CANCELLED)};
        complete(it, &cancelled, list->completions);
        stop_timer(it);
        leave_source(it, list);
    }
    release_user(it);
}

/* -- Making -- */

static at_future *refuse(at_future *source, at_status status, const char *why) {
    at_future *failed = ati_future_failed(
        source->executor, ati_error_create("", NULL, status, "at_future_with_timeout: %s", why));
    at_future_release(source);
    return failed;
}

static timeout *create(at_future *source, at_pool *pool) {
    timeout *made = ati_allocate_zeroed(sizeof *made);
    if (!made)
        return NULL;
    made->result = ati_future_create(ATI_FUTURE_TIMEOUT, source->executor, "", NULL);
    if (!made->result) {
        ati_release(made, sizeof *made);
        return NULL;
    }
    /* One for the caller, one until it is complete. */
    atomic_init(&made->result->references, 1 + ATI_REFERENCE_INSIDE);
    made->result->node.work.argument = made;
    made->registration.fire = fire_timeout;
    made->timer.node.work = (ati_work){
        .run = time_out,
        .argument = made,
        .context = ati_context_in_lane(NULL, made->result->lane),
    };
    made->source = source;
    made->pool = pool;
    atomic_init(&made->users, 2); /* the registration and the calling function */
    return made;
}

static void start_timer(timeout *it, at_deadline deadline, ati_completions *completions) {
    add_user(it);
    at_status status = ati_task_timer_start(it->pool, &it->timer, deadline);
    if (status == AT_OK) {
        if (atomic_load_explicit(&it->is_decided, memory_order_relaxed))
            stop_timer(it);
        return;
    }
    if (decide(it)) {
        ati_unwanted unwanted = {.completions = completions};
        give_up(it,
                ati_error_create("", NULL, status,
                                 "at_future_with_timeout: pool \"%s\" is shut down",
                                 it->pool->name),
                &unwanted);
    }
    release_user(it);
}

at_future *at_future_with_timeout(at_future *source, at_deadline deadline) {
    ATI_CALLER_CHECK(source, "at_future_with_timeout", "`source` is NULL");
    if (source->is_static)
        return source;
    at_pool *pool = source->executor->pool;
    if (!pool)
        return refuse(source, AT_ERROR_INVALID,
                      "`source` belongs to no pool, which would keep the time");
    if (ati_pool_is_forked(pool) && ati_pool_start_afresh(pool) != AT_OK)
        return refuse(source, AT_ERROR_FORKED,
                      "the pool belongs to the parent of this forked process");
    timeout *made = create(source, pool);
    if (!made) {
        at_future_release(source);
        return ati_future_no_memory();
    }
    at_future *result = made->result;
    ati_completions list = {0};
    ati_future_attach(source, &made->registration, &list);
    if (deadline != AT_FOREVER)
        start_timer(made, deadline, &list);
    release_user(made);
    ati_completions_run(&list);
    return result;
}
