/* SPDX-License-Identifier: MIT */
#ifndef BENCH_INDEX_H
#define BENCH_INDEX_H

#include "content.h"

#include <asynctools/cancel.h>
#include <asynctools/log.h>

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The work of `at-bench index`, shared by the program that runs it on one thread, on the plain pool
 * and on the library: they differ in who calls index_list and index_read, and nothing else. */

enum {
    INDEX_PARTITIONS = 16, /* of the files, by hash: duplicates are searched in each on its own */
    INDEX_BATCH_FILES = 32,
    INDEX_PATH_BYTES = 8192,
};

/* What can be wrong with a directory entry. None of it ends the run. */
enum index_problem {
    INDEX_UNREADABLE, /* a file or directory that cannot be opened or read */
    INDEX_SPECIAL,    /* a socket, fifo or device */
    INDEX_LINK_LOOP,  /* a link that leads to itself, or to a directory around it */
    INDEX_DANGLING,   /* a link to nothing */
    INDEX_VANISHED,   /* was listed and is no longer there */
    INDEX_GREW,       /* gave more bytes than it had when it was opened */
    INDEX_SHRANK,     /* gave fewer */
    INDEX_FAILED,     /* no memory, or the pool refused the work */
    INDEX_PROBLEMS,
};

/* Names a problem as the log and the JSON result do: "unreadable". */
const char *index_problem_name(enum index_problem problem);

struct index_totals {
    uint64_t files;
    uint64_t bytes;
    uint64_t lines;
    uint64_t words;
    uint64_t directories;
    uint64_t links; /* symbolic ones, never followed */
    uint64_t empty_files;
    uint64_t problems[INDEX_PROBLEMS];
};

struct index_directory {
    struct index_run *run;
    struct index_directory *parent;
    struct index_directory *next; /* in a listing or on a stack */
    dev_t device;
    ino_t inode;
    char path[]; /* from the root of the run; "." for the root itself */
};

/* Listed by one worker and filled by another. */
struct index_file {
    struct index_file *next; /* in a listing, then in a partition */
    const struct index_directory *directory;
    uint64_t bytes;
    uint64_t hash_low;
    uint64_t hash_high;
    dev_t device; /* these two only where the file has several names */
    ino_t inode;
    char name[];
};

struct index_listing {
    struct index_file *files;
    struct index_directory *directories;
    size_t file_count;
    size_t directory_count;
};

/* Some files of a directory, to be read together. */
struct index_batch {
    struct index_batch *next; /* of its worker */
    struct index_directory *directory;
    struct index_file *first;
    size_t count;
};

struct index_chunk; /* of memory for the three above */

/* What one thread owns of a run. The progress members are its alone to write; others may read. */
struct index_worker {
    alignas(64) atomic_uint_fast64_t files_done;
    atomic_uint_fast64_t bytes_done;
    atomic_uint_fast64_t files_found;

    alignas(64) struct index_run *run;
    struct index_worker *next;
    struct index_totals totals;
    struct index_file *partitions[INDEX_PARTITIONS];
    struct index_batch *batches; /* noted, the last one first */
    size_t batch_count;
    char lost[512]; /* what the current task has lost first, or "" */
    struct index_chunk *chunks;
    size_t chunk_used;
    struct content_reader *reader;
    char *entries; /* buffer for getdents */
};

struct index_run {
    uint64_t serial; /* never used twice in a process */
    int root_descriptor;
    const char *root_path;
    at_logger *log;          /* may be NULL */
    const atomic_bool *stop; /* somebody wants the end of the program */
    void *program;           /* its own */
    at_duration timeout;     /* 0: none */
    bool is_fail_fast;       /* the first file that is lost ends the run */
    atomic_size_t batches;   /* of files, once the tree is walked; 0: not known */
    atomic_size_t batches_done;
    pthread_mutex_t lock; /* guards the list of workers while the run goes on */
    struct index_worker *_Atomic workers;
};

