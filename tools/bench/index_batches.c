/* SPDX-License-Identifier: MIT */
#include "index_worker.h"

#include <stdlib.h>

/* Takes up to a batch of files off the listing. */
static struct index_batch take_batch(struct index_directory *directory,
                                     struct index_listing *listing) {
    struct index_batch batch = {.directory = directory, .first = listing->files};
    while (batch.count < INDEX_BATCH_FILES && listing->file_count > 0) {
        listing->files = listing->files->next;
        listing->file_count--;
        batch.count++;
    }
    return batch;
}

void index_add_batches(struct index_worker *worker, struct index_directory *directory,
                       struct index_listing *listing, int descriptor) {
    while (listing->file_count > 0) {
        struct index_batch batch = take_batch(directory, listing);
        struct index_batch *kept = index_allocate(worker, sizeof(*kept));
        if (!kept) {
            index_read(worker, descriptor, batch.first, batch.count);
            continue;
        }
        *kept = batch;
        kept->next = worker->batches;
        worker->batches = kept;
        worker->batch_count++;
    }
}

struct index_batch *index_collect_batches(const struct index_run *run, size_t *count) {
    const struct index_worker *first = atomic_load_explicit(&run->workers, memory_order_relaxed);
    *count = 0;
    for (const struct index_worker *worker = first; worker; worker = worker->next)
        *count += worker->batch_count;
    struct index_batch *batches = malloc((*count + 1) * sizeof(*batches));
    size_t at = 0;
    for (const struct index_worker *worker = first; batches && worker; worker = worker->next)
        for (const struct index_batch *batch = worker->batches; batch; batch = batch->next)
            batches[at++] = *batch;
    return batches;
}
