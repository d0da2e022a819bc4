/* SPDX-License-Identifier: MIT */
#include "support/random_work.h"

#include "support/random_node.h"

enum { depth_limit = 5, fan_limit = 6, key_count = 10 };

static void grow(struct node *node);

/* -- Groups -- */

static void start_children(struct node *node, at_task_manager *manager) {
    for (int i = up_to(&node->seed, fan_limit); i >= 0; i--) {
        at_task_options task = task_of(make_node(node, grow));
        if (up_to(&node->seed, 3) == 0) {
            end_future(node, at_task_manager_submit_with(manager, &task));
        } else {
            at_status status = at_task_manager_start_with(manager, &task);
            allow(status);
            if (status != AT_OK)
                drop_node(task.argument);
        }
    }
}

static void use_manager(struct node *node) {
    at_task_manager *manager;
    at_task_manager_options options = {.max_concurrent = up_to(&node->seed, 4),
                                       .policy = (at_task_manager_policy)up_to(&node->seed, 3),
                                       .no_outcomes = up_to(&node->seed, 2)};
    if (at_task_manager_create(&manager, random_work.pool, &options) != AT_OK)
        return expect(false);
    start_children(node, manager);
    at_status status = AT_ERROR_TIMED_OUT;
    switch (up_to(&node->seed, 4)) {
    case 0:
        (void)at_task_manager_cancel(manager);
        break;
    case 1:
        status = at_task_manager_join(manager, at_after(short_while(&node->seed)));
        break;
    default:
        break;
    }
    if (status == AT_ERROR_TIMED_OUT)
        status = at_task_manager_join(manager, AT_FOREVER);
    allow(status);
    at_task_manager_counts counts;
    at_task_manager_count(manager, &counts);
    expect(counts.started == counts.succeeded + counts.failed + counts.cancelled);
    if (!options.no_outcomes && counts.started > 0) {
        at_outcome outcomes[2 * fan_limit];
        allow(at_task_manager_gather(manager, outcomes, counts.started));
        check_outcomes(outcomes, counts.started);
    }
    at_task_manager_destroy(manager);
}

/* The items are nodes that the caller owns. */
static void *run_item(void *item) {
    struct node copy = *(struct node *)item;
    grow(&copy);
    at_error_clear();
    if (copy.seed % 13 == 0)
        return at_fail(AT_ERROR_IO, "on purpose");
    return give_value(copy.seed | 1);
}

static size_t fill_items(struct node *node, struct node *items) {
    size_t count = (size_t)up_to(&node->seed, fan_limit);
    for (size_t i = 0; i < count; i++)
        items[i] = (struct node){.seed = next(&node->seed), .depth = node->depth + 1};
    return count;
}

static void use_gather(struct node *node) {
    struct node items[fan_limit];
    at_outcome outcomes[fan_limit];
    size_t count = fill_items(node, items);
    at_gather_options options = {.limit = up_to(&node->seed, 3),
                                 .policy = (at_task_manager_policy)up_to(&node->seed, 3)};
    allow(at_gather(random_work.pool, run_item, AT_ITEMS(items, count), outcomes, &options));
    check_outcomes(outcomes, count);
}

struct progress {
    size_t last;
};

static void see_progress(size_t completed, size_t total, void *context) {
    struct progress *progress = context;
    expect(completed > progress->last || total == 0);
    progress->last = completed;
}

static void use_map(struct node *node) {
    struct node items[fan_limit];
    at_outcome outcomes[fan_limit];
    size_t count = fill_items(node, items);
    struct progress progress = {0};
    at_concurrent_executor *executor;
    at_concurrent_executor_options limit = {.max_workers = up_to(&node->seed, 4)};
    at_map_options options = {
        .on_progress = see_progress, .context = &progress, .fail_fast = up_to(&node->seed, 2)};
    if (at_concurrent_executor_create(&executor, random_work.pool, &limit) != AT_OK)
        return expect(false);
    allow(
        at_concurrent_executor_map(executor, run_item, AT_ITEMS(items, count), outcomes, &options));
    expect(progress.last == count);
    check_outcomes(outcomes, count);
    at_concurrent_executor_destroy(executor);
}

