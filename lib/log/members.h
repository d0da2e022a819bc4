/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_MEMBERS_H
#define ASYNCTOOLS_LOG_MEMBERS_H

/* Members of a JSON object made of fields, `,"key":value` behind each other, with the rules of log
 * lines: the keys are UTF-8, not reserved and never the same twice, values that do not fit are cut
 * or left out. Memory is not allocated. */
#include "log/keys.h"
#include "log/redaction.h"

#include <asynctools/field.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ATI_MEMBERS_CUT_ROOM = 400, /* for the keys of values that were cut */
    ATI_MEMBERS_MAX = 8192,     /* bytes that members, and what is before them, may take */
    ATI_MEMBER_KEY_MAX = 128,   /* of an encoded key, the suffix that makes it new aside */
    ATI_MEMBER_TEXT_MIN = 16,   /* a text that has to be cut shorter than this is left out */
};

/* A field whose value is valid JSON text already, of the library's own making. It is written as it
 * is, or left out. */
#define ATI_FIELD_ENCODED ((at_field_type)64)

static inline at_field ati_field_encoded(const char *key, const char *json, size_t length) {
    at_field field = at_kv_text(key, json, length);
    field.type = ATI_FIELD_ENCODED;
    return field;
}

/* Encodes fields outside a line, for lines to come, into at most `room` bytes (ATI_MEMBERS_MAX are
 * used at most; a field needs some 170); gives the length. `*cut` (may be NULL) says whether a
 * value was cut or left out. */
size_t ati_members_encode(char *buffer, size_t room, const at_field *fields, size_t count,
                          bool *cut);

/* -- What members are made with: for the encoder of a line and for each other -- */

/* Members being encoded. `at` may be written up to `limit` and ATI_TEXT_SLACK bytes behind. */
typedef struct ati_members {
    char *at;
    const char *limit;
    size_t kept_room;               /* behind `limit`, for errors */
    const ati_redaction *redaction; /* or NULL */
    ati_key_set keys;
    uint32_t cut_count;
    uint32_t cut_length;            /* bytes in `cut` */
    uint32_t cut_named;             /* keys in `cut` */
    char cut[ATI_MEMBERS_CUT_ROOM]; /* "a","b", */
} ati_members;

typedef struct ati_member_text {
    const char *bytes;
    size_t length;
} ati_member_text;

/* A key as it stands in the line. */
typedef ati_member_text ati_member_key;

/* What was cut of members that were encoded before. */
typedef struct ati_cut_keys {
    ati_member_text keys; /* "a","b", */
    uint32_t named;       /* that many */
    uint32_t count;       /* and those for whose names there was no room */
} ati_cut_keys;

/* `room` bytes from `buffer` on, of which ATI_MEMBERS_MAX are used at most. What `redaction` (may
 * be NULL) lists is not written. */
void ati_members_init(ati_members *members, char *buffer, size_t room,
                      const ati_redaction *redaction);

/* Keeps room for the errors among `fields`, which come last, until these are added. */
void ati_members_keep_room(ati_members *members, const at_field *fields, size_t count);

void ati_members_add(ati_members *members, const at_field *fields, size_t count);

/* Adds members that were encoded before, under new names where theirs are taken. */
void ati_members_add_encoded(ati_members *members, ati_member_text encoded);

static inline size_t ati_members_room(const ati_members *members) {
    return members->at < members->limit ? (size_t)(members->limit - members->at) : 0;
}

/* Whether a key with whatever suffix, and `size` bytes of value, can be added. */
static inline bool ati_members_have_room(const ati_members *members, size_t size) {
    enum { key_room = ATI_MEMBER_KEY_MAX + ATI_KEY_SUFFIX_ROOM + 4 };
    ptrdiff_t room = members->limit - members->at;
    return room >= (ptrdiff_t)(key_room + size) && members->keys.count < ATI_KEYS_MAX;
}

/* Writes `,"prefix.key":` under a name that is not taken (`prefix` may be NULL). */
ati_member_key ati_members_put_key(ati_members *members, const char *prefix, ati_member_text key);

/* Writes a member with a text of at most `most` encoded bytes. */
void ati_members_put_text(ati_members *members, const char *prefix, ati_member_text key,
                          ati_member_text text, size_t most);

/* Notes the key of a value that was cut. */
void ati_members_note_cut(ati_members *members, ati_member_key key);

/* Whether the value of a key is not to be seen. */
static inline bool ati_members_redact(const ati_members *members, const char *key, size_t length) {
    return __builtin_expect(members->redaction != NULL, 0) &&
           ati_redaction_has(members->redaction, key, length);
}

/* What was cut so far, and the same for members that are added encoded. The keys are borrowed. */
ati_cut_keys ati_members_cut_keys(const ati_members *members);
void ati_members_note_cut_keys(ati_members *members, const ati_cut_keys *cut);

/* Writes the members of an error (error_members.c). Not in line, as lines without one need not pay
 * for it. */
__attribute__((noinline)) void ati_members_put_error(ati_members *members, const char *prefix,
                                                     const at_error *error);

/* Writes a member with a tree, of at most `most` encoded bytes; false: there is no room for any
 * (json_member.c). */
bool ati_members_put_json(ati_members *members, ati_member_text key, const struct json_t *json,
                          size_t most);

#endif
