/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LOG_INPUT_H
#define BENCH_LOG_INPUT_H

/* The lines of a file that may be larger than memory, or of a pipe. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_INPUT_SIZE = 256 * 1024 };

struct log_input {
    int file;
    int error; /* errno of a read that failed */
    bool is_at_end;
    bool has_rest;   /* of the line given last, which was too long, the rest comes first */
    uint64_t number; /* of the line given last, from 1 */
    size_t from;     /* what is read and not given yet is at bytes[from] to bytes[to] */
    size_t to;
    char bytes[LOG_INPUT_SIZE];
};

/* Opens a file, or standard input for "-". False: errno says why not. */
bool log_input_open(struct log_input *input, const char *path);

/* Gives the next line with its newline, which the last one may lack, until the next call. A line
 * longer than LOG_LINE_MAX is given up to that many bytes and one more. False: there is none. */
bool log_input_next(struct log_input *input, const char **line, size_t *length);

void log_input_close(struct log_input *input);

#endif
