/* SPDX-License-Identifier: MIT */
/* A promise is its future, seen by the one who completes it. */
#include "base/check.h"
#include "base/error.h"
#include "future/future.h"

static at_future *future_of(at_promise *promise) {
    return (at_future *)promise;
}

at_status at_promise_create(at_promise **promise, at_executor *executor) {
    ATI_CALLER_CHECK(promise, "at_promise_create", "`promise` is NULL");
    ATI_CALLER_CHECK(executor, "at_promise_create", "`executor` is NULL");
    at_future *future = ati_future_create(ATI_FUTURE_PLAIN, executor, "", NULL);
    if (!future)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_promise_create: out of memory");
    *promise = (at_promise *)future;
    return AT_OK;
}

at_future *at_promise_future(at_promise *promise) {
    ATI_CALLER_CHECK(promise, "at_promise_future", "`promise` is NULL");
    return at_future_retain(future_of(promise));
}

static bool complete(at_promise *promise, const ati_result *result) {
    ati_completions list = {0};
    bool first = ati_future_complete(future_of(promise), result, &list);
    ati_completions_run(&list);
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

void at_promise_destroy(at_promise *promise) {
    if (!promise)
        return;
    if (!ati_phase_is_done(ati_future_phase(future_of(promise)))) {
        at_error *error = ati_error_create("", NULL, AT_ERROR_ABANDONED, "%s",
                                           at_status_text(AT_ERROR_ABANDONED));
        complete(promise, &(ati_result){.error = error});
    }
    at_future_release(future_of(promise));
}
