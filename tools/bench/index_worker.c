/* SPDX-License-Identifier: MIT */
#include "index_worker.h"
#include "messages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_BYTES = 64 * 1024 };

struct index_chunk {
    struct index_chunk *next;
    alignas(max_align_t) char bytes[];
};

/* The worker of this thread, and the run that it belongs to: a thread may outlive a run. */
static _Thread_local struct index_worker *own_worker;
static _Thread_local uint64_t own_run;

int index_run_init(struct index_run *run, const char *path, at_logger *log,
                   const atomic_bool *stop) {
    static atomic_uint_fast64_t last_serial;
    memset(run, 0, sizeof(*run));
    run->root_descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (run->root_descriptor < 0)
        return errno;
    run->serial = atomic_fetch_add_explicit(&last_serial, 1, memory_order_relaxed) + 1;
    run->root_path = path;
    run->log = log;
    run->stop = stop;
    pthread_mutex_init(&run->lock, NULL);
    return 0;
}

bool index_is_stopped(const void *context) {
    const struct index_run *run = context;
    return atomic_load_explicit(run->stop, memory_order_relaxed) || at_is_cancelled();
}

static void destroy_worker(struct index_worker *worker) {
    if (!worker)
        return;
    for (struct index_chunk *chunk = worker->chunks; chunk;) {
        struct index_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    content_reader_destroy(worker->reader);
    free(worker->entries);
    free(worker);
}

void index_run_deinit(struct index_run *run) {
    struct index_worker *worker = atomic_load_explicit(&run->workers, memory_order_relaxed);
    while (worker) {
        struct index_worker *next = worker->next;
        destroy_worker(worker);
        worker = next;
    }
    close(run->root_descriptor);
    pthread_mutex_destroy(&run->lock);
}

static struct index_worker *create_worker(struct index_run *run) {
    struct index_worker *worker = aligned_alloc(alignof(struct index_worker), sizeof(*worker));
    if (!worker)
        return NULL;
    memset(worker, 0, sizeof(*worker));
    worker->run = run;
    worker->reader = content_reader_create();
    worker->entries = malloc(INDEX_ENTRIES_BYTES);
    if (!worker->reader || !worker->entries) {
        destroy_worker(worker);
        return NULL;
    }
    pthread_mutex_lock(&run->lock);
    worker->next = atomic_load_explicit(&run->workers, memory_order_relaxed);
    /* Release: whoever reads the progress of all workers finds this one initialised. */
    atomic_store_explicit(&run->workers, worker, memory_order_release);
    pthread_mutex_unlock(&run->lock);
    own_worker = worker;
    own_run = run->serial;
    return worker;
}

struct index_worker *index_worker_get(struct index_run *run) {
    return own_run == run->serial ? own_worker : create_worker(run);
}

void *index_allocate(struct index_worker *worker, size_t bytes) {
    size_t alignment = alignof(max_align_t);
    bytes = (bytes + alignment - 1) & ~(alignment - 1);
    if (!worker->chunks || CHUNK_BYTES - worker->chunk_used < bytes) {
        struct index_chunk *chunk = malloc(sizeof(*chunk) + CHUNK_BYTES);
        if (!chunk)
            return NULL;
        chunk->next = worker->chunks;
        worker->chunks = chunk;
        worker->chunk_used = 0;
    }
    void *memory = worker->chunks->bytes + worker->chunk_used;
    worker->chunk_used += bytes;
    return memory;
}

/* The events of the log; without their "index." they are the names in the result. */
static const char *const problem_events[INDEX_PROBLEMS] = {
    [INDEX_UNREADABLE] = "index.unreadable", [INDEX_SPECIAL] = "index.special",
    [INDEX_LINK_LOOP] = "index.link_loop",   [INDEX_DANGLING] = "index.dangling_link",
    [INDEX_VANISHED] = "index.vanished",     [INDEX_GREW] = "index.grew",
    [INDEX_SHRANK] = "index.shrank",         [INDEX_FAILED] = "index.failed",
};

const char *index_problem_name(enum index_problem problem) {
    return problem_events[problem] + strlen("index.");
}

void index_format_path(const struct index_run *run, const struct index_directory *directory,
                       const char *name, char path[]) {
    size_t length = strlen(run->root_path);
    bool is_root = !directory->parent;
    snprintf(path, INDEX_PATH_BYTES, "%s%s%s%s%s", run->root_path,
             length > 0 && run->root_path[length - 1] == '/' ? "" : "/",
             is_root ? "" : directory->path, name && !is_root ? "/" : "", name ? name : "");
}

/* What there was to be read and was not. */
static bool is_loss(enum index_problem problem) {
    return problem == INDEX_UNREADABLE || problem == INDEX_VANISHED || problem == INDEX_FAILED;
}

void index_note(struct index_worker *worker, enum index_problem problem,
                const struct index_directory *directory, const char *name, const char *why) {
    struct index_run *run = worker->run;
    bool is_first_loss = run->is_fail_fast && is_loss(problem) && !worker->lost[0];
    worker->totals.problems[problem]++;
    if (!run->log && !is_first_loss)
        return;
    char path[INDEX_PATH_BYTES];
    index_format_path(run, directory, name, path);
    if (is_first_loss)
        snprintf(worker->lost, sizeof(worker->lost), "%s: %.300s%s%s", index_problem_name(problem),
                 path, why ? ": " : "", why ? why : "");
    if (!run->log)
        return;
    if (why)
        at_log_warn(run->log, problem_events[problem], at_kv("path", (const char *)path),
                    at_kv("why", why));
    else
        at_log_warn(run->log, problem_events[problem], at_kv("path", (const char *)path));
}

void index_note_directory(struct index_worker *worker, const struct index_directory *directory,
                          int error) {
    if (error == ELOOP || error == ENOTDIR)
        index_note(worker, INDEX_LINK_LOOP, directory, NULL, "directory inside itself");
    else if (error == ENOENT)
        index_note(worker, INDEX_VANISHED, directory, NULL, describe_errno(error));
    else
        index_note(worker, error == ENOMEM ? INDEX_FAILED : INDEX_UNREADABLE, directory, NULL,
                   describe_errno(error));
}

struct index_totals index_sum(const struct index_run *run) {
    struct index_totals sum = {0};
    const struct index_worker *worker = atomic_load_explicit(&run->workers, memory_order_relaxed);
    for (; worker; worker = worker->next) {
        const struct index_totals *totals = &worker->totals;
        sum.files += totals->files;
        sum.bytes += totals->bytes;
        sum.lines += totals->lines;
        sum.words += totals->words;
        sum.directories += totals->directories;
        sum.links += totals->links;
        sum.empty_files += totals->empty_files;
        for (int i = 0; i < INDEX_PROBLEMS; i++)
            sum.problems[i] += totals->problems[i];
    }
    return sum;
}
