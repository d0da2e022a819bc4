/* SPDX-License-Identifier: MIT */
#include "log_input.h"

#include "log_line.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

bool log_input_open(struct log_input *input, const char *path) {
    input->file = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    input->error = 0;
    input->is_at_end = false;
    input->has_rest = false;
    input->number = 0;
    input->from = input->to = 0;
    return input->file >= 0;
}

/* Reads more behind what is there. */
static void fill(struct log_input *input) {
    memmove(input->bytes, input->bytes + input->from, input->to - input->from);
    input->to -= input->from;
    input->from = 0;
    ssize_t count;
    do
        count = read(input->file, input->bytes + input->to, LOG_INPUT_SIZE - input->to);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        input->error = errno;
    if (count <= 0)
        input->is_at_end = true;
    else
        input->to += (size_t)count;
}

/* The end of the next line, behind its newline, or NULL: it is not read yet, or has none. */
static const char *find_end(const struct log_input *input) {
    const char *newline = memchr(input->bytes + input->from, '\n', input->to - input->from);
    return newline ? newline + 1 : NULL;
}

/* Passes over the rest of a line that is too long. */
static void skip_rest(struct log_input *input) {
    const char *end;
    while (!(end = find_end(input)) && !input->is_at_end) {
        input->from = input->to;
        fill(input);
    }
    input->from = end ? (size_t)(end - input->bytes) : input->to;
}

bool log_input_next(struct log_input *input, const char **line, size_t *length) {
    if (input->has_rest)
        skip_rest(input);
    const char *end;
    while (!(end = find_end(input)) && !input->is_at_end && input->to - input->from <= LOG_LINE_MAX)
        fill(input);
    *line = input->bytes + input->from;
    *length = (end ? (size_t)(end - input->bytes) : input->to) - input->from;
    if (*length > LOG_LINE_MAX)
        *length = LOG_LINE_MAX + 1;
    input->has_rest = *length > LOG_LINE_MAX && (*line)[LOG_LINE_MAX] != '\n';
    input->from += *length;
    input->number += *length > 0;
    return *length > 0;
}

void log_input_close(struct log_input *input) {
    close(input->file);
}
