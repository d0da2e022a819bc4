/* SPDX-License-Identifier: MIT */
#include "log/members.h"

#include "base/text_inline.h"
#include "log/number.h"
#include "log/put.h"

/* How the room is shared out. What does not fit is cut or left out. The sizes are of encoded bytes.
 */
enum {
    value_max = 4096,  /* of one text, so that others fit behind it */
    error_room = 2048, /* kept for errors when there is one; less where there is little room */
};

void ati_members_init(ati_members *members, char *buffer, size_t room,
                      const ati_redaction *redaction) {
    if (room > ATI_MEMBERS_MAX)
        room = ATI_MEMBERS_MAX;
    members->at = buffer;
    members->limit = buffer + (room > ATI_TEXT_SLACK ? room - ATI_TEXT_SLACK : 0);
    members->kept_room = 0;
    members->redaction = redaction;
    members->cut_count = 0;
    members->cut_length = 0;
    members->cut_named = 0;
    ati_keys_init(&members->keys, buffer);
}

void ati_members_note_cut(ati_members *members, ati_member_key key) {
    members->cut_count++;
    if (members->cut_length + key.length + 3 > ATI_MEMBERS_CUT_ROOM)
        return;
    char *to = members->cut + members->cut_length;
    *to++ = '"';
    to = ati_put(to, key.bytes, key.length);
    *to++ = '"';
    *to++ = ',';
    members->cut_length = (uint32_t)(to - members->cut);
    members->cut_named++;
}

ati_cut_keys ati_members_cut_keys(const ati_members *members) {
    return (ati_cut_keys){
        .keys = {members->cut, members->cut_length},
        .named = members->cut_named,
        .count = members->cut_count,
    };
}

void ati_members_note_cut_keys(ati_members *members, const ati_cut_keys *cut) {
    members->cut_count += cut->count;
    if (members->cut_length + cut->keys.length > ATI_MEMBERS_CUT_ROOM)
        return;
    ati_put(members->cut + members->cut_length, cut->keys.bytes, cut->keys.length);
    members->cut_length += (uint32_t)cut->keys.length;
    members->cut_named += cut->named;
}

/* Notes the key, as the caller gave it, of a value that was left out. */
static void note_left_out(ati_members *members, ati_member_text key) {
    char encoded[ATI_MEMBER_KEY_MAX + ATI_TEXT_SLACK] = "";
    char *to = encoded;
    ati_text_put(&to, ATI_MEMBER_KEY_MAX, key.bytes, key.length);
    ati_members_note_cut(members, (ati_member_key){encoded, (size_t)(to - encoded)});
}

/* Of one that is too long, what stands behind its last dot is not cut as far as it can be a name
 * that is not to be seen: whoever adds the member to a line looks for it. */
static __attribute__((noinline)) bool put_long_key(char *start, char **to, size_t room,
                                                   ati_member_text key) {
    enum { tail_max = 1 + ATI_REDACTION_NAME_MAX };
    const char *dot = memrchr(key.bytes, '.', key.length);
    if (!dot)
        return false;
    size_t head = (size_t)(dot - key.bytes);
    size_t tail = key.length - head;
    size_t tail_room = tail < tail_max ? tail : tail_max;
    *to = start;
    ati_text_put(to, room - tail_room, key.bytes, head);
    ati_text_put(to, tail_room, dot, tail);
    return false;
}

static inline bool put_key_text(char **to, size_t room, ati_member_text key) {
    char *start = *to;
    return ati_text_put_inline(to, room, key.bytes, key.length) ||
           put_long_key(start, to, room, key);
}

/* Most members have no prefix, and need nothing that is for one. */
static inline __attribute__((always_inline)) ati_member_key
put_key(ati_members *members, const char *prefix, ati_member_text key) {
    char *start = ATI_PUT_LITERAL(members->at, ",\"");
    char *to = start;
    bool whole = true;
    if (prefix) {
        whole =
            put_key_text(&to, ATI_MEMBER_KEY_MAX / 2, (ati_member_text){prefix, strlen(prefix)});
        *to++ = '.';
    }
    size_t room = ATI_MEMBER_KEY_MAX - (size_t)(to - start);
    whole = put_key_text(&to, room, key) && whole;
    to = ati_keys_make_unique(&members->keys, start, to);
    ati_member_key written = {start, (size_t)(to - start)};
    if (!whole)
        ati_members_note_cut(members, written);
    members->at = ATI_PUT_LITERAL(to, "\":");
    return written;
}