static void use_task_pool(struct node *node) {
    at_task_pool *workers;
    at_task_pool_options options = {.pool_size = 1 + up_to(&node->seed, 2),
                                    .queue_size = 1 + up_to(&node->seed, 2),
                                    .when_full = (at_task_pool_policy)up_to(&node->seed, 5),
                                    .expiry = up_to(&node->seed, 2) ? short_while(&node->seed) : 0};
    if (at_task_pool_create(&workers, random_work.pool, &options) != AT_OK)
        return expect(false);
    for (int i = up_to(&node->seed, fan_limit); i >= 0; i--) {
        at_task_options task = task_of(make_node(node, grow));
        at_status status = at_task_pool_submit_with(workers, &task);
        allow(status);
        if (status != AT_OK)
            drop_node(task.argument);
    }
    at_outcome *outcomes;
    size_t count;
    at_status status = at_task_pool_gather_results(workers, &outcomes, &count);
    allow(status);
    for (size_t i = 0; status == AT_OK && i < count; i++)
        allow(outcomes[i].status);
    if (status == AT_OK)
        at_task_pool_results_release(outcomes, count);
    at_task_pool_destroy(workers);
}

/* -- Orders -- */

static void use_strand(struct node *node) {
    at_strand *strand;
    at_future *futures[fan_limit];
    if (at_strand_create(&strand, random_work.pool, NULL) != AT_OK)
        return expect(false);
    int count = up_to(&node->seed, fan_limit);
    for (int i = 0; i < count; i++) {
        at_task_options task = task_of(make_node(node, i % 2 ? grow : leaf));
        futures[i] = at_executor_submit_with(at_strand_executor(strand), &task);
    }
    at_strand_destroy(strand);
    for (int i = 0; i < count; i++)
        end_future(node, futures[i]);
}

/* Under a key that other nodes use too, nobody waits for others. */
static void use_keyed_executor(struct node *node) {
    at_future *futures[fan_limit];
    int count = up_to(&node->seed, fan_limit);
    for (int i = 0; i < count; i++) {
        int key = up_to(&node->seed, key_count);
        at_task_options task = task_of(make_node(node, leaf));
        futures[i] = at_keyed_executor_submit_with(random_work.keyed, &key, sizeof key, &task);
    }
    for (int i = 0; i < count; i++)
        end_future(node, futures[i]);
}

static void *turn(int64_t index, void *context) {
    struct node *node = context;
    struct node copy = {.seed = node->seed + (uint64_t)index, .depth = depth_limit};
    grow(&copy);
    return copy.seed % 50 == 0 ? at_fail(AT_ERROR_IO, "on purpose") : NULL;
}

static void use_loop(struct node *node) {
    at_parallel_options options = {.grain = up_to(&node->seed, 3)};
    allow(at_parallel_for(random_work.pool, 0, 1 + up_to(&node->seed, 20), turn, node, &options));
}

/* -- Futures -- */

static void *pass_value(void *value, void *context) {
    (void)context;
    expect(!value || *(uint64_t *)value != 0);
    return give_value(7);
}

static void *replace_error(const at_error *error, void *context) {
    (void)context;
    allow(at_error_status(error));
    return NULL;
}

static void clean_up(const at_outcome *outcome, void *context) {
    (void)context;
    allow(outcome->status);
    at_deadline grace = at_after(AT_SECONDS(4)); /* in which nothing cancels it; 1 s to begin */
    at_status status = at_sleep(AT_MICROSECONDS(5));
    expect(status == AT_OK || at_after(0) > grace);
}

static at_future *finally(at_future *source) {
    at_continuation_options options = {.executor = at_pool_executor(random_work.pool)};
    return at_future_finally_with(source, clean_up, &options);
}

static void *go_on(void *argument) {
    struct node *node = argument;
    at_future *next_future = submit(node, leaf);
    drop_node(node);
    return at_return_future(next_future);
}

static void set_promise(struct node *node) {
    at_future *future;
    at_promise *promise = NULL;
    if (at_promise_create(&promise, at_pool_executor(random_work.pool)) != AT_OK)
        return expect(false);
    future = at_promise_future(promise);
    at_future *then = at_future_then(future, pass_value, NULL);
    if (up_to(&node->seed, 3) == 0)
        at_future_cancel(then);
    leaf(node);
    if (up_to(&node->seed, 4) != 0)
        (void)at_promise_set(promise, give_value(3), drop_value);
    at_promise_destroy(promise);
    end_future(node, then);
}

