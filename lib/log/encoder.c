/* SPDX-License-Identifier: MIT */
#include "log/encoder.h"

#include "base/error.h"
#include "base/text.h"
#include "log/keys.h"
#include "log/number.h"

#include <asynctools/limits.h>

#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* How the 8 KiB of a line are shared out. What does not fit is cut or left out, and its key goes
 * into `_cut`. The sizes are of encoded bytes. */
enum {
    event_max = 256,
    operation_max = 128,
    key_max = 128,
    value_max = 4096, /* of one text, so that others fit behind it */
    source_max = 128,
    cut_room = 400,    /* for the names in `_cut` */
    tail_room = 900,   /* for thread, source and `_cut` */
    error_room = 2048, /* kept for errors when a line has one */
    other_room = 640,  /* of one that came with an error; its texts: */
    other_text = 64,
    other_message = 200,
    text_min = 16, /* a text that has to be cut shorter than this is left out */
};

/* A line being encoded. `at` may be written up to `limit` and ATI_TEXT_SLACK bytes behind. */
typedef struct encoding {
    char *at;
    const char *limit;
    ati_key_set keys;
    uint32_t cut_count;
    uint32_t cut_length; /* bytes in `cut` */
    uint32_t cut_named;  /* keys in `cut` */
    char cut[cut_room];  /* "a","b", */
} encoding;

static inline char *put(char *to, const char *bytes, size_t length) {
    memcpy(to, bytes, length);
    return to + length;
}

#define PUT_LITERAL(to, literal) put((to), (literal), sizeof(literal) - 1)

/* Writes bytes that come with room for whole chunks, without a call. */
static inline char *put_chunks(char *to, const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i += ATI_LINE_CHUNK)
        memcpy(to + i, bytes + i, ATI_LINE_CHUNK);
    return to + length;
}

/* Writes at most `room` bytes of `text`; true: all of it. */
static bool put_text(char **to, size_t room, const char *text, size_t length) {
    const char *from = text;
    const char *end = text + length;
    *to = ati_text_escape(*to, *to + room, &from, end);
    return from == end;
}

/* Notes the encoded key of a value that was cut. */
static void note_cut(encoding *line, const char *key, size_t length) {
    line->cut_count++;
    if (line->cut_length + length + 3 > cut_room)
        return;
    char *to = line->cut + line->cut_length;
    *to++ = '"';
    to = put(to, key, length);
    *to++ = '"';
    *to++ = ',';
    line->cut_length = (uint32_t)(to - line->cut);
    line->cut_named++;
}

/* Notes the key, as the caller gave it, of a value that was left out. */
static void note_left_out(encoding *line, const char *key) {
    char encoded[key_max + ATI_TEXT_SLACK] = "";
    char *to = encoded;
    put_text(&to, key_max, key, strlen(key));
    note_cut(line, encoded, (size_t)(to - encoded));
}

/* A key as it stands in the line. */
typedef struct written_key {
    const char *key;
    size_t length;
} written_key;

/* Writes `,"prefix.key":` under a name that the line does not have yet (`prefix` may be NULL). */
static written_key put_key(encoding *line, const char *prefix, const char *key) {
    char *start = PUT_LITERAL(line->at, ",\"");
    char *to = start;
    bool whole = true;
    if (prefix) {
        whole = put_text(&to, key_max / 2, prefix, strlen(prefix));
        *to++ = '.';
    }
    whole = put_text(&to, key_max - (size_t)(to - start), key, strlen(key)) && whole;
    to = ati_keys_make_unique(&line->keys, start, to);
    written_key written = {start, (size_t)(to - start)};
    if (!whole)
        note_cut(line, written.key, written.length);
    line->at = PUT_LITERAL(to, "\":");
    return written;
}

static size_t room_left(const encoding *line) {
    return line->at < line->limit ? (size_t)(line->limit - line->at) : 0;
}

/* Whether a key with whatever suffix, and `size` bytes of value, can be added. */
static bool has_room(const encoding *line, size_t size) {
    enum { key_room = key_max + ATI_KEY_SUFFIX_ROOM + 4 };
    return room_left(line) >= key_room + size && line->keys.count < ATI_KEYS_MAX;
}

/* Bytes of a text. */
typedef struct piece {
    const char *bytes;
    size_t length;
} piece;

static piece piece_of(const char *text) {
    return (piece){text, strlen(text)};
}

/* Writes a member with a text of at most `most` encoded bytes. */
static void put_text_member(encoding *line, const char *prefix, const char *key, piece text,
                            size_t most) {
    if (!has_room(line, text_min + 2)) {
        note_left_out(line, key);
        return;
    }
    written_key written = put_key(line, prefix, key);
    size_t room = room_left(line) - 2;
    *line->at++ = '"';
    if (!put_text(&line->at, room < most ? room : most, text.bytes, text.length))
        note_cut(line, written.key, written.length);
    *line->at++ = '"';
}

