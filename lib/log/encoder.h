/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_ENCODER_H
#define ASYNCTOOLS_LOG_ENCODER_H

/* Makes a finished line of the parts that a log call has. No memory is allocated, nothing waits. */
#include "base/context.h"
#include "log/members.h"
#include "log/stamp.h"

#include <asynctools/log.h>

#include <stddef.h>
#include <stdint.h>

enum {
    ATI_LINE_MAX = 8192, /* of a line, its newline included: the room that an encoding needs */
    ATI_LINE_CHUNK = 32, /* ready members have room for a multiple of it: they are copied so */
};

/* What the calling thread knows for all its lines. */
typedef struct ati_line_thread {
    ati_stamp_cache stamp;
    unsigned char length;
    char member[5 * ATI_LINE_CHUNK]; /* ,"thread":"name/id" */
} ati_line_thread;

/* Fills `thread->member` for the calling thread. */
void ati_line_thread_init(ati_line_thread *thread);

/* What stands around the fields of a line. */
typedef struct ati_line_head {
    int64_t time;              /* nanoseconds since 1970 */
    const char *logger_member; /* ,"logger":"name", with room for whole chunks, or "" */
    size_t logger_member_length;
    const ati_context *operation;   /* or NULL; its members come first, then */
    ati_member_text logger_fields;  /* those that all lines of the logger have, then */
    const ati_cut_keys *logger_cut; /* of logger_fields; NULL: nothing */
    ati_member_text members;        /* those of this line; all are `,"key":value` */
    const ati_redaction *redaction; /* or NULL */
    ati_line_thread *thread;
} ati_line_head;

/* Encodes a line into `buffer` of ATI_LINE_MAX bytes; gives its length, newline included. */
size_t ati_line_encode(char *buffer, const ati_line_head *head, const at_log_line *line);

/* Encodes a member with a string, `,"key":"text"`, into `room` bytes (at least 32), cutting the
 * text if it must; gives the length. */
size_t ati_line_encode_member(char *buffer, size_t room, const char *key, const char *text);

/* A name for each level, "trace" to "fatal". */
const char *ati_level_name(int level);

#endif
