/* SPDX-License-Identifier: MIT */
/* Every number is written by one thread, or under a short lock, and added up here. In the child of
 * a fork such a lock may be held for ever, so nothing is read there. */
#include "pool/statistics.h"

#include "base/check.h"
#include "base/error.h"
#include "pool/pool.h"

#include <asynctools/pool_statistics.h>

/* -- Counts -- */

static void add_worker(at_pool_statistics *result, const ati_worker *worker) {
    const ati_worker_counts *counts = &worker->counts;
    result->executed += ati_counter_read(&counts->succeeded) + ati_counter_read(&counts->failed) +
                        ati_counter_read(&counts->cancelled);
    result->stolen += ati_counter_read(&counts->stolen);
    result->sleeps += ati_counter_read(&counts->sleeps);
    result->wakes += ati_counter_read(&counts->wakes);
    result->suspended += ati_counter_read(&worker->suspended_count);
    result->max_suspended += ati_counter_read(&counts->max_suspended);
    result->resumed += ati_counter_read(&counts->resumed);
    result->forks_shared +=
        ati_counter_read(&worker->forks.shared) + ati_counter_read(&worker->forks.forced);
    result->forks_taken += ati_counter_read(&worker->forks.taken);
}

static void add_timers(at_pool_statistics *result, ati_timers *timers) {
    ati_lock_acquire(&timers->lock);
    result->timers_set = timers->set_count;
    result->timers_fired = timers->fired_count;
    result->timers = ati_timers_count(timers);
    ati_lock_release(&timers->lock);
}

static void add_threads(at_pool_statistics *result, at_pool *pool) {
    ati_lock_acquire(&pool->spares_lock);
    result->spares = pool->spare_count;
    result->max_spares = pool->max_spare_count;
    ati_lock_release(&pool->spares_lock);
    ati_lock_acquire(&pool->blocking.lock);
    result->blocking = pool->blocking.thread_count;
    result->blocking_calls = pool->blocking.call_count;
    result->blocking_queue = pool->blocking.queued_count;
    ati_lock_release(&pool->blocking.lock);
}

static void read_counts(at_pool *pool, at_pool_statistics *result) {
    uint32_t count = ati_pool_worker_count(pool);
    for (uint32_t i = 0; i < count; i++)
        add_worker(result, pool->workers[i]);
    add_timers(result, &pool->timers);
    add_threads(result, pool);
}

/* -- Times -- */

typedef const ati_histogram *choose_fn(const ati_worker_times *times);

static const ati_histogram *choose_queue_wait(const ati_worker_times *times) {
    return &times->queue_wait;
}

static const ati_histogram *choose_run(const ati_worker_times *times) {
    return &times->run;
}

static const ati_histogram *choose_resume(const ati_worker_times *times) {
    return &times->resume;
}

static void merge(at_pool *pool, choose_fn *choose, ati_histogram_total *total) {
    *total = (ati_histogram_total){0};
    uint32_t count = ati_pool_worker_count(pool);
    for (uint32_t i = 0; i < count; i++) {
        /* ORDER worker.times: acquire. Sees that the histograms began empty.
         * Pairs with: release in times_of(). If relaxed: reads garbage. */
        const ati_worker_times *times =
            atomic_load_explicit(&pool->workers[i]->times, memory_order_acquire);
        if (times)
            ati_histogram_add(total, choose(times));
    }
}

static at_pool_times summarise(const ati_histogram_total *total) {
    return (at_pool_times){
        .count = total->count,
        .mean = total->count ? (at_duration)(total->sum / total->count) : 0,
        .median = (at_duration)ati_histogram_quantile(total, 500),
        .p90 = (at_duration)ati_histogram_quantile(total, 900),
        .p99 = (at_duration)ati_histogram_quantile(total, 990),
        .p999 = (at_duration)ati_histogram_quantile(total, 999),
        .max = (at_duration)total->max,
    };
}

