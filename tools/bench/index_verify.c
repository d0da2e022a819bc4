/* SPDX-License-Identifier: MIT */
#include "index_options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_equal(const char *what, uint64_t found, uint64_t expected) {
    if (found != expected)
        fprintf(stderr, "at-bench index: verify: %s: found %" PRIu64 ", sequentially %" PRIu64 "\n",
                what, found, expected);
    return found == expected;
}

static bool are_totals_equal(const struct index_totals *found,
                             const struct index_totals *expected) {
    bool equal = is_equal("files", found->files, expected->files);
    equal &= is_equal("bytes", found->bytes, expected->bytes);
    equal &= is_equal("lines", found->lines, expected->lines);
    equal &= is_equal("words", found->words, expected->words);
    equal &= is_equal("directories", found->directories, expected->directories);
    equal &= is_equal("links", found->links, expected->links);
    equal &= is_equal("empty files", found->empty_files, expected->empty_files);
    for (int i = 0; i < INDEX_PROBLEMS; i++)
        equal &= is_equal(index_problem_name(i), found->problems[i], expected->problems[i]);
    return equal;
}

/* The sum of a hash of each file does not depend on their order. */
static uint64_t sum_files(const struct index_run *run) {
    uint64_t sum = 0;
    const struct index_worker *worker = atomic_load_explicit(&run->workers, memory_order_relaxed);
    for (; worker; worker = worker->next)
        for (int i = 0; i < INDEX_PARTITIONS; i++)
            for (struct index_file *file = worker->partitions[i]; file; file = file->next)
                sum +=
                    (file->hash_low ^ (file->bytes * 0x9e3779b97f4a7c15u)) * 31 + file->hash_high;
    return sum;
}

static bool are_groups_equal(const struct index_groups *found,
                             const struct index_groups *expected) {
    if (!is_equal("groups of duplicates", found->count, expected->count))
        return false;
    for (size_t i = 0; i < found->count; i++) {
        const struct index_group *left = &found->groups[i], *right = &expected->groups[i];
        if (!is_equal("files of a group", left->count, right->count) ||
            !is_equal("bytes of a group", left->bytes, right->bytes))
            return false;
        for (size_t k = 0; k < left->count; k++)
            if (strcmp(left->files[k]->name, right->files[k]->name) != 0 ||
                strcmp(left->files[k]->directory->path, right->files[k]->directory->path) != 0) {
                fprintf(stderr, "at-bench index: verify: a group has %s/%s, sequentially %s/%s\n",
                        left->files[k]->directory->path, left->files[k]->name,
                        right->files[k]->directory->path, right->files[k]->name);
                return false;
            }
    }
    return true;
}

int index_verify(const struct index_result *found, const atomic_bool *stop) {
    struct index_result again;
    memset(&again, 0, sizeof(again));
    if (index_run_init(&again.run, found->run.root_path, NULL, stop) != 0)
        return -1;
    bool equal = index_sequential(&again) == 0;
    equal = equal && !atomic_load_explicit(stop, memory_order_relaxed);
    equal = equal && are_totals_equal(&found->totals, &again.totals);
    equal =
        equal && is_equal("the sum of all hashes", sum_files(&found->run), sum_files(&again.run));
    equal = equal && are_groups_equal(&found->groups, &again.groups);
    index_result_deinit(&again);
    return equal ? 0 : -1;
}
