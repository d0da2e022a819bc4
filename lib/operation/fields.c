/* SPDX-License-Identifier: MIT */
#include "operation/fields.h"

#include <string.h>

/* Whether there is a key among these members. */
static bool has_key(ati_member_text members, ati_member_key key) {
    const char *from = members.bytes;
    ati_encoded_member member;
    while (ati_keys_next_member(&from, members.bytes + members.length, &member))
        if (member.key_length == key.length && memcmp(member.key, key.bytes, key.length) == 0)
            return true;
    return false;
}

static void add_outer_fields(ati_members *members, ati_member_text own, ati_member_text outer) {
    const char *from = outer.bytes;
    ati_encoded_member member;
    while (ati_keys_next_member(&from, outer.bytes + outer.length, &member))
        if (!has_key(own, (ati_member_key){member.key, member.key_length}))
            ati_members_add_encoded(members, (ati_member_text){member.start, member.length});
}

/* What was cut around it is cut here, unless it has a field of that name itself. */
static void note_outer_cuts(ati_members *members, ati_member_text own, const ati_cut_keys *cut) {
    const char *end = cut->keys.bytes + cut->keys.length;
    for (const char *at = cut->keys.bytes; at < end; at++) {
        const char *behind = ati_json_skip_string(at, end);
        const ati_member_key key = {at + 1, (size_t)(behind - at) - 2};
        if (!has_key(own, key))
            ati_members_note_cut(members, key);
        at = behind; /* the comma */
    }
    members->cut_count += cut->count - cut->named;
}

void ati_operation_fields_encode(ati_operation_fields *made, const at_field *fields, size_t count,
                                 const ati_context *outer, const ati_redaction *redaction) {
    ati_members *members = &made->members;
    ati_members_init(members, made->bytes, sizeof made->bytes, redaction);
    ati_members_keep_room(members, fields, count);
    ati_members_add(members, fields, count);
    if (!outer)
        return;
    const ati_member_text own = {made->bytes, (size_t)(members->at - made->bytes)};
    add_outer_fields(members, own, (ati_member_text){outer->log_fields, outer->log_fields_length});
    if (outer->log_cut)
        note_outer_cuts(members, own, outer->log_cut);
}

size_t ati_cut_keys_size(const ati_cut_keys *cut) {
    return cut->count > 0 ? (sizeof *cut + cut->keys.length + 7) & ~(size_t)7 : 0;
}

void ati_cut_keys_copy(void *to, const ati_cut_keys *cut) {
    ati_cut_keys *copy = to;
    *copy = *cut;
    copy->keys.bytes = memcpy(copy + 1, cut->keys.bytes, cut->keys.length);
}
