/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "index.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Lists and reads one directory; puts its subdirectories on the stack. */
static void visit_directory(struct index_worker *worker, struct index_directory *directory,
                            struct index_directory **stack) {
    struct index_listing listing;
    int descriptor = index_list(worker, directory, &listing);
    if (descriptor < 0) {
        index_note_directory(worker, directory, errno);
        return;
    }
    while (listing.directories) {
        struct index_directory *child = listing.directories;
        listing.directories = child->next;
        child->next = *stack;
        *stack = child;
    }
    index_read(worker, descriptor, listing.files, listing.file_count);
    close(descriptor);
}

static int walk_tree(struct index_run *run) {
    struct index_worker *worker = index_worker_get(run);
    struct index_directory *stack = worker ? index_root(worker) : NULL;
    if (!stack)
        return ENOMEM;
    while (stack && !index_is_stopped(run)) {
        struct index_directory *directory = stack;
        stack = directory->next;
        visit_directory(worker, directory, &stack);
    }
    return 0;
}

int index_sequential(struct index_result *result) {
    uint64_t start = now_ns();
    int error = walk_tree(&result->run);
    result->read_ns = now_ns() - start;
    for (int i = 0; i < INDEX_PARTITIONS && error == 0; i++)
        if (!index_group_partition(&result->run, i, &result->parts[i]))
            error = ENOMEM;
    if (error == 0 && !index_groups_merge(result->parts, &result->groups))
        error = ENOMEM;
    result->total_ns = now_ns() - start;
    result->totals = index_sum(&result->run);
    return error;
}

void index_result_deinit(struct index_result *result) {
    for (int i = 0; i < INDEX_PARTITIONS; i++)
        index_groups_deinit(&result->parts[i]);
    index_groups_deinit(&result->groups);
    index_run_deinit(&result->run);
}
