/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_CORE_H
#define ASYNCTOOLS_LOG_CORE_H

/* What the handles of one logger share: its rings, its thread and its sinks. docs/design/log.md has
 * the whole. */
#include "base/atomic.h"
#include "base/lock.h"
#include "log/encoder.h"
#include "log/rules.h"
#include "log/sampling.h"
#include "log/sink.h"
#include "log/stamp_clock.h"
#include "queue/byte_ring_spsc.h"

#include <asynctools/log.h>

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ATI_LOG_SINKS_MAX = 8,
    ATI_LOG_OUTPUT_SIZE = 64 * 1024, /* lines are merged into batches of this size */
};

/* A record in a ring: this head, then the bytes of the line. */
typedef struct ati_log_record {
    int64_t order; /* lines are merged by it: the time, but always more than the thread's last */
    char line[];
} ati_log_record;

/* A ring from one thread to one core, or the ring that threads share. */
typedef struct ati_log_ring {
    ati_byte_ring ring;
    uint64_t core_id;
    struct ati_log_core *core;           /* NULL: destroyed. Guarded by the registry's lock */
    struct ati_log_ring *next_of_core;   /* written before it is linked, then by the backend */
    struct ati_log_ring *next_of_thread; /* the thread's own */
    size_t size;                         /* of the ring's bytes */
    void *bytes;
    _Atomic uint32_t room_wanted;    /* futex: 1 while a thread waits for room */
    _Atomic bool thread_gone;        /* the thread has ended; set once */
    ati_counter dropped[AT_LOG_OFF]; /* by the producer; without a lock unless shared */
} ati_log_ring;

/* A ring that the merge takes lines from, and the order of its next one. */
typedef struct ati_log_source {
    int64_t order;
    ati_log_ring *ring;
} ati_log_source;

/* What the backend does, in backend_state. */
enum {
    ATI_BACKEND_AWAKE = 0,
    ATI_BACKEND_NAPPING = 1, /* for 25 ms at most: a line need not wake it */
    ATI_BACKEND_ASLEEP = 2,  /* until it is woken */
};

/* How lines leave a core. */
enum {
    ATI_LOG_BY_BACKEND = 0,
    ATI_LOG_AFTER_EXIT = 1, /* exit() has drained: callers write; the backend is there */
    ATI_LOG_FORKED = 2,     /* in a forked child: callers write; there is no backend */
};

/* What a flush waits for: as much as each sink had taken when it came. */
typedef struct ati_log_barrier {
    uint64_t taken[ATI_LOG_SINKS_MAX]; /* its `settled` then will be */
} ati_log_barrier;