void at_pool_get_statistics(at_pool *pool, at_pool_statistics *statistics) {
    ATI_CALLER_CHECK(pool && statistics, "at_pool_get_statistics",
                     "`pool` or `statistics` is NULL");
    *statistics = (at_pool_statistics){0};
    if (ati_pool_is_forked(pool))
        return;
    ati_histogram_total total;
    read_counts(pool, statistics);
    merge(pool, choose_queue_wait, &total);
    statistics->queue_wait = summarise(&total);
    merge(pool, choose_run, &total);
    statistics->run_time = summarise(&total);
    merge(pool, choose_resume, &total);
    statistics->resume_delay = summarise(&total);
}

/* -- JSON -- */

static void write_counts(const at_pool_statistics *counts, ati_json *json) {
    const struct {
        const char *key;
        uint64_t value;
    } members[] = {
        {"executed", counts->executed},
        {"stolen", counts->stolen},
        {"sleeps", counts->sleeps},
        {"wakes", counts->wakes},
        {"suspended", counts->suspended},
        {"max_suspended", counts->max_suspended},
        {"resumed", counts->resumed},
        {"timers", counts->timers},
        {"timers_set", counts->timers_set},
        {"timers_fired", counts->timers_fired},
        {"spares", counts->spares},
        {"max_spares", counts->max_spares},
        {"blocking", counts->blocking},
        {"blocking_calls", counts->blocking_calls},
        {"blocking_queue", counts->blocking_queue},
        {"forks_shared", counts->forks_shared},
        {"forks_taken", counts->forks_taken},
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        ati_json_unsigned(json, members[i].key, members[i].value);
}

static void write_buckets(const ati_histogram_total *total, ati_json *json) {
    ati_json_begin_array(json, "buckets");
    for (uint32_t i = 0; i < ATI_HISTOGRAM_BUCKETS; i++) {
        if (total->buckets[i] == 0)
            continue;
        ati_json_begin_array(json, NULL);
        ati_json_unsigned(json, NULL, ati_histogram_lowest(i));
        ati_json_unsigned(json, NULL, total->buckets[i]);
        ati_json_end_array(json);
    }
    ati_json_end_array(json);
}

static void write_times(at_pool *pool, ati_json *json, const char *key, choose_fn *choose,
                        bool with_buckets) {
    ati_histogram_total total;
    merge(pool, choose, &total);
    at_pool_times times = summarise(&total);
    ati_json_begin_object(json, key);
    ati_json_unsigned(json, "count", times.count);
    ati_json_integer(json, "mean_ns", times.mean);
    ati_json_integer(json, "median_ns", times.median);
    ati_json_integer(json, "p90_ns", times.p90);
    ati_json_integer(json, "p99_ns", times.p99);
    ati_json_integer(json, "p999_ns", times.p999);
    ati_json_integer(json, "max_ns", times.max);
    if (with_buckets)
        write_buckets(&total, json);
    ati_json_end_object(json);
}

void ati_statistics_write(at_pool *pool, ati_json *json, bool with_buckets) {
    at_pool_statistics counts = {0};
    read_counts(pool, &counts);
    write_counts(&counts, json);
    write_times(pool, json, "queue_wait", choose_queue_wait, with_buckets);
    write_times(pool, json, "run_time", choose_run, with_buckets);
    write_times(pool, json, "resume_delay", choose_resume, with_buckets);
}

at_status at_pool_get_statistics_json(at_pool *pool, char **text) {
    ATI_CALLER_CHECK(pool && text, "at_pool_get_statistics_json", "`pool` or `text` is NULL");
    if (ati_pool_is_forked(pool))
        return ati_fail(AT_ERROR_FORKED, "at_pool_get_statistics_json: the pool belongs to the "
                                         "parent of this process");
    ati_json json = {0};
    ati_json_begin_object(&json, NULL);
    ati_json_text(&json, "pool", pool->name);
    ati_statistics_write(pool, &json, true);
    ati_json_end_object(&json);
    return ati_json_finish(&json, "at_pool_get_statistics_json", text);
}
