/* SPDX-License-Identifier: MIT */
#include "log/kept.h"

#include "base/clock.h"
#include "base/memory.h"
#include "log/logger.h"

#include <errno.h>
#include <string.h>

/* Lines lie behind each other in chunks. When the next chunk would break the bound, the oldest goes
 * with all its lines.
 *
 * The locks are few and shared by all buffers, so that process_fork can hold them: a child that
 * goes on with an operation finds its buffer whole. Nothing nests in them, and no memory is taken
 * under them. */

enum {
    lock_count = 16,
    least_chunk = 2048, /* sizes of chunks, their heads included */
    most_chunk = 16 * 1024,
    write_wait_ms = 10, /* for all lines of a buffer together */
};

/* What stands before each line. */
typedef struct kept_line {
    uint64_t core_serial;
    uint32_t length;
    int32_t level;
    char bytes[];
} kept_line;

typedef struct chunk {
    struct chunk *next;
    size_t size; /* of this allocation */
    size_t used; /* of `bytes` */
    uint64_t line_count;
    _Alignas(8) char bytes[];
} chunk;

/* Where lines go. */
typedef enum state {
    STATE_KEPT,
    STATE_WRITTEN,
    STATE_FORGOTTEN,
    STATE_HANDED_ON, /* to `heir` */
} state;

struct ati_log_kept {
    ati_lock *lock; /* guards the rest */
    state state;
    at_log_level heir_level; /* from which on the heir wants them */
    ati_log_kept *heir;
    size_t bound;
    size_t size;         /* of all chunks */
    chunk *first;        /* the oldest, or NULL */
    chunk *last;         /* lines are added here */
    uint64_t lost_count; /* lines that had to go, or had no room */
};

static ati_lock locks[lock_count];
static _Atomic uint32_t next_lock;

ati_log_kept *ati_log_kept_create(size_t bytes) {
    ati_log_kept *kept = ati_allocate_zeroed(sizeof *kept);
    if (!kept)
        return NULL;
    uint32_t number = atomic_fetch_add_explicit(&next_lock, 1, memory_order_relaxed);
    kept->lock = &locks[number % lock_count];
    kept->bound = bytes;
    return kept;
}

static void free_chunks(chunk *first) {
    while (first) {
        chunk *next = first->next;
        ati_release(first, first->size);
        first = next;
    }
}

void ati_log_kept_destroy(ati_log_kept *kept) {
    if (!kept)
        return;
    free_chunks(kept->first);
    ati_release(kept, sizeof *kept);
}

/* -- Adding -- */

static size_t size_of(size_t line_length) {
    return (sizeof(kept_line) + line_length + 7) & ~(size_t)7;
}

/* NULL: no memory. */
static chunk *create_chunk(size_t size) {
    chunk *made = ati_allocate(size);
    if (!made)
        return NULL;
    memset(made, 0, sizeof *made);
    made->size = size;
    return made;
}

/* How large the next chunk is to be, for a line of `size`. Under the lock. */
static size_t next_chunk_size(const ati_log_kept *kept, size_t size) {
    size_t wanted = kept->size < least_chunk ? least_chunk : kept->size;
    if (wanted > most_chunk)
        wanted = most_chunk;
    if (wanted > kept->bound / 2)
        wanted = kept->bound / 2;
    return wanted < sizeof(chunk) + size ? sizeof(chunk) + size : wanted;
}

/* Appends a line if the last chunk has room. Under the lock. */
static bool append(ati_log_kept *kept, const kept_line *head, const char *line) {
    chunk *last = kept->last;
    size_t size = size_of(head->length);
    if (!last || last->size - sizeof *last - last->used < size)
        return false;
    kept_line *to = (kept_line *)(last->bytes + last->used);
    *to = *head;
    memcpy(to->bytes, line, head->length);
    last->used += size;
    last->line_count++;
    return true;
}

