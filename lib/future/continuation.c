/* SPDX-License-Identifier: MIT */
/* then, recover and finally: one source, one function. */
#include "base/check.h"
#include "base/error.h"
#include "base/frame.h"
#include "future/future.h"

/* Which continuation is asked for, and by which call. */
typedef struct continuation {
    ati_future_kind kind;
    const char *call;
    const char *site;
    ati_function run;
} continuation;

/* Whether the function of `future` is to be called for the outcome of its source. */
static bool wants(const at_future *future, const at_future *source) {
    switch (future->kind) {
    case ATI_FUTURE_THEN:
        return !source->error;
    case ATI_FUTURE_RECOVER:
        return source->error &&
               (future->runs_on_cancelled || at_error_status(source->error) != AT_ERROR_CANCELLED);
    default:
        return true;
    }
}

/* The function is not called: the outcome of the source passes on. */
static void pass_by(at_future *future, at_future *source, ati_completions *list) {
    ati_future_drop_argument(future);
    ati_result result = ati_result_of(source);
    ati_future_complete(future, &result, list);
}

void ati_fire_continuation(ati_registration *registration, at_future *source,
                           ati_completions *list) {
    at_future *future = (at_future *)((char *)registration - offsetof(at_future, registration));
    if (wants(future, source)) {
        if (ati_future_start(future, list))
            return;
    } else if (ati_future_leave_waiting(future, ATI_PHASE_RUNNING) != ATI_LEAVING_LATE) {
        pass_by(future, source, list);
    }
    at_future_release(source); /* the reference of `future` */
    ati_future_release_inside(future);
}

void ati_fire_indifferent_continuation(ati_registration *registration, at_future *source,
                                       ati_completions *list) {
    ati_fire_continuation(registration, source, list);
}

at_future *ati_continuation_claim(ati_registration *registration, at_future *source) {
    at_future *future = (at_future *)((char *)registration - offsetof(at_future, registration));
    if (future->executor != source->executor || future->lane != source->lane ||
        !wants(future, source))
        return NULL;
    ati_leaving left = ati_future_leave_waiting(future, ATI_PHASE_RUNNING);
    if (left != ATI_LEAVING_ALONE)
        return left == ATI_LEAVING_DONE ? future : NULL;
    /* Then what comes after it is next. */
    const char *after = (const char *)future->last - offsetof(at_future, registration);
    __builtin_prefetch(after, 1);
    __builtin_prefetch(after + ATI_CACHE_LINE, 1);
    return future;
}

/* The function will not be called: its context goes, and the source. */
static void give_up(at_future *source, const at_continuation_options *options) {
    ati_call_drop(options->drop, options->context);
    at_future_release(source);
}

/* Where the continuation runs; NULL: its source is the out-of-memory future, and there is nowhere
 * to run anything. */
static at_executor *choose_executor(const at_future *source,
                                    const at_continuation_options *options) {
    if (options->executor)
        return options->executor;
    if (source->executor)
        return source->executor;
    return at_pool_current() ? at_pool_executor(at_pool_current()) : NULL;
}

static at_future *attach(const continuation *wanted, at_future *source,
                         const at_continuation_options *options) {
    ATI_CALLER_CHECK(source, wanted->call, "`source` is NULL");
    ATI_CALLER_CHECK(wanted->run.task, wanted->call, "`run` is NULL");
    at_executor *executor = choose_executor(source, options);
    at_future *future =
        executor ? ati_future_create(wanted->kind, executor, wanted->site, options->name) : NULL;
    if (!future) {
        give_up(source, options);
        return ati_future_no_memory();
    }
    future->run = wanted->run;
    future->runs_on_cancelled = options->on_cancelled;
    future->argument = options->context;
    future->argument_drop = options->drop;
    future->source = source;
    future->registration.fire = ati_fire_continuation;
    /* One for the source's list; nobody else has it yet. */
    atomic_init(&future->references, 1 + ATI_REFERENCE_INSIDE);
    if (!ati_future_attach_alone(source, &future->registration)) {
        ati_completions list = {0};
        ati_future_attach(source, &future->registration, &list);
        ati_completions_run(&list);
    }
    return future;
}

/* The same with options of the caller's. */
static at_future *attach_with(const continuation *wanted, at_future *source,
                              const at_continuation_options *options) {
    static const at_continuation_options no_options = {0};
    if (!options)
        options = &no_options;
    at_executor *executor = source ? choose_executor(source, options) : NULL;
    if (!executor || ati_all_zero(options->reserved, sizeof options->reserved))
        return attach(wanted, source, options);
    at_future *failed =
        ati_future_failed(executor, ati_error_create(wanted->site, NULL, AT_ERROR_INVALID,
                                                     "%s: `reserved` is not zero", wanted->call));
    give_up(source, options);
    return failed;
}

at_future *at_future_then_with_at(const char *site, at_future *source, at_then_fn run,
                                  const at_continuation_options *options) {
    const continuation wanted = {ATI_FUTURE_THEN, "at_future_then", site, {.then = run}};
    return attach_with(&wanted, source, options);
}

at_future *at_future_recover_with_at(const char *site, at_future *source, at_recover_fn run,
                                     const at_continuation_options *options) {
    const continuation wanted = {ATI_FUTURE_RECOVER, "at_future_recover", site, {.recover = run}};
    return attach_with(&wanted, source, options);
}

at_future *at_future_finally_with_at(const char *site, at_future *source, at_finally_fn run,
                                     const at_continuation_options *options) {
    const continuation wanted = {ATI_FUTURE_FINALLY, "at_future_finally", site, {.finally = run}};
    return attach_with(&wanted, source, options);
}

at_future *at_future_then_at(const char *site, at_future *source, at_then_fn run, void *context) {
    const continuation wanted = {ATI_FUTURE_THEN, "at_future_then", site, {.then = run}};
    return attach(&wanted, source, &(at_continuation_options){.context = context});
}

at_future *at_future_recover_at(const char *site, at_future *source, at_recover_fn run,
                                void *context) {
    const continuation wanted = {ATI_FUTURE_RECOVER, "at_future_recover", site, {.recover = run}};
    return attach(&wanted, source, &(at_continuation_options){.context = context});
}

at_future *at_future_finally_at(const char *site, at_future *source, at_finally_fn run,
                                void *context) {
    const continuation wanted = {ATI_FUTURE_FINALLY, "at_future_finally", site, {.finally = run}};
    return attach(&wanted, source, &(at_continuation_options){.context = context});
}

at_status at_value_take(at_drop_fn *drop) {
    at_future *source = ati_frame_current()->taken_from;
    if (!source)
        return ati_fail(AT_ERROR_INVALID, "at_value_take: called outside the function of a then");
    at_future *owner = source->owner ? source->owner : source;
    if (!ati_future_has_one_consumer(source) ||
        (owner != source && !ati_future_has_one_consumer(owner)) ||
        atomic_exchange_explicit(&owner->value_was_taken, true, memory_order_relaxed))
        return ati_fail(AT_ERROR_SHARED, "at_value_take: the value has other consumers");
    if (drop)
        *drop = owner->drop;
    return AT_OK;
}

static void release_next(void *next) {
    at_future_release(next);
}

void *at_return_future(at_future *next) {
    ATI_CALLER_CHECK(next, "at_return_future", "`next` is NULL");
    ati_frame *frame = ati_frame_current();
    ATI_CALLER_CHECK(frame->outer, "at_return_future", "called outside a task");
    if (frame->next_future)
        frame->next_release(frame->next_future);
    frame->next_future = next;
    frame->next_release = release_next;
    frame->in_flight = false;
    return ATI_CONTINUED;
}
