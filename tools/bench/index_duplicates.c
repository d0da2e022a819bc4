/* SPDX-License-Identifier: MIT */
#include "index.h"

#include <stdlib.h>
#include <string.h>

static int compare_numbers(uint64_t left, uint64_t right) {
    return (left > right) - (left < right);
}

/* Same content side by side; within it, the names of one file side by side. */
static int compare_files(const void *left, const void *right) {
    const struct index_file *a = *(struct index_file *const *)left;
    const struct index_file *b = *(struct index_file *const *)right;
    int order = compare_numbers(a->hash_low, b->hash_low);
    if (order == 0)
        order = compare_numbers(a->hash_high, b->hash_high);
    if (order == 0)
        order = compare_numbers(a->bytes, b->bytes);
    if (order == 0)
        order = compare_numbers(a->inode, b->inode);
    if (order == 0)
        order = compare_numbers(a->device, b->device);
    if (order == 0)
        order = strcmp(a->directory->path, b->directory->path);
    return order != 0 ? order : strcmp(a->name, b->name);
}

static bool is_same_content(const struct index_file *a, const struct index_file *b) {
    return a->hash_low == b->hash_low && a->hash_high == b->hash_high && a->bytes == b->bytes;
}

static bool is_same_file(const struct index_file *a, const struct index_file *b) {
    return a->inode != 0 && a->inode == b->inode && a->device == b->device;
}

static uint64_t count_wasted(const struct index_group *group) {
    return group->bytes * (group->count - 1);
}

static int compare_groups(const void *left, const void *right) {
    const struct index_group *a = left, *b = right;
    int order = compare_numbers(count_wasted(b), count_wasted(a));
    if (order == 0)
        order = strcmp(a->files[0]->directory->path, b->files[0]->directory->path);
    return order != 0 ? order : strcmp(a->files[0]->name, b->files[0]->name);
}

/* Puts each run of equal files that starts at `files[at]` behind the ones kept so far; gives the
 * length of the run and, in `kept`, how many different files it has. */
static size_t pack_run(struct index_file **files, size_t at, size_t count, size_t to,
                       size_t *kept) {
    size_t length = 1;
    *kept = 1;
    struct index_file *last = files[at];
    files[to] = last;
    while (at + length < count && is_same_content(last, files[at + length])) {
        struct index_file *file = files[at + length++];
        if (!is_same_file(last, file))
            files[to + (*kept)++] = file;
        last = file;
    }
    return length;
}

static size_t count_partition(const struct index_run *run, int partition) {
    size_t count = 0;
    const struct index_worker *worker = atomic_load_explicit(&run->workers, memory_order_relaxed);
    for (; worker; worker = worker->next)
        for (struct index_file *file = worker->partitions[partition]; file; file = file->next)
            count++;
    return count;
}

static void fill_partition(const struct index_run *run, int partition, struct index_file **files) {
    const struct index_worker *worker = atomic_load_explicit(&run->workers, memory_order_relaxed);
    for (; worker; worker = worker->next)
        for (struct index_file *file = worker->partitions[partition]; file; file = file->next)
            *files++ = file;
}

/* Adds room for more groups, twice as many each time. */
static bool grow_groups(struct index_groups *groups, size_t *capacity) {
    if (groups->count < *capacity)
        return true;
    size_t more = *capacity == 0 ? 64 : 2 * *capacity;
    struct index_group *grown = realloc(groups->groups, more * sizeof(*grown));
    if (!grown)
        return false;
    groups->groups = grown;
    *capacity = more;
    return true;
}

bool index_group_partition(const struct index_run *run, int partition,
                           struct index_groups *groups) {
    memset(groups, 0, sizeof(*groups));
    size_t count = count_partition(run, partition);
    if (count == 0)
        return true;
    struct index_file **files = malloc(count * sizeof(*files));
    if (!files)
        return false;
    groups->files = files;
    fill_partition(run, partition, files);
    qsort(files, count, sizeof(struct index_file *), compare_files);
    size_t to = 0, capacity = 0, kept;
    for (size_t at = 0; at < count;) {
        at += pack_run(files, at, count, to, &kept);
        if (kept < 2)
            continue;
        if (!grow_groups(groups, &capacity)) {
            index_groups_deinit(groups);
            return false;
        }
        groups->groups[groups->count++] =
            (struct index_group){.bytes = files[to]->bytes, .count = kept, .files = &files[to]};
        to += kept;
    }
    return true;
}

bool index_groups_merge(const struct index_groups parts[INDEX_PARTITIONS],
                        struct index_groups *merged) {
    memset(merged, 0, sizeof(*merged));
    size_t count = 0;
    for (int i = 0; i < INDEX_PARTITIONS; i++)
        count += parts[i].count;
    if (count == 0)
        return true;
    merged->groups = malloc(count * sizeof(*merged->groups));
    if (!merged->groups)
        return false;
    for (int i = 0; i < INDEX_PARTITIONS; i++)
        for (size_t k = 0; k < parts[i].count; k++)
            merged->groups[merged->count++] = parts[i].groups[k];
    qsort(merged->groups, merged->count, sizeof(*merged->groups), compare_groups);
    return true;
}

void index_groups_deinit(struct index_groups *groups) {
    free(groups->groups);
    free(groups->files);
    memset(groups, 0, sizeof(*groups));
}
