/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "base/lock.h"
#include "base/memory.h"
#include "log/sink.h"

#include <stdint.h>
#include <string.h>

/* Keeps the last lines. The buffer grows as it fills, up to its bound; then the oldest quarter of
 * the lines makes room. */
typedef struct memory_sink {
    ati_log_sink sink;
    ati_lock lock; /* guards the rest; nests in the logger's write_lock */
    size_t bound;
    size_t room;
    size_t size;
    char *bytes;
} memory_sink;

enum { first_room = 4096 };

static bool grow(memory_sink *memory, size_t wanted) {
    size_t room = memory->room ? memory->room : first_room;
    while (room < wanted)
        room *= 2;
    char *bytes = ati_allocate(room);
    if (!bytes)
        return false;
    if (memory->size > 0)
        memcpy(bytes, memory->bytes, memory->size);
    ati_release(memory->bytes, memory->room);
    memory->bytes = bytes;
    memory->room = room;
    return true;
}

/* Drops the oldest lines until `size` more bytes stay within the bound. */
static void make_room(memory_sink *memory, size_t size) {
    size_t drop = memory->size + size - memory->bound;
    if (drop < memory->bound / 4)
        drop = memory->bound / 4;
    if (drop >= memory->size) {
        memory->size = 0;
        return;
    }
    const char *newline = memchr(memory->bytes + drop - 1, '\n', memory->size - drop + 1);
    size_t start = newline ? (size_t)(newline + 1 - memory->bytes) : memory->size;
    memory->size -= start;
    memmove(memory->bytes, memory->bytes + start, memory->size);
}

static void add_lines(memory_sink *memory, const char *lines, size_t size) {
    if (size > memory->bound) { /* only the last of them can stay */
        const char *from = lines + (size - memory->bound);
        const char *newline = memchr(from - 1, '\n', memory->bound);
        size_t start = newline ? (size_t)(newline + 1 - lines) : size;
        lines += start;
        size -= start;
    }
    if (memory->size + size > memory->bound)
        make_room(memory, size);
    if (memory->size + size > memory->room && !grow(memory, memory->size + size)) {
        ati_counter_add(&memory->sink.lost, ati_log_count_lines(lines, size));
        return;
    }
    if (size > 0)
        memcpy(memory->bytes + memory->size, lines, size);
    memory->size += size;
}

static void write_memory(ati_log_sink *sink, const char *lines, size_t size) {
    memory_sink *memory = (memory_sink *)sink;
    ati_lock_acquire(&memory->lock);
    add_lines(memory, lines, size);
    ati_lock_release(&memory->lock);
}

static void settle_memory(ati_log_sink *sink, bool now) {
    (void)sink;
    (void)now;
}

static void finish_memory(ati_log_sink *sink) {
    (void)sink;
}

static void fork_memory(ati_log_sink *sink, ati_fork_phase phase) {
    memory_sink *memory = (memory_sink *)sink;
    if (phase == ATI_FORK_PREPARE)
        ati_lock_acquire(&memory->lock);
    else
        ati_lock_release(&memory->lock);
}

static void destroy_memory(ati_log_sink *sink) {
    memory_sink *memory = (memory_sink *)sink;
    ati_release(memory->bytes, memory->room);
    ati_release(memory, sizeof *memory);
}

static const ati_log_sink_kind memory_kind = {
    .name = "memory",
    .write = write_memory,
    .settle = settle_memory,
    .finish = finish_memory,
    .fork = fork_memory,
    .destroy = destroy_memory,
};

ati_log_sink *ati_log_sink_memory_create(size_t size) {
    memory_sink *memory = ati_allocate_zeroed(sizeof *memory);
    if (!memory) {
        ati_fail(AT_ERROR_NO_MEMORY, "at_logger_create: no memory for a sink");
        return NULL;
    }
    memory->sink.kind = &memory_kind;
    memory->bound = size;
    return &memory->sink;
}

char *ati_log_sink_memory_lines(ati_log_sink *sink) {
    memory_sink *memory = (memory_sink *)sink;
    ati_lock_acquire(&memory->lock);
    char *copy = ati_allocate(memory->size + 1);
    if (copy) {
        if (memory->size > 0)
            memcpy(copy, memory->bytes, memory->size);
        copy[memory->size] = '\0';
    }
    ati_lock_release(&memory->lock);
    return copy;
}

void ati_log_sink_memory_clear(ati_log_sink *sink) {
    memory_sink *memory = (memory_sink *)sink;
    ati_lock_acquire(&memory->lock);
    memory->size = 0;
    ati_lock_release(&memory->lock);
}
