/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "index_worker.h"

#include <asynctools/concurrent_executor.h>
#include <asynctools/pool.h>
#include <asynctools/sleep.h>
#include <asynctools/task_manager.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The job on the library. First the tree is walked: each directory is a child of a task manager,
 * which lists it, starts its subdirectories as further children, and notes batches of its files.
 * Then a map reads the batches, whose number is known by then, so that its progress is that of the
 * job. A last map searches duplicates.
 *
 * All of that runs in a scope, which the timeout cancels. With --fail-fast a task that has lost
 * something fails with that, which is the end of the others: the manager's policy is that all
 * succeed, and the map is told to. */

struct library_index {
    struct index_result *result;
    at_pool *pool;
    at_task_manager *walk;
    at_concurrent_executor *executor;
};

struct partition_task {
    struct index_result *result;
    int partition;
};

static void *fail_without_memory(void) {
    return at_fail(AT_ERROR_NO_MEMORY, "no memory for a worker");
}

/* What a task returns that may have lost something, or have stopped because it was cancelled. The
 * worker is others' from here on: at_check may give way to them. */
static void *end_task(struct index_worker *worker) {
    if (worker->lost[0])
        return at_fail(AT_ERROR_IO, "%s", worker->lost);
    AT_TRY(at_check());
    return NULL;
}

/* -- Walking -- */

static void *list_directory(void *argument);

static void start_directory(struct index_worker *worker, struct index_directory *directory) {
    const struct library_index *index = worker->run->program;
    if (at_task_manager_start(index->walk, list_directory, directory) != AT_OK)
        index_note(worker, INDEX_FAILED, directory, NULL, at_error_message(at_error_last()));
}

static void *list_directory(void *argument) {
    struct index_directory *directory = argument;
    struct index_listing listing;
    struct index_worker *worker = index_worker_get(directory->run);
    if (!worker)
        return fail_without_memory();
    worker->lost[0] = '\0';
    if (index_is_stopped(directory->run))
        return end_task(worker);
    int descriptor = index_list(worker, directory, &listing);
    if (descriptor < 0) {
        index_note_directory(worker, directory, errno);
        return end_task(worker);
    }
    for (struct index_directory *child = listing.directories, *next; child; child = next) {
        next = child->next;
        start_directory(worker, child);
    }
    index_add_batches(worker, directory, &listing, descriptor);
    close(descriptor);
    return end_task(worker);
}

static void *list_root(void *argument) {
    struct index_worker *worker = index_worker_get(argument);
    struct index_directory *root = worker ? index_root(worker) : NULL;
    return root ? list_directory(root) : fail_without_memory();
}

static at_status walk_tree(struct library_index *index) {
    struct index_run *run = &index->result->run;
    at_task_manager_options options = {.name = "walk", .no_outcomes = true};
    AT_TRY_STATUS(at_task_manager_create(&index->walk, index->pool, &options));
    at_status status = at_task_manager_start(index->walk, list_root, run);
    if (status == AT_OK)
        status = at_task_manager_join(index->walk, AT_FOREVER);
    at_task_manager_destroy(index->walk);
    return status;
}

/* -- Reading -- */

static void *read_batch(void *argument) {
    const struct index_batch *batch = argument;
    struct index_worker *worker = index_worker_get(batch->directory->run);
    if (!worker)
        return fail_without_memory();
    worker->lost[0] = '\0';
    int descriptor = index_open_directory(worker->run, batch->directory);
    if (descriptor >= 0) {
        index_read(worker, descriptor, batch->first, batch->count);
        close(descriptor);
    } else {
        index_note_directory(worker, batch->directory, errno);
    }
    return end_task(worker);
}

static void note_progress(size_t completed, size_t total, void *context) {
    struct index_run *run = context;
    atomic_store_explicit(&run->batches_done, completed, memory_order_relaxed);
    atomic_store_explicit(&run->batches, total, memory_order_relaxed);
}

static at_status read_batches(const struct library_index *index) {
    struct index_run *run = &index->result->run;
    size_t count;
    struct index_batch *batches = index_collect_batches(run, &count);
    if (!batches)
        return at_fail_status(AT_ERROR_NO_MEMORY, "no memory for a list of %zu batches", count);
    at_map_options options = {.on_progress = note_progress,
                              .context = run,
                              .progress_logger = run->log,
                              .fail_fast = run->is_fail_fast};
    at_status status = at_concurrent_executor_map(index->executor, read_batch,
                                                  AT_ITEMS(batches, count), NULL, &options);
    free(batches);
    return status;
}

/* -- Duplicates -- */

static void *group_partition(void *argument) {
    const struct partition_task *task = argument;
    if (!index_group_partition(&task->result->run, task->partition,
                               &task->result->parts[task->partition]))
        return at_fail(AT_ERROR_NO_MEMORY, "no memory to search duplicates");
    return NULL;
}

static at_status group_files(const struct library_index *index) {
    struct index_result *result = index->result;
    struct partition_task tasks[INDEX_PARTITIONS];
    for (int i = 0; i < INDEX_PARTITIONS; i++)
        tasks[i] = (struct partition_task){.result = result, .partition = i};
    at_status status = at_concurrent_executor_map(index->executor, group_partition,
                                                  AT_ITEMS(tasks, INDEX_PARTITIONS), NULL, NULL);
    if (status != AT_OK)
        return status;
    if (!index_groups_merge(result->parts, &result->groups))
        return at_fail_status(AT_ERROR_NO_MEMORY, "no memory for the groups of duplicates");
    return AT_OK;
}

/* -- The run -- */

/* Keeps why the reading has ended early. False: not because somebody wanted it. */
static bool note_end(struct index_result *result, at_status status) {
    if (status == AT_ERROR_TIMED_OUT || status == AT_ERROR_CANCELLED) {
        result->reason = AT_CANCEL_DEADLINE;
    } else if (status == AT_ERROR_IO && result->run.is_fail_fast) {
        result->reason = AT_CANCEL_SIBLING;
        snprintf(result->message, sizeof(result->message), "%s", at_error_text(at_error_last()));
        if (result->run.log)
            at_log_error(result->run.log, "index.stopped", at_kv_error(at_error_last()));
    }
    return result->reason != AT_CANCEL_NONE;
}

static at_status read_tree(struct library_index *index) {
    struct index_run *run = &index->result->run;
    at_status status = AT_OK;
    AT_TIMEOUT(scope, run->timeout) {
        status = walk_tree(index);
        if (status == AT_OK)
            status = read_batches(index);
    }
    return status == AT_OK || note_end(index->result, status) ? AT_OK : status;
}

static at_status run_on_pool(struct library_index *index, uint64_t start) {
    AT_TRY_STATUS(at_concurrent_executor_create(&index->executor, index->pool, NULL));
    at_status status = read_tree(index);
    index->result->read_ns = now_ns() - start;
    if (status == AT_OK)
        status = group_files(index);
    index->result->total_ns = now_ns() - start;
    at_concurrent_executor_destroy(index->executor);
    return status;
}

int index_on_library(struct index_result *result, int thread_count) {
    struct library_index index = {.result = result};
    uint64_t start = now_ns();
    result->run.program = &index;
    at_status status =
        at_pool_create(&index.pool, &(at_pool_options){.thread_count = thread_count});
    if (status == AT_OK) {
        status = run_on_pool(&index, start);
        at_pool_destroy(index.pool);
    }
    result->totals = index_sum(&result->run);
    if (status == AT_OK)
        return 0;
    snprintf(result->message, sizeof(result->message), "%s", at_error_message(at_error_last()));
    return ECANCELED;
}
