/* SPDX-License-Identifier: MIT */
/* all, all_settled, any and first: many sources, one result.
 *
 * One allocation holds an entry per source, which is its registration there, and what becomes the
 * value of the result. `users` counts who may still touch the entries: the call that builds it,
 * each entry that is registered, and the one that detaches the losers. When it reaches zero the
 * sources that the value does not need are released; the memory goes with the value.
 *
 * Decisions are made under `lock`, completions outside it. When the outcome is decided, those that
 * can make no difference any more lose our interest, which may cancel them: that is noted in the
 * list of completions and done once what is being fired has been fired, so that nothing recurses.
 * The same is noted when the result is cancelled; both may be, by two threads.
 */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "future/future.h"
#include "pool/pool.h"

typedef enum combine_kind {
    COMBINE_ALL,
    COMBINE_ALL_SETTLED,
    COMBINE_ANY,
    COMBINE_FIRST,
} combine_kind;

typedef struct ati_combination combination;

/* That sources are to lose our interest, noted in a list of completions. */
typedef struct ati_stop_plan {
    struct ati_stop_plan *next;
    combination *combine;
} stop_plan;

typedef struct entry {
    ati_registration registration;
    combination *combine;
    at_future *source; /* retained */
} entry;

struct ati_combination {
    combine_kind kind;
    size_t count;
    at_future *result;         /* retained until it is complete */
    _Atomic uint32_t users;    /* see above */
    _Atomic uint32_t owners;   /* of the memory: the users together, and the value */
    ati_lock lock;             /* guards the following; inside no other lock */
    size_t remaining;          /* sources that are not complete, and the building call */
    size_t first_failed;       /* index of the first failure in time, or count */
    bool decided;              /* any, first: there is a winner; or it was cancelled */
    _Atomic bool is_cancelled; /* read outside, too */
    bool is_stopping;          /* all: one has failed, what is left makes no difference */
    at_winner winner;          /* the value of any and first */
    stop_plan failure_stop;    /* one may be noted while the other is */
    stop_plan cancel_stop;
    struct outcome_array *outcomes; /* the value of all and all_settled: behind the entries */
    entry entries[];
};

struct outcome_array {
    combination *combine;
    at_outcome outcomes[];
};

static size_t combine_size(size_t count) {
    return sizeof(combination) + count * (sizeof(entry) + sizeof(at_outcome)) +
           sizeof(struct outcome_array);
}