typedef struct ati_log_core {
    /* Written by create, or on the way out (exit, process_fork). */
    _Atomic uint32_t mode;
    _Atomic uint64_t id;     /* no two cores ever have the same; changes with `mode` */
    uint64_t serial;         /* no two cores ever have the same */
    at_logger *root;         /* the handle that owns it */
    bool barrier_is_unequal; /* between callers' lines and the announcement of sleep */
    size_t ring_size;
    uint64_t ring_limit; /* how many rings there may be */
    ati_log_sink *sinks[ATI_LOG_SINKS_MAX];
    _Atomic uint32_t sink_count; /* grows under write_lock and the registry's lock */
    ati_log_sink *memory;        /* one of them, or NULL */
    pthread_t thread;
    _Atomic(const ati_redaction *) redaction; /* or NULL; it stays as long as the core does */
    ati_redaction *redactions;                /* all there ever were; under the registry's lock */
    _Atomic(ati_sampling *) sampling;         /* NULL: there was never any */

    /* Between callers and the backend. */
    _Alignas(ATI_CACHE_LINE) _Atomic uint32_t backend_state; /* futex */
    _Atomic uint64_t flush_wanted;  /* the last barrier that was asked for */
    _Atomic uint64_t flush_reached; /* the last one that is reached; the backend writes it */
    _Atomic uint64_t flush_failed;  /* the last one that a sink's refusal ended; the backend too */
    _Atomic uint32_t flush_changed; /* futex: counts changes of flush_reached */
    uint64_t flush_seen;            /* flush_wanted when the backend looked last; its own */
    uint64_t flush_held; /* the barrier that it is waiting for, or the last one; its own */
    ati_log_barrier flush_barrier; /* of flush_held; its own */
    _Atomic bool stopping;
    _Atomic bool reopen_wanted; /* files are to be opened anew */
    _Atomic bool report_wanted; /* at once, whenever the last one was */

    /* Rings. Linked at the front under the registry's lock, unlinked by the backend under it. */
    _Alignas(ATI_CACHE_LINE) _Atomic(ati_log_ring *) rings;
    _Atomic uint64_t ring_count; /* written under the registry's lock */
    ati_log_ring shared;
    ati_lock shared_lock; /* guards the producer's end of `shared`; nests in nothing */

    /* Counted by callers that have no ring, and what rings that are gone had counted. */
    _Atomic uint64_t dropped[AT_LOG_OFF];
    _Atomic uint64_t sampled[AT_LOG_OFF]; /* lines that were left out */

    /* The backend's; with ATI_LOG_AFTER_EXIT and ATI_LOG_FORKED the caller's that holds write_lock.
     */
    _Alignas(ATI_CACHE_LINE) ati_lock write_lock; /* guards the sinks */
    ati_counter written;
    ati_counter bytes;
    char *output; /* ATI_LOG_OUTPUT_SIZE */
    size_t output_size;
    size_t output_lines;
    ati_log_source *sources; /* the heap of the merge: ring_limit + 1 places */
    ati_line_thread backend_line;
    at_deadline next_report; /* CLOCK_MONOTONIC: not before this, unless it is wanted */
    uint64_t reported_dropped[AT_LOG_OFF];
    uint64_t reported_sampled[AT_LOG_OFF];
    bool reported_failure[ATI_LOG_SINKS_MAX];
    uint64_t reported_errors[ATI_LOG_SINKS_MAX];
    uint64_t reported_lost[ATI_LOG_SINKS_MAX];
    bool reported_end[ATI_LOG_SINKS_MAX];
    bool reported_move_failure[ATI_LOG_SINKS_MAX];
    bool reported_remove_failure[ATI_LOG_SINKS_MAX];

    /* Under the registry's lock. */
    ati_log_rules *rules; /* levels by name, or NULL */
    uint32_t holders;     /* it may not be destroyed */
    struct ati_log_core *next_core;
    struct ati_log_core *previous_core;
    bool exit_drained;
} ati_log_core;

/* -- options.c, core.c -- */

/* AT_OK, or AT_ERROR_INVALID and the error slot names the member. */
at_status ati_log_check_options(const at_logger_options *options);

/* Makes all of it but the thread: opens the sinks. AT_OK, or the error slot is filled. */
at_status ati_log_core_create(ati_log_core **core, const at_logger_options *options);

/* Starts the thread and enters the registry. On failure the core is as it was. */
at_status ati_log_core_start(ati_log_core *core, at_logger *root);

/* Leaves the registry, ends the thread when it has written everything, and takes leave of the sinks
 * and of the threads that have rings. */
void ati_log_core_stop(ati_log_core *core);

/* Frees one that was not started, or has been stopped. NULL is allowed. */
void ati_log_core_destroy(ati_log_core *core);

/* Makes `names` those of the keys whose values are not written, from now on and in all threads;
 * NULL: none. AT_OK, or the error slot is filled: for `call`, about `redacted_keys`. */
at_status ati_log_core_redact(ati_log_core *core, const char *call, const char *names);

/* Makes `rule` the one by which lines are left out, from now on and in all threads. AT_OK, or the
 * error slot is filled: for `call`, about the option that is wrong. */
at_status ati_log_core_sample(ati_log_core *core, const char *call, const ati_sampling_rule *rule);