static void put_value_member(encoding *line, const at_field *field) {
    const char *key = field->key ? field->key : "";
    if (!has_room(line, ATI_NUMBER_ROOM)) {
        note_left_out(line, key);
        return;
    }
    put_key(line, NULL, key);
    switch (field->type) {
    case AT_FIELD_BOOL:
        line->at =
            field->value.natural ? PUT_LITERAL(line->at, "true") : PUT_LITERAL(line->at, "false");
        break;
    case AT_FIELD_INTEGER:
        line->at = ati_number_integer(line->at, field->value.integer);
        break;
    case AT_FIELD_UNSIGNED:
        line->at = ati_number_unsigned(line->at, field->value.natural);
        break;
    case AT_FIELD_DOUBLE:
        line->at = ati_number_double(line->at, field->value.real);
        break;
    default:
        line->at = PUT_LITERAL(line->at, "null");
        break;
    }
}

static bool is_error(const at_field *field) {
    return field->type == AT_FIELD_ERROR && field->value.error;
}

/* A field that is not an error. */
static void put_field(encoding *line, const at_field *field) {
    if (field->type == AT_FIELD_TEXT && field->value.text) {
        const char *text = field->value.text;
        size_t length = field->length == AT_FIELD_TERMINATED ? strlen(text) : field->length;
        put_text_member(line, NULL, field->key ? field->key : "", (piece){text, length}, value_max);
    } else {
        put_value_member(line, field);
    }
}

/* Writes `"key":"text",` with at most `most` encoded bytes of text; clears `*whole` if that is not
 * all. */
static char *put_short_text(char *to, const char *key, const char *text, size_t most, bool *whole) {
    *to++ = '"';
    to = put(to, key, strlen(key));
    to = PUT_LITERAL(to, "\":\"");
    *whole &= put_text(&to, most, text, strlen(text));
    return PUT_LITERAL(to, "\",");
}

static char *put_other(char *to, const at_error *error, bool *whole) {
    *to++ = '{';
    to = put_short_text(to, "status", at_status_name(at_error_status(error)), other_text, whole);
    to = put_short_text(to, "message", at_error_text(error), other_message, whole);
    if (*at_error_origin(error))
        to = put_short_text(to, "origin", at_error_origin(error), other_text, whole);
    if (*at_error_task(error))
        to = put_short_text(to, "task", at_error_task(error), other_text, whole);
    if (*at_error_started_at(error))
        to = put_short_text(to, "started_at", at_error_started_at(error), other_text, whole);
    if (at_error_item(error) != AT_NONE) {
        to = PUT_LITERAL(to, "\"item\":");
        to = ati_number_integer(to, at_error_item(error));
        *to++ = ',';
    }
    to[-1] = '}';
    return to;
}

/* The errors that came with one, as many as there is room for, and how many there are. */
static void put_others(encoding *line, const char *prefix, const at_error *error) {
    size_t count = at_error_other_count(error);
    size_t total = count + ati_error_hidden_count(error);
    if (total == 0 || !has_room(line, ATI_NUMBER_ROOM))
        return;
    put_key(line, prefix, "other_count");
    line->at = ati_number_unsigned(line->at, total);
    if (count == 0 || !has_room(line, other_room + 2))
        return;
    written_key written = put_key(line, prefix, "others");
    bool whole = true;
    *line->at++ = '[';
    for (size_t i = 0; i < count && room_left(line) >= other_room + 2; i++) {
        line->at = put_other(line->at, at_error_other(error, i), &whole);
        *line->at++ = ',';
    }
    line->at[-1] = ']';
    if (!whole)
        note_cut(line, written.key, written.length);
}

