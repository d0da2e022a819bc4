/* SPDX-License-Identifier: MIT */
/* A field lies in the buffer as a head, its key with a NUL, and its value. */
#include "operation/metadata.h"

#include "base/memory.h"
#include "log/members.h"

#include <string.h>

typedef struct kept_field {
    uint16_t size; /* of the whole */
    uint8_t type;  /* at_field_type */
    uint8_t key_length;
} kept_field;

enum {
    key_max = 200, /* a line would have less; cut, it might not be known as one that is hidden */
    scalar_size = 8,
};

static char *bytes_of(const ati_metadata *metadata) {
    return metadata->more ? metadata->more : (char *)metadata->own;
}

static kept_field head_at(const char *from) {
    kept_field head;
    memcpy(&head, from, sizeof head);
    return head;
}

/* Releases the error that the field at `place` keeps, if it is one. */
static void drop(const char *place, kept_field head) {
    if (head.type != AT_FIELD_ERROR)
        return;
    at_error *error;
    memcpy(&error, place + head.size - sizeof error, sizeof error);
    at_error_release(error);
}

static void take_out(ati_metadata *metadata, char *place) {
    kept_field head = head_at(place);
    drop(place, head);
    char *end = bytes_of(metadata) + metadata->size;
    memmove(place, place + head.size, (size_t)(end - place) - head.size);
    metadata->size -= head.size;
    metadata->count--;
}

static void take_out_key(ati_metadata *metadata, const char *key, size_t length) {
    char *place = bytes_of(metadata);
    for (uint32_t i = 0; i < metadata->count; i++) {
        kept_field head = head_at(place);
        if (head.key_length == length && memcmp(place + sizeof head, key, length) == 0) {
            take_out(metadata, place);
            return;
        }
        place += head.size;
    }
}

/* A call of memcpy: where the compiler knows a bound of the size it makes string instructions of
 * it, which take thirty times as long to begin. */
static void copy(char *to, const void *from, size_t size) {
    __asm__("" : "+r"(size));
    memcpy(to, from, size);
}

/* Gives room for `size` more bytes, or NULL. */
static char *find_room(ati_metadata *metadata, size_t size) {
    if (metadata->count == ATI_METADATA_FIELDS)
        return NULL;
    if (metadata->size + size <= (metadata->more ? ATI_METADATA_BYTES : ATI_METADATA_OWN))
        return bytes_of(metadata) + metadata->size;
    if (metadata->more || metadata->size + size > ATI_METADATA_BYTES)
        return NULL;
    char *more = ati_allocate(ATI_METADATA_BYTES);
    if (!more)
        return NULL;
    memcpy(more, metadata->own, metadata->size);
    metadata->more = more;
    return more + metadata->size;
}

/* Encodes a tree into `room`, within which it has to be changed no more; gives it as a field, or a
 * null without room for it. */
static at_field encode_tree(char room[ATI_METADATA_BYTES], const at_field *field,
                            const ati_redaction *redaction) {
    ati_members members;
    ati_members_init(&members, room, ATI_METADATA_BYTES, redaction);
    ati_members_add(&members, field, 1);
    const char *from = room;
    ati_encoded_member member;
    if (!ati_keys_next_member(&from, members.at, &member))
        return at_kv_null(field->key);
    const char *value = member.key + member.key_length + 2; /* ": */
    return ati_field_encoded(field->key, value, (size_t)(members.at - value));
}

/* What the value of a field is kept as. */
typedef struct kept_value {
    const void *bytes;
    size_t size;
    at_field_type type;
} kept_value;

