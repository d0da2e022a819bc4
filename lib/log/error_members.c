/* SPDX-License-Identifier: MIT */
#include "log/members.h"

#include "base/error.h"
#include "log/number.h"
#include "log/put.h"

#include <asynctools/limits.h>

/* An error in a line: `,"error.status":...` and so on. */
enum {
    text_max = 682,   /* encoded bytes of one text: three fill the room that is kept for errors */
    other_room = 640, /* of one that came with an error; its texts: */
    other_text = 64,
    other_message = 200,
};

/* Errors that came with one, being written. */
typedef struct writing {
    char *at;
    const ati_members *members; /* that they are in */
    bool whole;                 /* no text was cut */
} writing;

/* Writes `"key":"text",` with at most `most` encoded bytes of text. */
static void put_short_text(writing *others, const char *key, const char *text, size_t most) {
    if (ati_members_redact(others->members, key, strlen(key)))
        text = ATI_REDACTED;
    char *to = others->at;
    *to++ = '"';
    to = ati_put(to, key, strlen(key));
    to = ATI_PUT_LITERAL(to, "\":\"");
    others->whole &= ati_text_put(&to, most, text, strlen(text));
    others->at = ATI_PUT_LITERAL(to, "\",");
}

/* Writes the value of a key. */
static char *put_number(char *to, const ati_members *members, ati_member_key key, int64_t number) {
    if (ati_members_redact(members, key.bytes, key.length))
        return ATI_PUT_LITERAL(to, "\"" ATI_REDACTED "\"");
    return ati_number_integer(to, number);
}

static void put_other(writing *others, const at_error *error) {
    *others->at++ = '{';
    put_short_text(others, "status", at_status_name(at_error_status(error)), other_text);
    put_short_text(others, "message", at_error_text(error), other_message);
    if (*at_error_origin(error))
        put_short_text(others, "origin", at_error_origin(error), other_text);
    if (*at_error_task(error))
        put_short_text(others, "task", at_error_task(error), other_text);
    if (*at_error_started_at(error))
        put_short_text(others, "started_at", at_error_started_at(error), other_text);
    if (at_error_item(error) != AT_NONE) {
        others->at = ATI_PUT_LITERAL(others->at, "\"item\":");
        others->at = put_number(others->at, others->members, (ati_member_key){"item", 4},
                                at_error_item(error));
        *others->at++ = ',';
    }
    others->at[-1] = '}';
}

static void put_number_member(ati_members *members, const char *prefix, ati_member_text key,
                              int64_t number) {
    ati_member_key written = ati_members_put_key(members, prefix, key);
    members->at = put_number(members->at, members, written, number);
}

/* The errors that came with one, as many as there is room for, and how many there are. */
static void put_others(ati_members *members, const char *prefix, const at_error *error) {
    size_t count = at_error_other_count(error);
    size_t total = count + ati_error_hidden_count(error);
    if (total == 0 || !ati_members_have_room(members, ATI_NUMBER_ROOM))
        return;
    put_number_member(members, prefix, (ati_member_text){"other_count", 11}, (int64_t)total);
    if (count == 0 || !ati_members_have_room(members, other_room + 2))
        return;
    ati_member_key written = ati_members_put_key(members, prefix, (ati_member_text){"others", 6});
    if (ati_members_redact(members, written.bytes, written.length)) {
        members->at = ATI_PUT_LITERAL(members->at, "\"" ATI_REDACTED "\"");
        return;
    }
    writing others = {members->at, members, true};
    *others.at++ = '[';
    const char *limit = members->limit - other_room - 2;
    for (size_t i = 0; i < count && others.at <= limit; i++) {
        put_other(&others, at_error_other(error, i));
        *others.at++ = ',';
    }
    others.at[-1] = ']';
    members->at = others.at;
    if (!others.whole)
        ati_members_note_cut(members, written);
}

void ati_members_put_error(ati_members *members, const char *prefix, const at_error *error) {
    const at_error *cause = at_error_cause(error);
    const struct {
        const char *key;
        const char *text;
    } texts[] = {
        {"status", at_status_name(at_error_status(error))},
        {"message", at_error_text(error)},
        {"origin", at_error_origin(error)},
        {"task", at_error_task(error)},
        {"started_at", at_error_started_at(error)},
        {"cause", cause ? at_error_message(cause) : ""},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (i < 2 || *texts[i].text)
            ati_members_put_text(members, prefix,
                                 (ati_member_text){texts[i].key, strlen(texts[i].key)},
                                 (ati_member_text){texts[i].text, strlen(texts[i].text)}, text_max);
    if (at_error_item(error) != AT_NONE && ati_members_have_room(members, ATI_NUMBER_ROOM))
        put_number_member(members, prefix, (ati_member_text){"item", 4}, at_error_item(error));
    put_others(members, prefix, error);
}
