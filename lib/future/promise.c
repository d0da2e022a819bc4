/* SPDX-License-Identifier: MIT */
/* A promise is its future, seen by the one who completes it. */
#include "base/check.h"
#include "base/error.h"
#include "future/future.h"

static at_future *future_of(at_promise *promise) {
    return (at_future *)promise;
}

at_status at_promise_create_at(const char *site, at_promise **promise, at_executor *executor) {
    ATI_CALLER_CHECK(promise, "at_promise_create", "`promise` is NULL");
    ATI_CALLER_CHECK(executor, "at_promise_create", "`executor` is NULL");
    at_future *future = ati_future_create(ATI_FUTURE_PLAIN, executor, site, NULL);
    if (!future)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_promise_create: out of memory");
    *promise = (at_promise *)future;
    return AT_OK;
}

at_future *at_promise_future(at_promise *promise) {
    ATI_CALLER_CHECK(promise, "at_promise_future", "`promise` is NULL");
    return at_future_retain(future_of(promise));
}

/* Whoever sees the outcome may destroy the promise: the future is kept until this call is through
 * with it. */
static bool complete(at_promise *promise, const ati_result *result) {
    at_future *future = future_of(promise);
    ati_future_retain_inside(future);
    ati_completions list = {0};
    bool first = ati_future_try_complete(future, result, &list);
    ati_completions_run(&list);
    ati_future_release_inside(future);
    return first;
}

at_status at_promise_set(at_promise *promise, void *value, at_drop_fn drop) {
    ATI_CALLER_CHECK(promise, "at_promise_set", "`promise` is NULL");
    if (complete(promise, &(ati_result){.value = value, .drop = drop}))
        return AT_OK;
    return ati_fail(AT_ERROR_ALREADY, "at_promise_set: the promise already has an outcome");
}

at_status at_promise_fail(at_promise *promise, at_error *error) {
    ATI_CALLER_CHECK(promise, "at_promise_fail", "`promise` is NULL");
    if (!error)
        error = ati_error_static(AT_ERROR_FAILED);
    if (complete(promise, &(ati_result){.error = error}))
        return AT_OK;
    return ati_fail(AT_ERROR_ALREADY, "at_promise_fail: the promise already has an outcome");
}

/* Nobody else has the future: nobody can miss its outcome. */
static bool has_no_listener(at_future *future) {
    /* ORDER future.references: acquire. Pairs with: acq_rel in release(). If relaxed: no harm. */
    uint64_t references = atomic_load_explicit(&future->references, memory_order_acquire);
    return ati_references_all(references) == 1;
}

void at_promise_destroy(at_promise *promise) {
    if (!promise)
        return;
    at_future *future = future_of(promise);
    if (!ati_phase_is_done(ati_future_phase(future))) {
        if (has_no_listener(future))
            ati_future_mark_passed(future);
        at_error *error = ati_error_create(future->site, NULL, AT_ERROR_ABANDONED, "%s",
                                           at_status_text(AT_ERROR_ABANDONED));
        complete(promise, &(ati_result){.error = error});
    }
    at_future_release(future);
}
