/* SPDX-License-Identifier: MIT */
#include "log/encoder.h"

#include "base/error.h"
#include "base/text_inline.h"
#include "log/number.h"
#include "log/put.h"

#include <pthread.h>
#include <unistd.h>

/* Of the 8 KiB of a line, in encoded bytes. */
enum {
    event_max = 256,
    operation_max = 128,
    source_max = 128,
    tail_room = 900, /* for thread, source and `_cut` */
};

static const ati_member_key event_key = {"event", 5};
static const ati_member_key operation_key = {"operation", 9};
static const ati_member_key source_key = {"source", 6};

/* Writes bytes that come with room for whole chunks, without a call. */
static inline char *put_chunks(char *to, const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i += ATI_LINE_CHUNK)
        memcpy(to + i, bytes + i, ATI_LINE_CHUNK);
    return to + length;
}

static void put_operation(ati_members *body, const ati_context *operation) {
    char *to = body->at;
    if (*operation->name) {
        to = ATI_PUT_LITERAL(to, ",\"operation\":\"");
        if (!ati_text_put(&to, operation_max, operation->name, strlen(operation->name)))
            ati_members_note_cut(body, operation_key);
        *to++ = '"';
    }
    to = ATI_PUT_LITERAL(to, ",\"operation_id\":\"");
    to = ati_number_hex(to, operation->id);
    to = ATI_PUT_LITERAL(to, "\",\"trace_id\":\"");
    to = ati_number_hex(to, operation->trace_id[0]);
    to = ati_number_hex(to, operation->trace_id[1]);
    *to++ = '"';
    body->at = to;
}

static void put_head(ati_members *body, const ati_line_head *head, const at_log_line *line) {
    static const char level_members[AT_LOG_OFF][20] = {
        "\",\"level\":\"error", "\",\"level\":\"trace", "\",\"level\":\"debug",
        "\",\"level\":\"info",  "\",\"level\":\"warn",  "\",\"level\":\"error",
        "\",\"level\":\"fatal",
    };
    char *to = ATI_PUT_LITERAL(body->at, "{\"ts\":\"");
    to = ati_stamp_write(to, head->time, &head->thread->stamp);
    unsigned level = (unsigned)line->level < AT_LOG_OFF ? (unsigned)line->level : AT_LOG_DEFAULT;
    memcpy(to, level_members[level], 16);
    to += level == AT_LOG_INFO || level == AT_LOG_WARN ? 15 : 16;
    to = ATI_PUT_LITERAL(to, "\",\"event\":\"");
    const char *event = line->event ? line->event : "";
    size_t length = line->event_length > 0 ? line->event_length : strlen(event);
    if (!ati_text_put_inline(&to, event_max, event, length))
        ati_members_note_cut(body, event_key);
    *to++ = '"';
    body->at = put_chunks(to, head->logger_member, head->logger_member_length);
    if (head->operation)
        put_operation(body, head->operation);
}

static char *put_tail(char *to, const ati_line_head *head, const at_log_line *line,
                      ati_members *body) {
    to = put_chunks(to, head->thread->member, head->thread->length);
    if (line->site) {
        bool is_known = line->site_length > 0;
        const char *place = is_known ? line->site : ati_site_place(line->site);
        to = ATI_PUT_LITERAL(to, ",\"source\":\"");
        if (!ati_text_put_inline(&to, source_max, place,
                                 is_known ? line->site_length : strlen(place)))
            ati_members_note_cut(body, source_key);
        *to++ = '"';
    }
    if (body->cut_count > 0) {
        to = ATI_PUT_LITERAL(to, ",\"_cut\":[");
        if (body->cut_length > 0)
            to = ati_put(to, body->cut, body->cut_length - 1);
        *to++ = ']';
        if (body->cut_named < body->cut_count) {
            to = ATI_PUT_LITERAL(to, ",\"_cut_count\":");
            to = ati_number_unsigned(to, body->cut_count);
        }
    }
    return ATI_PUT_LITERAL(to, "}\n");
}

size_t ati_line_encode(char *buffer, const ati_line_head *head, const at_log_line *line) {
    ati_members body;
    ati_members_init(&body, buffer, ATI_LINE_MAX - tail_room, head->redaction);
    put_head(&body, head, line);
    ati_members_keep_room(&body, line->fields, line->field_count);
    if (head->operation && head->operation->log_fields_length > 0)
        ati_members_add_encoded(&body, (ati_member_text){head->operation->log_fields,
                                                         head->operation->log_fields_length});
    if (head->operation && head->operation->log_cut)
        ati_members_note_cut_keys(&body, head->operation->log_cut);
    if (head->logger_fields.length > 0)
        ati_members_add_encoded(&body, head->logger_fields);
    if (head->logger_cut)
        ati_members_note_cut_keys(&body, head->logger_cut);
    if (head->members.length > 0)
        ati_members_add_encoded(&body, head->members);
    ati_members_add(&body, line->fields, line->field_count);
    return (size_t)(put_tail(body.at, head, line, &body) - buffer);
}

size_t ati_line_encode_member(char *buffer, size_t room, const char *key, const char *text) {
    char *to = ATI_PUT_LITERAL(buffer, ",\"");
    to = ati_put(to, key, strlen(key));
    to = ATI_PUT_LITERAL(to, "\":\"");
    ati_text_put(&to, room - (size_t)(to - buffer) - 1 - ATI_TEXT_SLACK, text, strlen(text));
    *to++ = '"';
    return (size_t)(to - buffer);
}

void ati_line_thread_init(ati_line_thread *thread) {
    char name[48] = "";
    if (pthread_getname_np(pthread_self(), name, 16) != 0)
        name[0] = '\0';
    char *end = name + strlen(name);
    *end++ = '/';
    end = ati_number_integer(end, gettid());
    *end = '\0';
    thread->length = (unsigned char)ati_line_encode_member(thread->member, sizeof thread->member,
                                                           "thread", name);
}

const char *ati_level_name(int level) {
    static const char names[AT_LOG_OFF + 1][8] = {"info", "trace", "debug", "info",
                                                  "warn", "error", "fatal", "off"};
    return level >= 0 && level <= AT_LOG_OFF ? names[level] : "unknown";
}
