/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "index.h"
#include "peers/plain_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The same job as people write it on a pool of their own: one task a directory, one a batch of
 * files; nothing is returned, so errors are noted where they happen, and a pool that has nothing
 * left to do is the end. */
struct plain_index {
    struct index_run *run;
    struct plain_pool *pool;
};

struct directory_task {
    struct plain_index *index;
    struct index_directory *directory;
};

struct batch_task {
    struct plain_index *index;
    const struct index_directory *directory;
    struct index_file *first;
    size_t count;
};

struct partition_task {
    struct index_result *result;
    int partition;
    bool failed;
};

static void *run_batch(void *argument) {
    struct batch_task batch = *(struct batch_task *)argument;
    free(argument);
    struct index_worker *worker = index_worker_get(batch.index->run);
    if (!worker)
        return NULL;
    int descriptor = index_open_directory(batch.index->run, batch.directory);
    if (descriptor < 0) {
        index_note_directory(worker, batch.directory, errno);
        return NULL;
    }
    index_read(worker, descriptor, batch.first, batch.count);
    close(descriptor);
    return NULL;
}

static void *run_directory(void *argument);

static void submit_directory(struct plain_index *index, struct index_worker *worker,
                             struct index_directory *directory) {
    struct directory_task *task = malloc(sizeof(*task));
    if (task) {
        *task = (struct directory_task){.index = index, .directory = directory};
        if (plain_pool_submit(index->pool, run_directory, task) == 0)
            return;
        free(task);
    }
    index_note(worker, INDEX_FAILED, directory, NULL, "out of memory");
}

/* Gives false if the caller has to read the batch itself. */
static bool submit_batch(struct plain_index *index, const struct index_directory *directory,
                         struct index_file *first) {
    struct batch_task *task = malloc(sizeof(*task));
    if (!task)
        return false;
    *task = (struct batch_task){
        .index = index, .directory = directory, .first = first, .count = INDEX_BATCH_FILES};
    if (plain_pool_submit(index->pool, run_batch, task) == 0)
        return true;
    free(task);
    return false;
}

static void *run_directory(void *argument) {
    struct directory_task task = *(struct directory_task *)argument;
    struct index_listing listing;
    free(argument);
    struct index_worker *worker = index_worker_get(task.index->run);
    if (!worker || index_is_stopped(task.index->run))
        return NULL;
    int descriptor = index_list(worker, task.directory, &listing);
    if (descriptor < 0) {
        index_note_directory(worker, task.directory, errno);
        return NULL;
    }
    for (struct index_directory *child = listing.directories, *next; child; child = next) {
        next = child->next;
        submit_directory(task.index, worker, child);
    }
    struct index_file *first = listing.files;
    while (listing.file_count > INDEX_BATCH_FILES) {
        struct index_file *batch = first;
        for (int i = 0; i < INDEX_BATCH_FILES; i++)
            first = first->next;
        listing.file_count -= INDEX_BATCH_FILES;
        if (!submit_batch(task.index, task.directory, batch))
            index_read(worker, descriptor, batch, INDEX_BATCH_FILES);
    }
    index_read(worker, descriptor, first, listing.file_count);
    close(descriptor);
    return NULL;
}

static void *run_partition(void *argument) {
    struct partition_task *task = argument;
    task->failed = !index_group_partition(&task->result->run, task->partition,
                                          &task->result->parts[task->partition]);
    return NULL;
}

static int walk_tree(struct plain_index *index) {
    struct index_worker *worker = index_worker_get(index->run);
    struct index_directory *root = worker ? index_root(worker) : NULL;
    if (!root)
        return ENOMEM;
    submit_directory(index, worker, root);
    plain_pool_wait(index->pool);
    return 0;
}

static int group_files(struct plain_index *index, struct index_result *result) {
    struct partition_task tasks[INDEX_PARTITIONS];
    int error = 0;
    for (int i = 0; i < INDEX_PARTITIONS; i++) {
        tasks[i] = (struct partition_task){.result = result, .partition = i};
        if (plain_pool_submit(index->pool, run_partition, &tasks[i]) != 0)
            run_partition(&tasks[i]);
    }
    plain_pool_wait(index->pool);
    for (int i = 0; i < INDEX_PARTITIONS; i++)
        if (tasks[i].failed)
            error = ENOMEM;
    if (error == 0 && !index_groups_merge(result->parts, &result->groups))
        error = ENOMEM;
    return error;
}

int index_on_plain_pool(struct index_result *result, int thread_count) {
    struct plain_index index = {.run = &result->run, .pool = plain_pool_create(thread_count)};
    if (!index.pool)
        return ENOMEM;
    uint64_t start = now_ns();
    int error = walk_tree(&index);
    result->read_ns = now_ns() - start;
    if (error == 0)
        error = group_files(&index, result);
    result->total_ns = now_ns() - start;
    plain_pool_destroy(index.pool);
    result->totals = index_sum(&result->run);
    return error;
}
