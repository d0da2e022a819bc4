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

/* Writes `"key":"text",` with at most `most` encoded bytes of text; clears `*whole` if that is not
 * all. */
static char *put_short_text(char *to, const char *key, const char *text, size_t most, bool *whole) {
    *to++ = '"';
    to = ati_put(to, key, strlen(key));
    to = ATI_PUT_LITERAL(to, "\":\"");
    *whole &= ati_text_put(&to, most, text, strlen(text));
    return ATI_PUT_LITERAL(to, "\",");
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
        to = ATI_PUT_LITERAL(to, "\"item\":");
        to = ati_number_integer(to, at_error_item(error));
        *to++ = ',';
    }
    to[-1] = '}';
    return to;
}

/* The errors that came with one, as many as there is room for, and how many there are. */
static void put_others(ati_members *members, const char *prefix, const at_error *error) {
    size_t count = at_error_other_count(error);
    size_t total = count + ati_error_hidden_count(error);
    if (total == 0 || !ati_members_have_room(members, ATI_NUMBER_ROOM))
        return;
    ati_members_put_key(members, prefix, (ati_member_text){"other_count", 11});
    members->at = ati_number_unsigned(members->at, total);
    if (count == 0 || !ati_members_have_room(members, other_room + 2))
        return;
    ati_member_key written = ati_members_put_key(members, prefix, (ati_member_text){"others", 6});
    bool whole = true;
    *members->at++ = '[';
    for (size_t i = 0; i < count && ati_members_room(members) >= other_room + 2; i++) {
        members->at = put_other(members->at, at_error_other(error, i), &whole);
        *members->at++ = ',';
    }
    members->at[-1] = ']';
    if (!whole)
        ati_members_note_cut(members, written);
}

void ati_members_put_error(ati_members *members, const at_field *field) {
    const char *prefix = field->key ? field->key : "error";
    const at_error *error = field->value.error;
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
    if (at_error_item(error) != AT_NONE && ati_members_have_room(members, ATI_NUMBER_ROOM)) {
        ati_members_put_key(members, prefix, (ati_member_text){"item", 4});
        members->at = ati_number_integer(members->at, at_error_item(error));
    }
    put_others(members, prefix, error);
}