/* Opens `path`; gives 0 or an errno. */
int index_run_init(struct index_run *run, const char *path, at_logger *log,
                   const atomic_bool *stop);
void index_run_deinit(struct index_run *run);

/* Says whether `run` is to end before everything is read. */
bool index_is_stopped(const void *run);

/* Gives the calling thread's worker, made at its first call in this run; NULL without memory. */
struct index_worker *index_worker_get(struct index_run *run);

/* Makes the root directory; NULL without memory. */
struct index_directory *index_root(struct index_worker *worker);

/* Lists `directory`: files, subdirectories; looks at links and special files at once. Gives its
 * open descriptor (the caller closes it), or -1 with errno where it could not be opened, listed
 * wholly, or lies around itself (ELOOP). */
int index_list(struct index_worker *worker, struct index_directory *directory,
               struct index_listing *listing);

/* Reads `count` files from `first` on and puts each into its partition. */
void index_read(struct index_worker *worker, int directory_descriptor, struct index_file *first,
                size_t count);

/* Notes batches of all files of a listing; without memory it reads them at once. */
void index_add_batches(struct index_worker *worker, struct index_directory *directory,
                       struct index_listing *listing, int directory_descriptor);

/* Gives all that were noted, in an array that the caller frees, and their number; NULL without
 * memory. Nobody may note any meanwhile. */
struct index_batch *index_collect_batches(const struct index_run *run, size_t *count);

/* Opens the directory of a batch of files again; -1 with errno. */
int index_open_directory(const struct index_run *run, const struct index_directory *directory);

/* Writes the path of `name` in `directory`, or of the directory itself where `name` is NULL, cut to
 * INDEX_PATH_BYTES. */
void index_format_path(const struct index_run *run, const struct index_directory *directory,
                       const char *name, char path[]);

/* Counts a problem and writes it to the log; where a file or directory was lost by it, and this is
 * the first of the task in a run that is to fail fast, it is kept in `worker->lost`. `name` may be
 * NULL; so may `why`. */
void index_note(struct index_worker *worker, enum index_problem problem,
                const struct index_directory *directory, const char *name, const char *why);

/* Notes that a directory could not be listed because of `error`, an errno. */
void index_note_directory(struct index_worker *worker, const struct index_directory *directory,
                          int error);

/* Sums what the workers have counted. The run must have ended. */
struct index_totals index_sum(const struct index_run *run);

/* -- Duplicates ----------------------------------------------------------------------------------
 */

struct index_group {
    uint64_t bytes; /* of each file */
    size_t count;   /* of different files; several names of one file count once */
    struct index_file *const *files;
};

/* The groups of one partition, or of all. */
struct index_groups {
    struct index_group *groups; /* the most wasted bytes first */
    size_t count;
    struct index_file **files; /* storage of the groups; NULL when they are merged */
};

/* Finds the duplicates in one partition; false without memory. */
bool index_group_partition(const struct index_run *run, int partition, struct index_groups *groups);

/* Moves the groups of all partitions into one list; false without memory. */
bool index_groups_merge(const struct index_groups parts[INDEX_PARTITIONS],
                        struct index_groups *merged);
void index_groups_deinit(struct index_groups *groups);

/* -- The programs --------------------------------------------------------------------------------
 */

/* A whole run and its result. */
struct index_result {
    struct index_run run;
    struct index_totals totals;
    struct index_groups parts[INDEX_PARTITIONS];
    struct index_groups groups; /* merged */
    uint64_t read_ns;           /* walking and reading */
    uint64_t total_ns;          /* and searching duplicates */
    bool complete;              /* everything was read */
    at_cancel_reason reason;    /* why not, if the tasks were cancelled */
    char message[512];          /* why it failed, or what ended it */
};

/* Each gives 0 or an errno; the run must have been initialised. */
int index_sequential(struct index_result *result);
int index_on_plain_pool(struct index_result *result, int thread_count);
int index_on_library(struct index_result *result, int thread_count);

/* Ends what one of them has begun. */
void index_result_deinit(struct index_result *result);

#endif