/* Puts an empty chunk behind the last; gives those that had to go. Under the lock. */
static chunk *add_chunk(ati_log_kept *kept, chunk *added) {
    chunk *gone = NULL;
    while (kept->first && kept->size + added->size > kept->bound) {
        chunk *oldest = kept->first;
        kept->first = oldest->next;
        kept->size -= oldest->size;
        kept->lost_count += oldest->line_count;
        oldest->next = gone;
        gone = oldest;
    }
    if (kept->first)
        kept->last->next = added;
    else
        kept->first = added;
    kept->last = added;
    kept->size += added->size;
    return gone;
}

/* Gives the buffer that lines for `kept` go to, locked; or NULL and what becomes of them. */
static ati_log_kept *acquire_for(ati_log_kept *kept, at_log_level level, state *fate) {
    for (;;) {
        ati_lock_acquire(kept->lock);
        *fate = kept->state;
        if (*fate == STATE_KEPT)
            return kept;
        ati_log_kept *heir = level >= kept->heir_level ? kept->heir : NULL;
        ati_lock_release(kept->lock);
        if (!heir)
            return NULL;
        kept = heir;
    }
}

/* Appends a line that needs `added` (NULL: no memory); gives the chunks that are not needed any
 * more. Under the lock. */
static chunk *append_with(ati_log_kept *kept, chunk *added, const kept_line *head,
                          const char *line) {
    if (append(kept, head, line)) /* another thread was first to add a chunk */
        return added;
    if (!added || added->size > kept->bound) {
        kept->lost_count++;
        return added;
    }
    chunk *gone = add_chunk(kept, added);
    append(kept, head, line);
    return gone;
}

/* Gives what becomes of the line. */
static state add(ati_log_kept *kept, const kept_line *head, const char *line) {
    at_log_level level = (at_log_level)head->level;
    state fate;
    ati_log_kept *open = acquire_for(kept, level, &fate);
    if (!open)
        return fate;
    bool done = append(open, head, line);
    size_t chunk_size = next_chunk_size(open, size_of(head->length));
    ati_lock_release(open->lock);
    if (done)
        return STATE_KEPT;
    chunk *added = chunk_size <= open->bound ? create_chunk(chunk_size) : NULL;
    open = acquire_for(kept, level, &fate);
    if (open) {
        added = append_with(open, added, head, line);
        ati_lock_release(open->lock);
    }
    free_chunks(added);
    return fate;
}

/* -- Taking out -- */

/* Empties it; gives what it had. */
static chunk *take_all(ati_log_kept *kept, state fate, uint64_t *lost_count) {
    ati_lock_acquire(kept->lock);
    kept->state = fate;
    chunk *first = kept->first;
    *lost_count = kept->lost_count;
    kept->first = NULL;
    kept->last = NULL;
    kept->size = 0;
    kept->lost_count = 0;
    ati_lock_release(kept->lock);
    return first;
}

/* -- Writing -- */

/* A thread that writes lines, and the core that it writes to for now. */
typedef struct writing {
    ati_log_thread *thread;
    at_deadline deadline; /* 0: does not wait for room */
    uint64_t serial;      /* of the core; 0: none */
    ati_log_core *core;   /* held; NULL: it is not there any more */
} writing;

static void go_to_core(writing *of, uint64_t serial) {
    if (of->serial == serial)
        return;
    ati_log_core_let_go(of->core);
    of->serial = serial;
    of->core = ati_log_core_hold(serial);
}

/* Writes a finished line, of at most ATI_LINE_MAX bytes. */
static void put_line(writing *of, const char *line, size_t length, at_log_level level) {
    ati_log_core *core = of->core;
    ati_log_ring *ring = ati_log_find_ring(core, of->thread);
    if (!ring) {
        ati_log_write_direct(core, line, length, level);
        return;
    }
    ati_log_copy copy;
    copy.record.order = ati_log_next_order(of->thread, ati_stamp_now());
    memcpy(copy.record.line, line, length);
    ati_log_put_record(core, ring, &copy.record, sizeof copy.record + length, level, of->deadline);
}

/* Says how many lines are missing, in front of the first that is there. */
static void say_lost(writing *of, uint64_t lost_count) {
    char bytes[ATI_LINE_MAX];
    const at_field fields[] = {at_kv_unsigned("lines", lost_count)};
    const at_log_line line = {
        .level = AT_LOG_DEBUG, .event = "log.kept_lines_lost", .fields = fields, .field_count = 1};
    ati_line_head head = ati_log_head(of->core->root, NULL, &of->thread->line, ati_stamp_now());
    put_line(of, bytes, ati_line_encode(bytes, &head, &line), AT_LOG_DEBUG);
}

