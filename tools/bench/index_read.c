/* SPDX-License-Identifier: MIT */
#include "index_worker.h"
#include "messages.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void note_open(struct index_worker *worker, const struct index_file *file, int error) {
    enum index_problem problem = INDEX_UNREADABLE;
    if (error == ENOENT || error == ELOOP)
        problem = INDEX_VANISHED;
    else if (error == ENXIO)
        problem = INDEX_SPECIAL;
    index_note(worker, problem, file->directory, file->name, describe_errno(error));
}

static void add_file(struct index_worker *worker, struct index_file *file,
                     const struct content *content) {
    struct index_totals *totals = &worker->totals;
    totals->files++;
    totals->bytes += content->bytes;
    totals->lines += content->lines;
    totals->words += content->words;
    totals->empty_files += content->bytes == 0;
    file->bytes = content->bytes;
    file->hash_low = content->hash_low;
    file->hash_high = content->hash_high;
    if (content->bytes == 0)
        return;
    struct index_file **partition = &worker->partitions[content->hash_high % INDEX_PARTITIONS];
    file->next = *partition;
    *partition = file;
}

static void read_open_file(struct index_worker *worker, int descriptor, struct index_file *file) {
    struct stat status;
    struct content content;
    if (fstat(descriptor, &status) != 0) {
        index_note(worker, INDEX_UNREADABLE, file->directory, file->name, describe_errno(errno));
        return;
    }
    if (!S_ISREG(status.st_mode)) {
        index_note(worker, INDEX_VANISHED, file->directory, file->name,
                   "is no longer a regular file");
        return;
    }
    uint64_t expected = (uint64_t)status.st_size;
    int error =
        content_read(worker->reader, descriptor, expected, index_is_stopped, worker->run, &content);
    if (error != 0) {
        index_note(worker, INDEX_UNREADABLE, file->directory, file->name, describe_errno(error));
        return;
    }
    if (content.bytes != expected) {
        if (content.bytes < expected && index_is_stopped(worker->run))
            return;
        index_note(worker, content.bytes > expected ? INDEX_GREW : INDEX_SHRANK, file->directory,
                   file->name, NULL);
    }
    bool has_names = status.st_nlink > 1;
    file->device = has_names ? status.st_dev : 0;
    file->inode = has_names ? status.st_ino : 0;
    add_file(worker, file, &content);
}

void index_read(struct index_worker *worker, int directory_descriptor, struct index_file *first,
                size_t count) {
    struct index_file *next;
    for (struct index_file *file = first; count > 0; file = next, count--) {
        if (index_is_stopped(worker->run))
            return;
        next = file->next;
        /* O_NONBLOCK: what has become a fifo since it was listed must not hold us. */
        int descriptor = openat(directory_descriptor, file->name,
                                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (descriptor >= 0) {
            read_open_file(worker, descriptor, file);
            close(descriptor);
        } else {
            note_open(worker, file, errno);
        }
        atomic_store_explicit(&worker->files_done,
                              atomic_load_explicit(&worker->files_done, memory_order_relaxed) + 1,
                              memory_order_relaxed);
        atomic_store_explicit(&worker->bytes_done, worker->totals.bytes, memory_order_relaxed);
    }
}