static void put_error(encoding *line, const at_field *field) {
    const char *prefix = field->key ? field->key : "error";
    const at_error *error = field->value.error;
    const at_error *cause = at_error_cause(error);
    const struct {
        const char *key;
        const char *text;
    } members[] = {
        {"status", at_status_name(at_error_status(error))},
        {"message", at_error_text(error)},
        {"origin", at_error_origin(error)},
        {"task", at_error_task(error)},
        {"started_at", at_error_started_at(error)},
        {"cause", cause ? at_error_message(cause) : ""},
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (i < 2 || *members[i].text)
            put_text_member(line, prefix, members[i].key, piece_of(members[i].text),
                            error_room / 3);
    if (at_error_item(error) != AT_NONE && has_room(line, ATI_NUMBER_ROOM)) {
        put_key(line, prefix, "item");
        line->at = ati_number_integer(line->at, at_error_item(error));
    }
    put_others(line, prefix, error);
}

/* The fields that the operation has, encoded already: members with a comma before each. */
static void put_operation_fields(encoding *line, const ati_context *operation) {
    const char *from = operation->log_fields;
    const char *end = from + operation->log_fields_length;
    ati_encoded_member found;
    while (ati_keys_next_member(&from, end, &found)) {
        if (room_left(line) < found.length || line->keys.count == ATI_KEYS_MAX) {
            note_cut(line, found.key, found.key_length);
            continue;
        }
        size_t key_offset = (size_t)(found.key - found.start);
        char *start = line->at;
        line->at = put(start, found.start, found.length);
        ati_keys_add(&line->keys, start + key_offset, found.key_length);
    }
}

static void put_operation(encoding *body, const ati_context *operation) {
    char *to = body->at;
    if (*operation->name) {
        to = PUT_LITERAL(to, ",\"operation\":\"");
        if (!put_text(&to, operation_max, operation->name, strlen(operation->name)))
            note_cut(body, "operation", 9);
        *to++ = '"';
    }
    to = PUT_LITERAL(to, ",\"operation_id\":\"");
    to = ati_number_hex(to, operation->id);
    to = PUT_LITERAL(to, "\",\"trace_id\":\"");
    to = ati_number_hex(to, operation->trace_id[0]);
    to = ati_number_hex(to, operation->trace_id[1]);
    *to++ = '"';
    body->at = to;
}

static void put_head(encoding *body, const ati_line_head *head, const at_log_line *line) {
    static const char level_members[AT_LOG_OFF][20] = {
        "\",\"level\":\"error", "\",\"level\":\"trace", "\",\"level\":\"debug",
        "\",\"level\":\"info",  "\",\"level\":\"warn",  "\",\"level\":\"error",
        "\",\"level\":\"fatal",
    };
    char *to = PUT_LITERAL(body->at, "{\"ts\":\"");
    to = ati_stamp_write(to, head->time, &head->thread->stamp);
    unsigned level = (unsigned)line->level < AT_LOG_OFF ? (unsigned)line->level : AT_LOG_DEFAULT;
    memcpy(to, level_members[level], 16);
    to += level == AT_LOG_INFO || level == AT_LOG_WARN ? 15 : 16;
    to = PUT_LITERAL(to, "\",\"event\":\"");
    const char *event = line->event ? line->event : "";
    if (!put_text(&to, event_max, event, strlen(event)))
        note_cut(body, "event", 5);
    *to++ = '"';
    body->at = put_chunks(to, head->logger_member, head->logger_member_length);
    if (head->operation)
        put_operation(body, head->operation);
}

static char *put_tail(char *to, const ati_line_head *head, const at_log_line *line,
                      const encoding *body) {
    to = put_chunks(to, head->thread->member, head->thread->length);
    if (line->site) {
        const char *place = ati_site_place(line->site);
        to = PUT_LITERAL(to, ",\"source\":\"");
        put_text(&to, source_max, place, strlen(place));
        *to++ = '"';
    }
    if (body->cut_count > 0) {
        to = PUT_LITERAL(to, ",\"_cut\":[");
        if (body->cut_length > 0)
            to = put(to, body->cut, body->cut_length - 1);
        *to++ = ']';
        if (body->cut_named < body->cut_count) {
            to = PUT_LITERAL(to, ",\"_cut_count\":");
            to = ati_number_unsigned(to, body->cut_count);
        }
    }
    return PUT_LITERAL(to, "}\n");
}

size_t ati_line_encode(char *buffer, const ati_line_head *head, const at_log_line *line) {
    encoding body;
    body.at = buffer;
    body.limit = buffer + ATI_LINE_MAX - tail_room;
    body.cut_count = 0;
    body.cut_length = 0;
    body.cut_named = 0;
    ati_keys_init(&body.keys, buffer);
    put_head(&body, head, line);
    size_t error_count = 0;
    for (size_t i = 0; i < line->field_count; i++)
        error_count += is_error(&line->fields[i]);
    const char *whole_limit = body.limit;
    if (error_count > 0)
        body.limit -= error_room;
    if (head->operation && head->operation->log_fields_length > 0)
        put_operation_fields(&body, head->operation);
    for (size_t i = 0; i < line->field_count; i++)
        if (!is_error(&line->fields[i]))
            put_field(&body, &line->fields[i]);
    body.limit = whole_limit;
    for (size_t i = 0; error_count > 0 && i < line->field_count; i++)
        if (is_error(&line->fields[i]))
            put_error(&body, &line->fields[i]);
    return (size_t)(put_tail(body.at, head, line, &body) - buffer);
}

size_t ati_line_encode_member(char *buffer, size_t room, const char *key, const char *text) {
    char *to = PUT_LITERAL(buffer, ",\"");
    to = put(to, key, strlen(key));
    to = PUT_LITERAL(to, "\":\"");
    put_text(&to, room - (size_t)(to - buffer) - 1 - ATI_TEXT_SLACK, text, strlen(text));
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