static void write_chunk(writing *of, const chunk *from, uint64_t *lost_count) {
    for (size_t offset = 0; offset < from->used;) {
        const kept_line *line = (const kept_line *)(from->bytes + offset);
        offset += size_of(line->length);
        go_to_core(of, line->core_serial);
        if (!of->core)
            continue;
        if (*lost_count > 0)
            say_lost(of, *lost_count);
        *lost_count = 0;
        put_line(of, line->bytes, line->length, (at_log_level)line->level);
    }
}

static void take_and_write(ati_log_kept *kept, state fate) {
    ati_log_thread *thread = &ati_log_thread_current;
    if (!ati_log_thread_enter(thread))
        return;
    uint64_t lost_count;
    chunk *first = take_all(kept, fate, &lost_count);
    int saved_errno = errno;
    writing of = {.thread = thread};
    if (!thread->never_waits)
        of.deadline = ati_monotonic_ns() + AT_MILLISECONDS(write_wait_ms);
    for (const chunk *each = first; each; each = each->next)
        write_chunk(&of, each, &lost_count);
    ati_log_core_let_go(of.core);
    errno = saved_errno;
    ati_log_thread_leave(thread);
    free_chunks(first);
}

void ati_log_kept_write(ati_log_kept *kept) {
    take_and_write(kept, STATE_KEPT);
}

/* A line that comes when all others have been written. */
static void write_late(uint64_t core_serial, at_log_level level, const char *line, size_t length) {
    int saved_errno = errno;
    writing of = {.thread = &ati_log_thread_current};
    go_to_core(&of, core_serial);
    if (of.core)
        put_line(&of, line, length, level);
    ati_log_core_let_go(of.core);
    errno = saved_errno;
}

void ati_log_kept_add(ati_log_kept *kept, uint64_t core_serial, at_log_level level,
                      const char *line, size_t length) {
    const kept_line head = {core_serial, (uint32_t)length, (int32_t)level};
    if (add(kept, &head, line) == STATE_WRITTEN)
        write_late(core_serial, level, line, length);
}

/* -- The end of the operation -- */

void ati_log_kept_end(ati_log_kept *kept, bool is_wanted) {
    uint64_t lost_count;
    if (is_wanted)
        take_and_write(kept, STATE_WRITTEN);
    else
        free_chunks(take_all(kept, STATE_FORGOTTEN, &lost_count));
}

static void hand_on_chunk(const chunk *from, ati_log_kept *to, at_log_level lowest) {
    for (size_t offset = 0; offset < from->used;) {
        const kept_line *line = (const kept_line *)(from->bytes + offset);
        offset += size_of(line->length);
        if (line->level >= (int32_t)lowest)
            ati_log_kept_add(to, line->core_serial, (at_log_level)line->level, line->bytes,
                             line->length);
    }
}

void ati_log_kept_hand_on(ati_log_kept *kept, ati_log_kept *to, at_log_level lowest) {
    if (!ati_log_thread_enter(&ati_log_thread_current))
        return;
    kept->heir = to; /* nobody looks before the state says so */
    kept->heir_level = lowest;
    uint64_t lost_count;
    chunk *first = take_all(kept, STATE_HANDED_ON, &lost_count);
    for (const chunk *each = first; each; each = each->next)
        hand_on_chunk(each, to, lowest);
    free_chunks(first);
    state fate;
    ati_log_kept *open = acquire_for(to, lowest, &fate);
    if (open) {
        open->lost_count += lost_count;
        ati_lock_release(open->lock);
    }
    ati_log_thread_leave(&ati_log_thread_current);
}

/* -- process_fork -- */

void ati_log_kept_before_fork(void) {
    for (int i = 0; i < lock_count; i++)
        ati_lock_acquire(&locks[i]);
}

void ati_log_kept_after_fork(void) {
    for (int i = 0; i < lock_count; i++)
        ati_lock_release(&locks[i]);
}