static at_future *make_future(struct node *node) {
    at_continuation_options inlined = {.executor = at_executor_inline()};
    at_continuation_options on_cancelled = {.on_cancelled = true};
    at_future *future = submit(node, grow);
    at_task_options continued = {.run = go_on, .drop = drop_node};
    switch (up_to(&node->seed, 7)) {
    case 0:
        return at_future_then(future, pass_value, NULL);
    case 1:
        return finally(future);
    case 2:
        return at_future_recover_with(future, replace_error, &on_cancelled);
    case 3:
        return at_future_with_timeout(future, at_after(short_while(&node->seed)));
    case 4:
        return at_future_then_with(at_future_then(future, pass_value, NULL), pass_value, &inlined);
    case 5:
        at_future_ignore(future);
        at_future_release(future);
        continued.argument = make_node(node, leaf);
        return at_pool_submit_with(random_work.pool, &continued);
    default:
        return future;
    }
}

static void use_futures(struct node *node) {
    at_future *sources[fan_limit], *result;
    size_t count = 1 + (size_t)up_to(&node->seed, fan_limit);
    for (size_t i = 0; i < count; i++)
        sources[i] = make_future(node);
    at_future *also = at_future_retain(sources[0]);
    switch (up_to(&node->seed, 4)) {
    case 0:
        result = at_future_all(sources, count);
        break;
    case 1:
        result = at_future_all_settled(sources, count);
        break;
    case 2:
        result = at_future_any(sources, count);
        break;
    default:
        result = at_future_first(sources, count);
    }
    at_future *then = finally(at_future_retain(result));
    at_future_ignore(result);
    at_future_release(result);
    end_future(node, then);
    end_future(node, also);
}

/* -- Cancellation -- */

static void use_timeout(struct node *node) {
    AT_TIMEOUT(scope, short_while(&node->seed)) {
        struct node inner = {.seed = next(&node->seed), .depth = node->depth + 1};
        grow(&inner);
        end_future(node, submit(node, sleep_until_cancelled));
    }
}

static void use_shield(struct node *node) {
    AT_SHIELD(scope, 0) {
        struct node inner = {.seed = next(&node->seed), .depth = node->depth + 1};
        grow(&inner);
    }
}

static void *cancel_token(void *token) {
    (void)at_sleep(AT_MICROSECONDS(20));
    (void)at_token_cancel(token);
    at_token_release(token);
    return NULL;
}

static void count_call(void *calls) {
    atomic_fetch_add_explicit((_Atomic int *)calls, 1, memory_order_relaxed);
}

static void use_token(struct node *node) {
    at_token *token;
    at_cancel_callback callback;
    _Atomic int calls = 0;
    if (at_token_create(&token, NULL) != AT_OK)
        return expect(false);
    at_cancel_callback_register(&callback, token, count_call, &calls);
    at_task_options task = {
        .run = cancel_token, .argument = at_token_retain(token), .is_detached = true};
    if (at_pool_start_with(random_work.pool, &task) != AT_OK)
        at_token_release(token);
    share_token(node, token);
    AT_TIMEOUT(around, AT_SECONDS(1000))
    AT_SCOPE(scope, .token = token) {
        end_future(node, submit(node, sleep_until_cancelled));
        struct node inner = {.seed = next(&node->seed), .depth = node->depth + 1};
        grow(&inner);
    }
    at_cancel_callback_unregister(&callback);
    expect(atomic_load(&calls) <= 1);
    at_token_release(token);
}

/* -- Trees -- */

static void grow(struct node *node) {
    static void (*const ways[])(struct node *) = {
        leaf,        use_manager, use_gather,         use_map,     use_task_pool,
        use_strand,  use_loop,    use_keyed_executor, use_futures, use_futures,
        set_promise, use_timeout, use_token,          use_shield,
    };
    bool may_grow = node->depth < depth_limit &&
                    atomic_fetch_sub_explicit(&random_work.nodes_left, 1, memory_order_relaxed) > 0;
    size_t way = (size_t)up_to(&node->seed, sizeof ways / sizeof *ways);
    (may_grow ? ways[way] : leaf)(node);
}

void random_work_run(uint64_t *seed) {
    struct node root = {.seed = next(seed)};
    if (up_to(&root.seed, 2))
        grow(&root);
    else
        end_future(&root, submit(&root, grow));
}

void random_work_end(void) {
    end_sharing();
}