static inline uint32_t ati_log_sink_count(const ati_log_core *core) {
    /* ORDER log_core.sink_count: acquire. Sees the sink.
     * Pairs with: release in add_sink(). If relaxed: an unwritten pointer is followed. */
    return atomic_load_explicit(&((ati_log_core *)core)->sink_count, memory_order_acquire);
}

/* -- process.c: the life of the process -- */

/* Guards the list of cores, their lists of rings, and who has gone. Never held while anything
 * waits or memory is taken. The sinks' locks nest in it around process_fork. */
extern ati_lock ati_log_registry_lock;
extern ati_log_core *ati_log_registry_first;

/* Before the first logger is made; may be called again. False: the system refused. */
bool ati_log_process_prepare(void);

uint64_t ati_log_new_id(void);

/* Adds a core to the registry, takes it out. */
void ati_log_registry_add(ati_log_core *core);
void ati_log_registry_remove(ati_log_core *core);

/* The core with this serial number, which is not destroyed until it is let go; NULL: it is not
 * there any more. NULL may be let go. */
ati_log_core *ati_log_core_hold(uint64_t serial);
void ati_log_core_let_go(ati_log_core *core);

/* From the first to the second no core leaves the registry: whoever would destroy one waits. For a
 * signal handler, which may have interrupted whoever has the lock: it is held only if it can be had
 * until `deadline`. */
void ati_log_registry_hold(at_deadline deadline);
void ati_log_registry_let_go(void);

/* Waits until what was logged before is written: AT_OK, AT_ERROR_TIMED_OUT or AT_ERROR_IO. Leaves
 * the error slot alone. `deadline` is of CLOCK_MONOTONIC. */
at_status ati_log_flush(ati_log_core *core, at_deadline deadline);

/* flush.c: the same for a thread of the program, which sinks may need for themselves: another takes
 * its place meanwhile. AT_ERROR_DEADLOCK: there is no other. */
at_status ati_log_flush_by_caller(ati_log_core *core, at_deadline deadline);

/* -- thread.c: what each thread has -- */

typedef struct ati_log_thread {
    ati_log_ring *last;  /* the ring used last, or NULL */
    ati_log_ring *rings; /* all of this thread's */
    int64_t order;       /* of the last record */
    bool busy;           /* a log call is under way */
    bool gone;           /* the thread is ending, its rings have been given up */
    bool never_waits;    /* a thread of the logger itself */
    uint32_t unwanted;   /* lines that came as far as the second test of their level */
    ati_stamp_clock clock;
    ati_line_thread line;
} ati_log_thread;

extern _Thread_local ati_log_thread ati_log_thread_current;

/* Finds or makes the calling thread's ring for `core`, whose id is `id`; gives the shared one if
 * it may not have one. */
ati_log_ring *ati_log_thread_ring(ati_log_thread *thread, ati_log_core *core, uint64_t id);

bool ati_log_ring_init(ati_log_ring *ring, size_t size); /* false: no memory */
void ati_log_ring_deinit(ati_log_ring *ring);
void ati_log_ring_destroy(ati_log_ring *ring);

/* A signal handler on this thread sees what is before it, and not what is behind. */
static inline void ati_log_compiler_barrier(void) {
    __asm__ __volatile__("" ::: "memory");
}

/* Begins what a signal handler on this thread may not see half done. False: the caller is one that
 * has interrupted such a thing, or the allocator in it. */
static inline bool ati_log_thread_enter(ati_log_thread *thread) {
    if (thread->busy)
        return false;
    thread->busy = true;
    ati_log_compiler_barrier();
    if (thread->line.length == 0)
        ati_line_thread_init(&thread->line);
    return true;
}

static inline void ati_log_thread_leave(ati_log_thread *thread) {
    ati_log_compiler_barrier();
    thread->busy = false;
}

bool ati_log_thread_prepare(void); /* once; false: the system refused */
void ati_log_thread_after_fork(void);

/* -- record.c: into a ring -- */