ati_member_key ati_members_put_key(ati_members *members, const char *prefix, ati_member_text key) {
    return put_key(members, prefix, key);
}

static inline __attribute__((always_inline)) void put_text(ati_members *members, const char *prefix,
                                                           ati_member_text key,
                                                           ati_member_text text, size_t most) {
    if (!ati_members_have_room(members, ATI_MEMBER_TEXT_MIN + 2)) {
        note_left_out(members, key);
        return;
    }
    ati_member_key written = put_key(members, prefix, key);
    if (prefix && ati_members_redact(members, written.bytes, written.length))
        text = (ati_member_text){ATI_REDACTED, sizeof ATI_REDACTED - 1};
    size_t room = ati_members_room(members) - 2;
    *members->at++ = '"';
    if (!ati_text_put_inline(&members->at, room < most ? room : most, text.bytes, text.length))
        ati_members_note_cut(members, written);
    *members->at++ = '"';
}

void ati_members_put_text(ati_members *members, const char *prefix, ati_member_text key,
                          ati_member_text text, size_t most) {
    put_text(members, prefix, key, text, most);
}

/* A value of a few bytes. */
static inline __attribute__((always_inline)) void
put_short_value(ati_members *members, ati_member_text key, const at_field *field) {
    if (!ati_members_have_room(members, ATI_NUMBER_ROOM)) {
        note_left_out(members, key);
        return;
    }
    put_key(members, NULL, key);
    switch (field->type) {
    case AT_FIELD_BOOL:
        members->at = field->value.natural ? ATI_PUT_LITERAL(members->at, "true")
                                           : ATI_PUT_LITERAL(members->at, "false");
        break;
    case AT_FIELD_INTEGER:
        members->at = ati_number_integer(members->at, field->value.integer);
        break;
    case AT_FIELD_UNSIGNED:
        members->at = ati_number_unsigned(members->at, field->value.natural);
        break;
    case AT_FIELD_DOUBLE:
        members->at = ati_number_double(members->at, field->value.real);
        break;
    default:
        members->at = ATI_PUT_LITERAL(members->at, "null");
        break;
    }
}

static const ati_member_text redacted = {"\"" ATI_REDACTED "\"", sizeof ATI_REDACTED + 1};

/* Writes JSON text, without what is not to be seen; false: there is no room. */
static bool put_json_text(ati_members *members, ati_member_text json) {
    if (ati_members_room(members) < json.length)
        return false;
    char *end;
    if (members->redaction)
        end = ati_redaction_copy(members->redaction, members->at, members->limit, json.bytes,
                                 json.length);
    else
        end = ati_put(members->at, json.bytes, json.length);
    if (end)
        members->at = end;
    return end;
}

static void put_encoded_value(ati_members *members, ati_member_text key, ati_member_text json) {
    if (!ati_members_have_room(members, 0)) {
        note_left_out(members, key);
        return;
    }
    char *start = members->at;
    ati_members_put_key(members, NULL, key);
    if (put_json_text(members, json))
        return;
    members->at = start;
    note_left_out(members, key);
}

static void put_bytes(ati_members *members, ati_member_text key, const unsigned char *bytes,
                      size_t length) {
    static const char digits[] = "0123456789abcdef";
    if (!ati_members_have_room(members, ATI_MEMBER_TEXT_MIN + 2)) {
        note_left_out(members, key);
        return;
    }
    ati_member_key written = ati_members_put_key(members, NULL, key);
    size_t room = ati_members_room(members) - 2;
    size_t most = (room < value_max ? room : value_max) / 2;
    if (length > most) {
        length = most;
        ati_members_note_cut(members, written);
    }
    char *to = members->at;
    *to++ = '"';
    for (size_t i = 0; i < length; i++) {
        *to++ = digits[bytes[i] >> 4];
        *to++ = digits[bytes[i] & 15];
    }
    *to++ = '"';
    members->at = to;
}

static ati_member_text text_of(const at_field *field) {
    const char *text = field->value.text;
    return (ati_member_text){text,
                             field->length == AT_FIELD_TERMINATED ? strlen(text) : field->length};
}

static bool is_error(const at_field *field) {
    return field->type == AT_FIELD_ERROR && field->value.error;
}

