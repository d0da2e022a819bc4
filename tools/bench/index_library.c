/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "index_worker.h"
#include "messages.h"

#include <asynctools/future.h>
#include <asynctools/pool.h>
#include <asynctools/sleep.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The job on the library. Each directory is a task whose future ends when everything below it has
 * ended: it lists the directory, submits its subdirectories and batches of its files, reads what is
 * left, and continues with the future of all that it has submitted. A directory that cannot be
 * listed fails with an error that says why; the continuation attached to it notes that error and
 * recovers, so the rest goes on. The main thread waits for the future of the root.
 *
 * All of that runs in a scope, which the timeout cancels, or, with --fail-fast, the first file that
 * is lost: tasks that have not begun then never do, and a callback tells those in the middle of a
 * file. */

struct batch_task {
    struct index_directory *directory;
    struct index_file *first;
    size_t count;
};

struct partition_task {
    struct index_result *result;
    int partition;
};

/* Fails with what an errno says. */
static void *fail(const struct index_directory *directory, int error) {
    at_status status = AT_ERROR_IO;
    if (error == ENOENT)
        status = AT_ERROR_NOT_FOUND;
    else if (error == EACCES || error == EPERM)
        status = AT_ERROR_PERMISSION;
    else if (error == ENOMEM)
        status = AT_ERROR_NO_MEMORY;
    else if (error == ELOOP || error == ENOTDIR)
        return at_fail(AT_ERROR_INVALID, "%s lies inside itself", directory->path);
    return at_fail(status, "cannot list %s: %s", directory->path, describe_errno(error));
}

static enum index_problem find_problem(at_status status) {
    switch (status) {
    case AT_ERROR_NOT_FOUND:
        return INDEX_VANISHED;
    case AT_ERROR_INVALID:
        return INDEX_LINK_LOOP;
    case AT_ERROR_PERMISSION:
    case AT_ERROR_IO:
        return INDEX_UNREADABLE;
    default:
        return INDEX_FAILED;
    }
}

/* A directory, or a batch of its files, has failed as a whole: that is noted with the text of the
 * error, and whatever waits for it goes on. */
static void *note_failure(const at_error *error, void *context) {
    const struct index_directory *directory = context;
    struct index_worker *worker = index_worker_get(directory->run);
    if (worker)
        index_note(worker, find_problem(at_error_status(error)), directory, NULL,
                   at_error_message(error));
    return NULL;
}

static void *read_batch(void *argument) {
    const struct batch_task *batch = argument;
    struct index_worker *worker = index_worker_get(batch->directory->run);
    if (!worker)
        return fail(batch->directory, ENOMEM);
    int descriptor = index_open_directory(batch->directory->run, batch->directory);
    if (descriptor < 0)
        return fail(batch->directory, errno);
    index_read(worker, descriptor, batch->first, batch->count);
    close(descriptor);
    return NULL;
}

static void *read_directory(void *argument);

static at_future *submit_directory(struct index_directory *directory) {
    at_future *future = at_pool_submit(at_pool_current(), read_directory, directory);
    return at_future_recover(future, note_failure, directory);
}

/* Gives NULL without memory for the task. */
static at_future *submit_batch(struct index_worker *worker, struct index_directory *directory,
                               struct index_file *first) {
    struct batch_task *batch = index_allocate(worker, sizeof(*batch));
    if (!batch)
        return NULL;
    *batch = (struct batch_task){directory, first, INDEX_BATCH_FILES};
    at_future *future = at_pool_submit(at_pool_current(), read_batch, batch);
    return at_future_recover(future, note_failure, directory);
}

/* Submits all but the last batch of files, which is left in the listing. Gives how many futures it
 * has written. */
static size_t submit_files(struct index_worker *worker, struct index_directory *directory,
                           struct index_listing *listing, int descriptor, at_future **futures) {
    size_t count = 0;
    while (listing->file_count > INDEX_BATCH_FILES && at_check() == AT_OK) {
        struct index_file *first = listing->files;
        for (int i = 0; i < INDEX_BATCH_FILES; i++)
            listing->files = listing->files->next;
        listing->file_count -= INDEX_BATCH_FILES;
        futures[count] = submit_batch(worker, directory, first);
        if (futures[count])
            count++;
        else
            index_read(worker, descriptor, first, INDEX_BATCH_FILES);
    }
    return count;
}

/* Gives the future of all that the listing leads to, or the failure. */
static void *read_listing(struct index_worker *worker, struct index_directory *directory,
                          struct index_listing *listing, int descriptor) {
    size_t count = 0;
    size_t limit = listing->directory_count + listing->file_count / INDEX_BATCH_FILES;
    at_future **futures = limit > 0 ? malloc(limit * sizeof(at_future *)) : NULL;
    if (limit > 0 && !futures)
        return fail(directory, ENOMEM);
    /* What was submitted when the scope is cancelled never runs. */
    for (struct index_directory *child = listing->directories, *next; child && at_check() == AT_OK;
         child = next) {
        next = child->next;
        futures[count++] = submit_directory(child);
    }
    count += submit_files(worker, directory, listing, descriptor, futures + count);
    index_read(worker, descriptor, listing->files, listing->file_count);
    void *result = count > 0 ? at_return_future(at_future_all(futures, count)) : NULL;
    free(futures);
    return result;
}