/* A finished line on its way into a ring, on the stack. */
typedef union ati_log_copy {
    ati_log_record record;
    char bytes[sizeof(ati_log_record) + ATI_LINE_MAX];
} ati_log_copy;

/* The order of the calling thread's next record, whose time is `time`. */
static inline int64_t ati_log_next_order(ati_log_thread *thread, int64_t time) {
    return thread->order = time > thread->order ? time : thread->order + 1;
}

/* The ring for a line of the calling thread, or NULL if callers write themselves. */
static inline ati_log_ring *ati_log_find_ring(ati_log_core *core, ati_log_thread *thread) {
    /* ORDER log_core.id: acquire. A thread that sees the new id sees the mode.
     * Pairs with: release in change_mode(). If relaxed: a line goes into a ring that nobody
     * empties any more. */
    uint64_t id = atomic_load_explicit(&core->id, memory_order_acquire);
    ati_log_ring *ring = thread->last;
    if (__builtin_expect(ring != NULL && ring->core_id == id, 1))
        return ring;
    if (atomic_load_explicit(&core->mode, memory_order_relaxed) != ATI_LOG_BY_BACKEND)
        return NULL;
    return ati_log_thread_ring(thread, core, id);
}

/* Puts a copy of a record of `size` bytes into a ring; waits for room until `deadline` (0: not at
 * all). False: there was none, and the line is counted as dropped. */
bool ati_log_put_record(ati_log_core *core, ati_log_ring *ring, const ati_log_record *record,
                        size_t size, at_log_level level, at_deadline deadline);

/* Counts a line that finds no room. `ring` may be NULL. */
void ati_log_drop(ati_log_core *core, ati_log_ring *ring, at_log_level level);

/* -- direct.c: without a ring -- */

/* Gives a finished line to the sinks, in the calling thread. False: it was dropped. */
bool ati_log_write_direct(ati_log_core *core, const char *line, size_t size, at_log_level level);

/* Gives lines to all sinks, or to all but one; the caller holds write_lock. */
void ati_log_give_to_sinks(ati_log_core *core, const ati_log_sink *but, const char *lines,
                           size_t size);

/* Opens files anew if that is wanted; the caller holds write_lock. */
void ati_log_reopen_if_wanted(ati_log_core *core);

/* Encodes and writes a line of `logger` (which may be NULL) to stderr at once. */
void ati_log_write_stderr(const at_logger *logger, const ati_context *context,
                          ati_line_thread *thread, const at_log_line *line);

/* In the child of a fork: whoever was writing to stderr is not in this process. */
void ati_log_stderr_after_fork(void);

/* -- backend.c, merge.c, report.c: the thread of its own -- */

void *ati_log_backend_run(void *core);

/* Wakes the backend if it sleeps; also when it only naps, if `napping_too`. */
void ati_log_backend_wake(ati_log_core *core, bool napping_too);

/* Takes what is in the rings now, merges it and gives it to the sinks. Gives the bytes taken; how
 * full the fullest ring was, in 1/256, goes to *fill. */
uint64_t ati_log_merge(ati_log_core *core, unsigned *fill);

/* Whether there is nothing for a merge to do. */
bool ati_log_merge_idle(ati_log_core *core);

/* Writes lines about what was dropped and about sinks that failed since the last report, if that
 * was a second ago or `wanted`. True: it did. The caller holds write_lock. */
bool ati_log_report(ati_log_core *core, bool wanted);

/* In the child of a fork, where nobody has write_lock, under the registry's lock: what there is to
 * be said of so far is said by the parent. */
void ati_log_report_after_fork(ati_log_core *core);

/* Says on stderr what a sink has lost, and what waits in it while nobody may write it any more. The
 * caller holds write_lock, or is alone. `reason` is of errno, or 0. */
void ati_log_say_lost(ati_log_core *core, const ati_log_sink *sink, int reason);

/* How many lines of a level were dropped; under the registry's lock. */
uint64_t ati_log_dropped(ati_log_core *core, at_log_level level);

#endif