static void release_owner(combination *combine) {
    /* ORDER combine.owners: acq_rel. All uses happen before the free.
     * Pairs with: itself in release_owner(). If relaxed: freed while still read. */
    if (atomic_fetch_sub_explicit(&combine->owners, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < combine->count; i++)
        at_future_release(combine->entries[i].source);
    ati_release(combine, combine_size(combine->count));
}

static void release_losers(combination *combine) {
    if (combine->kind != COMBINE_ANY && combine->kind != COMBINE_FIRST)
        return;
    for (size_t i = 0; i < combine->count; i++) {
        if (combine->decided && i == combine->winner.index)
            continue;
        at_future_release(combine->entries[i].source);
        combine->entries[i].source = NULL;
    }
}

static void release_user(combination *combine) {
    /* ORDER combine.users: acq_rel. All uses of the entries happen before they go.
     * Pairs with: itself in release_user(). If relaxed: a source goes while it is detached. */
    if (atomic_fetch_sub_explicit(&combine->users, 1, memory_order_acq_rel) != 1)
        return;
    release_losers(combine);
    release_owner(combine);
}

/* -- The result -- */

static void drop_outcomes(void *value) {
    struct outcome_array *array =
        (struct outcome_array *)((char *)value - offsetof(struct outcome_array, outcomes));
    release_owner(array->combine);
}

static void drop_winner(void *value) {
    release_owner((combination *)((char *)value - offsetof(combination, winner)));
}

static void complete(combination *combine, const ati_result *result, ati_completions *list) {
    ati_future_complete(combine->result, result, list);
    at_future_release(combine->result);
}

static void complete_with_value(combination *combine, void *value, at_drop_fn drop,
                                ati_completions *list) {
    atomic_fetch_add_explicit(&combine->owners, 1, memory_order_relaxed);
    complete(combine, &(ati_result){.value = value, .drop = drop}, list);
}

static at_error *error_of(const combination *combine, size_t index) {
    return combine->entries[index].source->error;
}

static bool is_real(const at_error *error) {
    return error && at_error_status(error) != AT_ERROR_CANCELLED;
}

/* The first real failure in time with the other real ones attached, else the cancellation. */
static at_error *collect_errors(const combination *combine) {
    at_error *first = error_of(combine, combine->first_failed);
    if (!is_real(first))
        return at_error_retain(first);
    at_error *collected = NULL;
    for (size_t i = 0; i < combine->count; i++) {
        if (i == combine->first_failed || !is_real(error_of(combine, i)))
            continue;
        if (!collected)
            collected = ati_error_copy(first);
        ati_error_add_other(collected, at_error_retain(error_of(combine, i)));
    }
    if (collected && at_error_text(collected) == at_status_text(at_error_status(first))) {
        at_error_release(collected); /* no memory for a copy: the first one alone says more */
        collected = NULL;
    }
    return collected ? collected : at_error_retain(first);
}

/* Every source is complete, and none has won. */
static void finish(combination *combine, ati_completions *list) {
    bool failed = combine->first_failed < combine->count;
    for (size_t i = 0; i < combine->count; i++)
        ati_future_mark_passed(combine->entries[i].source);
    if (failed && combine->kind != COMBINE_ALL_SETTLED) {
        complete(combine, &(ati_result){.error = collect_errors(combine)}, list);
        return;
    }
    for (size_t i = 0; i < combine->count; i++)
        combine->outcomes->outcomes[i] = ati_future_outcome(combine->entries[i].source);
    complete_with_value(combine, combine->outcomes->outcomes, drop_outcomes, list);
}

/* To be done once what is being fired has been fired, and under nothing else: a source may be a
 * combination, too. */
static void plan_stop(combination *combine, stop_plan *plan, ati_completions *list) {
    atomic_fetch_add_explicit(&combine->users, 1, memory_order_relaxed);
    *plan = (stop_plan){.next = list->stopping, .combine = combine};
    list->stopping = plan;
}

static void detach_losers(combination *combine) {
    for (size_t i = 0; i < combine->count; i++) {
        entry *loser = &combine->entries[i];
        if (i == combine->winner.index)
            continue;
        ati_future_mark_passed(loser->source);
        if (ati_future_detach(loser->source, &loser->registration))
            release_user(combine);
    }
}

static void win(combination *combine, at_future *source, ati_completions *list) {
    ati_future_mark_passed(source);
    combine->winner.value = ati_future_value(source);
    if (source->error)
        complete(combine, &(ati_result){.error = at_error_retain(source->error)}, list);
    else
        complete_with_value(combine, &combine->winner, drop_winner, list);
    detach_losers(combine);
}

/* Takes our interest in a source away. True: nobody wants it any more. One that is to complete all
 * the same is still to be told of it. */
static bool lose_interest(combination *combine, entry *left) {
    if (!atomic_load_explicit(&combine->is_cancelled, memory_order_relaxed))
        return ati_future_lose_interest(left->source, &left->registration, ati_fire_indifferent);
    bool is_unwanted;
    ati_future_mark_passed(left->source);
    if (ati_future_leave(left->source, &left->registration, &is_unwanted))
        release_user(combine);
    return is_unwanted;
}

static void stop(combination *combine, ati_unwanted *list) {
    for (size_t i = 0; i < combine->count; i++) {
        at_future *source = combine->entries[i].source;
        if (lose_interest(combine, &combine->entries[i])) {
            ati_future_retain_inside(source);
            ati_unwanted_add(list, source);
        }
    }
    release_user(combine);
}

void ati_completions_stop(ati_completions *list) {
    ati_unwanted unwanted = {.completions = list};
    while (list->stopping) {
        stop_plan *plan = list->stopping;
        list->stopping = plan->next;
        stop(plan->combine, &unwanted);
    }
    ati_unwanted_cancel(&unwanted);
}

/* -- The sources -- */

/* Notes a failure under the lock: a real one takes the place of a cancellation. */
static void note_failure(combination *combine, size_t index, at_error *error) {
    if (combine->first_failed == combine->count ||
        (is_real(error) && !is_real(error_of(combine, combine->first_failed))))
        combine->first_failed = index;
}

static void settle(combination *combine, size_t index, at_future *source, ati_completions *list) {
    bool may_win =
        combine->kind == COMBINE_FIRST || (combine->kind == COMBINE_ANY && !source->error);
    ati_lock_acquire(&combine->lock);
    bool wins = may_win && !combine->decided;
    if (wins) {
        combine->decided = true;
        combine->winner.index = index;
    }
    if (source->error)
        note_failure(combine, index, source->error);
    bool finishes = --combine->remaining == 0 && !combine->decided;
    bool stops = combine->kind == COMBINE_ALL && source->error && !finishes && !combine->decided &&
                 !combine->is_stopping;
    combine->is_stopping |= stops;
    ati_lock_release(&combine->lock);
    if (wins)
        win(combine, source, list);
    if (stops)
        plan_stop(combine, &combine->failure_stop, list);
    if (finishes)
        finish(combine, list);
}

static void fire_entry(ati_registration *registration, at_future *source, ati_completions *list) {
    entry *fired = (entry *)registration;
    combination *combine = fired->combine;
    settle(combine, (size_t)(fired - combine->entries), source, list);
    release_user(combine);
}

void ati_fire_indifferent(ati_registration *registration, at_future *source,
                          ati_completions *list) {
    fire_entry(registration, source, list);
}

at_future *ati_combination_of(const ati_registration *registration) {
    if (registration->fire != fire_entry && registration->fire != ati_fire_indifferent)
        return NULL;
    const combination *combine = ((const entry *)registration)->combine;
    bool needs_all = combine->kind == COMBINE_ALL || combine->kind == COMBINE_ALL_SETTLED;
    return needs_all ? combine->result : NULL;
}

static bool is_decided(combination *combine) {
    ati_lock_acquire(&combine->lock);
    bool decided = combine->decided;
    ati_lock_release(&combine->lock);
    return decided;
}

/* Attaches to the sources in argument order, as long as nothing is decided. */
static void attach_entries(combination *combine, ati_completions *list) {
    for (size_t i = 0; i < combine->count; i++) {
        entry *next = &combine->entries[i];
        if (is_decided(combine)) {
            ati_future_mark_passed(next->source);
            continue;
        }
        atomic_fetch_add_explicit(&combine->users, 1, memory_order_relaxed);
        ati_future_attach(next->source, &next->registration, list);
        /* Who has decided may have looked for this entry before it was there. */
        if (is_decided(combine) && ati_future_detach(next->source, &next->registration))
            release_user(combine);
    }
    ati_lock_acquire(&combine->lock);
    bool finishes = --combine->remaining == 0 && !combine->decided;
    ati_lock_release(&combine->lock);
    if (finishes)
        finish(combine, list);
}

void ati_combination_cancel(at_future *result, ati_unwanted *list) {
    combination *combine = result->node.work.argument;
    atomic_fetch_add_explicit(&combine->users, 1, memory_order_relaxed);
    ati_future_unlock(result, 0, 0);
    ati_lock_acquire(&combine->lock);
    bool is_late = combine->decided || combine->remaining == 0;
    if (!is_late) {
        combine->decided = true;
        atomic_store_explicit(&combine->is_cancelled, true, memory_order_relaxed);
        combine->winner.index = combine->count;
    }
    ati_lock_release(&combine->lock);
    if (!is_late) {
        complete(combine, &(ati_result){.error = ati_error_static(AT_ERROR_CANCELLED)},
                 list->completions);
        plan_stop(combine, &combine->cancel_stop, list->completions);
    }
    release_user(combine);
}

/* -- Building -- */

static at_executor *choose_executor(at_future *const *sources, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (sources[i]->executor)
            return sources[i]->executor;
    at_pool *pool = at_pool_current();
    return pool ? at_pool_executor(pool) : at_executor_inline();
}

static void release_sources(at_future *const *sources, size_t count) {
    for (size_t i = 0; i < count; i++) {
        at_future_release(sources[i]);
    }
}

static combination *create(combine_kind kind, at_future *const *sources, size_t count) {
    combination *made = ati_allocate_zeroed(combine_size(count));
    if (!made)
        return NULL;
    made->result =
        ati_future_create(ATI_FUTURE_COMBINED, choose_executor(sources, count), "", NULL);
    if (!made->result) {
        ati_release(made, combine_size(count));
        return NULL;
    }
    made->result->node.work.argument = made;
    made->kind = kind;
    made->count = count;
    atomic_init(&made->users, 1);
    atomic_init(&made->owners, 1);
    made->remaining = count + 1;
    made->first_failed = count;
    made->outcomes = (struct outcome_array *)&made->entries[count];
    made->outcomes->combine = made;
    for (size_t i = 0; i < count; i++)
        made->entries[i] =
            (entry){.registration.fire = fire_entry, .combine = made, .source = sources[i]};
    return made;
}

static at_future *build(combine_kind kind, at_future *const *sources, size_t count) {
    combination *made = create(kind, sources, count);
    if (!made) {
        release_sources(sources, count);
        return ati_future_no_memory();
    }
    at_future *result = at_future_retain(made->result);
    ati_completions list = {0};
    attach_entries(made, &list);
    release_user(made);
    ati_completions_run(&list);
    return result;
}

static void check_sources(const char *call, at_future *const *sources, size_t count) {
    ATI_CALLER_CHECK(sources || count == 0, call, "`sources` is NULL");
    for (size_t i = 0; i < count; i++)
        ATI_CALLER_CHECK(sources[i], call, "one of `sources` is NULL");
}

at_future *at_future_all(at_future *const *sources, size_t count) {
    check_sources("at_future_all", sources, count);
    return build(COMBINE_ALL, sources, count);
}

at_future *at_future_all_settled(at_future *const *sources, size_t count) {
    check_sources("at_future_all_settled", sources, count);
    return build(COMBINE_ALL_SETTLED, sources, count);
}

static at_future *race(combine_kind kind, const char *call, at_future *const *sources,
                       size_t count) {
    check_sources(call, sources, count);
    if (count > 0)
        return build(kind, sources, count);
    return ati_future_failed(choose_executor(sources, count),
                             ati_error_create("", NULL, AT_ERROR_INVALID, "%s: no sources", call));
}

at_future *at_future_any(at_future *const *sources, size_t count) {
    return race(COMBINE_ANY, "at_future_any", sources, count);
}

at_future *at_future_first(at_future *const *sources, size_t count) {
    return race(COMBINE_FIRST, "at_future_first", sources, count);
}
