/* SPDX-License-Identifier: MIT */
#include "content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum {
    BUFFER_BYTES = 256 * 1024,
    BUFFER_FRONT = 64, /* room for text[-1], keeping the text itself aligned */
    BLOCK_BYTES = 16,
    MAX_BLOCKS = 255,         /* as many as an 8-bit lane can count */
    MAX_GROWTH = 1024 * 1024, /* bytes read past the expected size */
};

/* 16 bytes at once; the compiler turns this into SSE2, NEON or plain code. */
typedef unsigned char block __attribute__((vector_size(BLOCK_BYTES)));

struct content_reader {
    unsigned char *buffer;
    XXH3_state_t *state;
};

struct content_reader *content_reader_create(void) {
    struct content_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return NULL;
    reader->buffer = aligned_alloc(BUFFER_FRONT, BUFFER_FRONT + BUFFER_BYTES);
    reader->state = XXH3_createState();
    if (!reader->buffer || !reader->state) {
        content_reader_destroy(reader);
        return NULL;
    }
    return reader;
}

void content_reader_destroy(struct content_reader *reader) {
    if (!reader)
        return;
    XXH3_freeState(reader->state);
    free(reader->buffer);
    free(reader);
}

static inline bool is_space(unsigned char byte) {
    return byte == ' ' || (unsigned char)(byte - '\t') < 5;
}

static inline block load_block(const unsigned char *from) {
    block loaded;
    memcpy(&loaded, from, sizeof(loaded));
    return loaded;
}

static inline block find_spaces(block bytes) {
    return (block)(bytes == (unsigned char)' ') | (block)((bytes - (unsigned char)'\t') < 5);
}

static uint64_t sum_lanes(block lanes) {
    uint64_t sum = 0;
    for (int i = 0; i < BLOCK_BYTES; i++)
        sum += lanes[i];
    return sum;
}

void content_count(const unsigned char *text, size_t length, struct content *content) {
    uint64_t lines = 0, words = 0;
    size_t at = 0;
    while (length - at >= BLOCK_BYTES) {
        size_t blocks = (length - at) / BLOCK_BYTES;
        if (blocks > MAX_BLOCKS)
            blocks = MAX_BLOCKS;
        /* A comparison gives 255 in each lane where it holds: subtracting that adds one. */
        block newlines = {0}, starts = {0};
        for (size_t i = 0; i < blocks; i++, at += BLOCK_BYTES) {
            block bytes = load_block(text + at);
            newlines -= (block)(bytes == (unsigned char)'\n');
            starts -= find_spaces(load_block(text + at - 1)) & ~find_spaces(bytes);
        }
        lines += sum_lanes(newlines);
        words += sum_lanes(starts);
    }
    for (; at < length; at++) {
        lines += text[at] == '\n';
        words += is_space(text[at - 1]) && !is_space(text[at]);
    }
    content->lines += lines;
    content->words += words;
}

/* Reads until `wanted` bytes are there or the file ends, as a read may give less than asked for. */
static ssize_t read_block(int descriptor, unsigned char *buffer, size_t wanted) {
    for (;;) {
        ssize_t got = read(descriptor, buffer, wanted);
        if (got >= 0 || errno != EINTR)
            return got;
    }
}

static void set_hash(struct content *content, XXH128_hash_t hash) {
    content->hash_low = hash.low64;
    content->hash_high = hash.high64;
}

/* Goes on after a first block that was not the last. */
static int read_rest(struct content_reader *reader, int descriptor, uint64_t max_bytes,
                     content_stop_fn is_stopped, const void *context, struct content *content) {
    unsigned char *text = reader->buffer + BUFFER_FRONT;
    size_t length = content->bytes;
    XXH3_128bits_reset(reader->state);
    for (;;) {
        XXH3_128bits_update(reader->state, text, length);
        if (content->bytes >= max_bytes || is_stopped(context))
            break;
        text[-1] = text[length - 1];
        ssize_t got = read_block(descriptor, text, BUFFER_BYTES);
        if (got < 0)
            return errno;
        if (got == 0)
            break;
        length = (size_t)got;
        content->bytes += length;
        content_count(text, length, content);
    }
    set_hash(content, XXH3_128bits_digest(reader->state));
    return 0;
}

int content_read(struct content_reader *reader, int descriptor, uint64_t expected_bytes,
                 content_stop_fn is_stopped, const void *context, struct content *content) {
    unsigned char *text = reader->buffer + BUFFER_FRONT;
    memset(content, 0, sizeof(*content));
    text[-1] = ' ';
    ssize_t got = read_block(descriptor, text, BUFFER_BYTES);
    if (got < 0)
        return errno;
    content->bytes = (uint64_t)got;
    content_count(text, (size_t)got, content);
    /* A short read of a regular file is its end, but not where the file had no size to begin with:
     * those under /proc are made while they are read. */
    if (got == 0 || (got < BUFFER_BYTES && expected_bytes > 0)) {
        set_hash(content, XXH3_128bits(text, (size_t)got));
        return 0;
    }
    return read_rest(reader, descriptor, expected_bytes + MAX_GROWTH, is_stopped, context, content);
}