static void *read_directory(void *argument) {
    struct index_directory *directory = argument;
    struct index_listing listing;
    if (index_is_stopped(directory->run))
        return NULL;
    struct index_worker *worker = index_worker_get(directory->run);
    if (!worker)
        return fail(directory, ENOMEM);
    int descriptor = index_list(worker, directory, &listing);
    if (descriptor < 0)
        return fail(directory, errno);
    void *result = read_listing(worker, directory, &listing, descriptor);
    close(descriptor);
    return result;
}

/* The first task: it makes the root directory. */
static void *read_root(void *argument) {
    struct index_worker *worker = index_worker_get(argument);
    struct index_directory *root = worker ? index_root(worker) : NULL;
    if (!root)
        return at_fail(AT_ERROR_NO_MEMORY, "no memory to begin");
    return at_return_future(submit_directory(root));
}

static void *group_partition(void *argument) {
    const struct partition_task *task = argument;
    if (!index_group_partition(&task->result->run, task->partition,
                               &task->result->parts[task->partition]))
        return at_fail(AT_ERROR_NO_MEMORY, "no memory to search duplicates");
    return NULL;
}

static void *merge_groups(void *outcomes, void *context) {
    (void)outcomes;
    struct index_result *result = context;
    if (!index_groups_merge(result->parts, &result->groups))
        return at_fail(AT_ERROR_NO_MEMORY, "no memory for the groups of duplicates");
    return NULL;
}

/* Waits for `future` and lets it go; keeps the text of its error where it failed. */
static bool finish(struct index_result *result, at_future *future) {
    bool well = at_future_wait(future, AT_FOREVER, NULL) == AT_OK;
    if (!well)
        snprintf(result->message, sizeof(result->message), "%s",
                 at_error_message(at_future_error(future)));
    at_future_release(future);
    return well;
}

static bool group_files(at_pool *pool, struct index_result *result) {
    struct partition_task tasks[INDEX_PARTITIONS];
    at_future *futures[INDEX_PARTITIONS];
    for (int i = 0; i < INDEX_PARTITIONS; i++)
        tasks[i] = (struct partition_task){.result = result, .partition = i};
    at_pool_submit_many(pool, group_partition, AT_ITEMS(tasks, INDEX_PARTITIONS), futures);
    at_future *all = at_future_all(futures, INDEX_PARTITIONS);
    return finish(result, at_future_then(all, merge_groups, result));
}

static bool start_pool(struct index_result *result, int thread_count, at_pool **pool) {
    if (at_pool_create(pool, &(at_pool_options){.thread_count = thread_count}) == AT_OK)
        return true;
    snprintf(result->message, sizeof(result->message), "%s", at_error_message(at_error_last()));
    return false;
}

/* Called when the scope is cancelled. */
static void stop_reading(void *context) {
    struct index_run *run = context;
    atomic_store_explicit(&run->is_cancelled, true, memory_order_relaxed);
}

/* Reads the tree in a scope; false also when that was cancelled, with the reason in the result. */
static bool read_tree(at_pool *pool, struct index_result *result) {
    struct index_run *run = &result->run;
    at_cancel_callback callback = {0};
    bool well = false;
    AT_TIMEOUT(scope, run->timeout) {
        run->token = at_token_retain(at_scope_token(&scope));
        if (run->token) {
            at_cancel_callback_register(&callback, run->token, stop_reading, run);
            well = finish(result, at_pool_submit(pool, read_root, run));
            /* Once everything is read it does not matter that time is up, but a loss does. */
            at_cancel_reason reason = at_token_reason(run->token);
            if (!well || reason == AT_CANCEL_EXPLICIT)
                result->reason = reason;
        } else {
            snprintf(result->message, sizeof(result->message), "no memory to begin");
        }
    }
    at_cancel_callback_unregister(&callback);
    return well;
}

int index_on_library(struct index_result *result, int thread_count) {
    at_pool *pool;
    uint64_t start = now_ns();
    if (!start_pool(result, thread_count, &pool))
        return EAGAIN;
    bool well = read_tree(pool, result);
    result->read_ns = now_ns() - start;
    if (!well && result->reason != AT_CANCEL_NONE) {
        /* The end of the pool is that of the last task, which a cancelled wait does not tell. */
        at_pool_destroy(pool);
        result->message[0] = '\0';
        pool = NULL;
        well = start_pool(result, thread_count, &pool);
    }
    well = well && group_files(pool, result);
    result->total_ns = now_ns() - start;
    at_pool_destroy(pool);
    at_token_release(result->run.token);
    result->totals = index_sum(&result->run);
    return well ? 0 : ECANCELED;
}