static kept_value value_of(const at_field *field) {
    switch ((int)field->type) {
    case AT_FIELD_BOOL:
    case AT_FIELD_INTEGER:
    case AT_FIELD_UNSIGNED:
    case AT_FIELD_DOUBLE:
        return (kept_value){&field->value, scalar_size, field->type};
    case AT_FIELD_TEXT: {
        if (!field->value.text)
            return (kept_value){NULL, 0, AT_FIELD_NULL};
        bool terminated = field->length == AT_FIELD_TERMINATED;
        size_t length = terminated ? strlen(field->value.text) : field->length;
        return (kept_value){field->value.text, length, AT_FIELD_TEXT};
    }
    case AT_FIELD_BYTES:
    case ATI_FIELD_ENCODED:
        if (!field->value.bytes)
            return (kept_value){NULL, 0, AT_FIELD_NULL};
        return (kept_value){field->value.bytes, field->length, field->type};
    case AT_FIELD_ERROR:
        if (!field->value.error)
            return (kept_value){NULL, 0, AT_FIELD_NULL};
        return (kept_value){&field->value.error, sizeof field->value.error, AT_FIELD_ERROR};
    case AT_FIELD_REDACTED:
        return (kept_value){NULL, 0, AT_FIELD_REDACTED};
    default:
        return (kept_value){NULL, 0, AT_FIELD_NULL};
    }
}

static size_t length_of_key(const at_field *field, const char *key) {
    if (field->key_length == 0)
        return strnlen(key, key_max + 1);
    return field->key_length;
}

static void add(ati_metadata *metadata, const at_field *field) {
    const char *key = field->key ? field->key : "";
    size_t key_length = length_of_key(field, key);
    if (key_length > key_max) {
        metadata->dropped++;
        return;
    }
    if (metadata->count > 0)
        take_out_key(metadata, key, key_length);
    kept_value value = value_of(field);
    size_t size = sizeof(kept_field) + key_length + 1 + value.size;
    char *to = value.size <= ATI_METADATA_BYTES ? find_room(metadata, size) : NULL;
    if (!to) {
        metadata->dropped++;
        return;
    }
    kept_field head = {(uint16_t)size, (uint8_t)value.type, (uint8_t)key_length};
    memcpy(to, &head, sizeof head);
    to += sizeof head;
    copy(to, key, key_length);
    to[key_length] = '\0';
    to += key_length + 1;
    if (value.size == scalar_size)
        memcpy(to, value.bytes, scalar_size);
    else if (value.size > 0)
        copy(to, value.bytes, value.size);
    if (value.type == AT_FIELD_ERROR)
        at_error_retain(field->value.error);
    metadata->size += (uint32_t)size;
    metadata->count++;
}

static __attribute__((noinline)) void add_tree(ati_metadata *metadata, const at_field *field,
                                               const ati_redaction *redaction) {
    char room[ATI_METADATA_BYTES];
    at_field encoded = encode_tree(room, field, redaction);
    add(metadata, &encoded);
}

void ati_metadata_add(ati_metadata *metadata, const at_field *fields, size_t count,
                      const ati_redaction *redaction) {
    for (size_t i = 0; i < count; i++)
        if (fields[i].type == AT_FIELD_JSON && fields[i].value.json)
            add_tree(metadata, &fields[i], redaction);
        else
            add(metadata, &fields[i]);
}

size_t ati_metadata_get(const ati_metadata *metadata, at_field fields[ATI_METADATA_FIELDS]) {
    const char *from = bytes_of(metadata);
    for (uint32_t i = 0; i < metadata->count; i++) {
        kept_field head = head_at(from);
        const char *key = from + sizeof head;
        const char *value = key + head.key_length + 1;
        size_t size = (size_t)(from + head.size - value);
        at_field field = at_kv_text(key, value, size);
        field.type = (at_field_type)head.type;
        bool has_bytes = field.type == AT_FIELD_TEXT || field.type == AT_FIELD_BYTES ||
                         field.type == ATI_FIELD_ENCODED;
        if (!has_bytes)
            memcpy(&field.value, value, size);
        fields[i] = field;
        from += head.size;
    }
    return metadata->count;
}

void ati_metadata_deinit(ati_metadata *metadata) {
    const char *place = bytes_of(metadata);
    for (uint32_t i = 0; i < metadata->count; i++) {
        kept_field head = head_at(place);
        drop(place, head);
        place += head.size;
    }
    ati_release(metadata->more, ATI_METADATA_BYTES);
}