/* A field of the rarer types. */
static __attribute__((noinline)) void put_rare_field(ati_members *members, ati_member_text key,
                                                     const at_field *field) {
    static const ati_member_text null = {"null", 4};
    if (field->type == ATI_FIELD_ENCODED)
        put_encoded_value(members, key, text_of(field));
    else if (field->type == AT_FIELD_REDACTED)
        put_encoded_value(members, key, redacted);
    else if (field->type == AT_FIELD_BYTES && field->value.bytes)
        put_bytes(members, key, field->value.bytes, field->length);
    else if (field->type != AT_FIELD_JSON)
        put_encoded_value(members, key, null);
    else if (!ati_members_put_json(members, key, field->value.json, value_max))
        note_left_out(members, key);
}

static ati_member_text key_of(const at_field *field) {
    if (!field->key)
        return (ati_member_text){"", 0};
    return (ati_member_text){field->key,
                             field->key_length > 0 ? field->key_length : strlen(field->key)};
}

/* A field that is not an error. */
static inline __attribute__((always_inline)) void put_field(ati_members *members,
                                                            const at_field *field) {
    ati_member_text key = key_of(field);
    if (field->type == AT_FIELD_TEXT && field->value.text)
        put_text(members, NULL, key, text_of(field), value_max);
    else if (field->type > AT_FIELD_ERROR)
        put_rare_field(members, key, field);
    else
        put_short_value(members, key, field);
}

static const char *error_key(const at_field *field) {
    return field->key ? field->key : "error";
}

/* Writes a field of which nothing but the key is to be seen; false: it is none. */
static __attribute__((noinline)) bool put_hidden(ati_members *members, const at_field *field) {
    ati_member_text key = key_of(field);
    if (is_error(field) && !field->key)
        key = (ati_member_text){error_key(field), strlen(error_key(field))};
    if (!ati_members_redact(members, key.bytes, key.length))
        return false;
    put_encoded_value(members, key, redacted);
    return true;
}

void ati_members_keep_room(ati_members *members, const at_field *fields, size_t count) {
    size_t i = 0;
    while (i < count && !is_error(&fields[i]))
        i++;
    if (i == count)
        return;
    size_t third = ati_members_room(members) / 3;
    members->kept_room = third < error_room ? third : error_room;
    members->limit -= members->kept_room;
}

void ati_members_add(ati_members *members, const at_field *fields, size_t count) {
    bool hides = members->redaction;
    for (size_t i = 0; i < count; i++)
        if (!is_error(&fields[i]) && !(hides && put_hidden(members, &fields[i])))
            put_field(members, &fields[i]);
    if (members->kept_room == 0)
        return;
    members->limit += members->kept_room;
    members->kept_room = 0;
    for (size_t i = 0; i < count; i++)
        if (is_error(&fields[i]) && !(hides && put_hidden(members, &fields[i])))
            ati_members_put_error(members, error_key(&fields[i]), fields[i].value.error);
}

static void add_encoded_member(ati_members *members, const ati_encoded_member *found) {
    const char *value = found->key + found->key_length + 2; /* behind the quote and the colon */
    ati_member_text text = {value, (size_t)(found->start + found->length - value)};
    if (members->redaction &&
        ati_redaction_has_member(members->redaction, found->key, found->key_length))
        text = redacted;
    char *start = members->at;
    bool fits = ati_members_room(members) >= found->key_length + ATI_KEY_SUFFIX_ROOM + 4 &&
                members->keys.count < ATI_KEYS_MAX;
    if (fits) {
        char *key = ATI_PUT_LITERAL(start, ",\"");
        char *to = ati_put(key, found->key, found->key_length);
        to = ati_keys_make_unique(&members->keys, key, to);
        members->at = ATI_PUT_LITERAL(to, "\":");
        fits = put_json_text(members, text);
    }
    if (!fits) {
        members->at = start;
        ati_members_note_cut(members, (ati_member_key){found->key, found->key_length});
    }
}

void ati_members_add_encoded(ati_members *members, ati_member_text encoded) {
    const char *from = encoded.bytes;
    const char *end = from + encoded.length;
    ati_encoded_member found;
    while (ati_keys_next_member(&from, end, &found))
        add_encoded_member(members, &found);
}

size_t ati_members_encode(char *buffer, size_t room, const at_field *fields, size_t count,
                          bool *cut) {
    ati_members members;
    ati_members_init(&members, buffer, room, NULL);
    ati_members_keep_room(&members, fields, count);
    ati_members_add(&members, fields, count);
    if (cut)
        *cut = members.cut_count > 0;
    return (size_t)(members.at - buffer);
}
