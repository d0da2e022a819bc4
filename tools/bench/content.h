/* SPDX-License-Identifier: MIT */
#ifndef BENCH_CONTENT_H
#define BENCH_CONTENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is in one file. */
struct content {
    uint64_t bytes;
    uint64_t lines; /* newline bytes, as wc counts them */
    uint64_t words; /* longest runs of bytes that are not white space */
    uint64_t hash_low;
    uint64_t hash_high; /* XXH3, 128 bits, of all bytes */
};

/* A buffer and a hash state, reused from file to file. One thread at a time. */
struct content_reader;

/* Gives NULL without memory. */
struct content_reader *content_reader_create(void);
void content_reader_destroy(struct content_reader *reader);

/* Asked between two blocks of a file: whether to stop reading. */
typedef bool (*content_stop_fn)(const void *context);

/* Reads `descriptor` to its end, but not much past `expected_bytes` (its size when it was opened),
 * so that a file which grows as fast as it is read ends too; stops between two blocks once
 * `is_stopped(context)`. Gives 0 or an errno; `content` holds what was read until then, its hash
 * only on 0. */
int content_read(struct content_reader *reader, int descriptor, uint64_t expected_bytes,
                 content_stop_fn is_stopped, const void *context, struct content *content);

/* Adds the lines and words of `text` to `content`. text[-1] must be readable: the byte before the
 * text, or a space at its start. */
void content_count(const unsigned char *text, size_t length, struct content *content);

#endif
