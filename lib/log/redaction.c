/* SPDX-License-Identifier: MIT */
#include "log/redaction.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "log/keys.h"
#include "log/put.h"

static char lower(char letter) {
    return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

static at_status refuse(const char *call, const char *name, size_t length, const char *reason) {
    return ati_fail(AT_ERROR_INVALID, "%s: `redacted_keys` has \"%.*s\", which %s", call,
                    (int)(length < ATI_REDACTION_NAME_MAX ? length : ATI_REDACTION_NAME_MAX), name,
                    reason);
}

/* Names stand in lines as they are: those that would need an escape are no names. */
static at_status check_name(const char *call, const char *name, size_t length) {
    if (length == 0)
        return refuse(call, name, length, "is no name");
    if (length > ATI_REDACTION_NAME_MAX)
        return refuse(call, name, length, "begins a name of more than 63 bytes");
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f || name[i] == '"' || name[i] == '\\')
            return refuse(call, "", 0, "has a control character, a quote or a backslash");
    if (!ati_text_is_utf8(name, length))
        return refuse(call, "", 0, "is not UTF-8");
    return AT_OK;
}

/* Without the spaces around it. */
static const char *trim(const char *name, size_t *length) {
    while (*length > 0 && *name == ' ') {
        name++;
        (*length)--;
    }
    while (*length > 0 && name[*length - 1] == ' ')
        (*length)--;
    return name;
}

at_status ati_redaction_create(ati_redaction **list, const char *call, const char *names) {
    *list = NULL;
    if (!names || !*names)
        return AT_OK;
    size_t size = sizeof(ati_redaction) + strlen(names) + 2;
    ati_redaction *made = ati_allocate_zeroed(size);
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "%s: no memory for `redacted_keys`", call);
    made->size = size;
    char *to = made->names;
    for (const char *from = names;; from++) {
        size_t whole = strcspn(from, ",");
        size_t length = whole;
        const char *name = trim(from, &length);
        at_status status = check_name(call, name, length);
        if (status != AT_OK) {
            ati_redaction_destroy(made);
            return status;
        }
        made->lengths |= (uint64_t)1 << length;
        *to++ = (char)length;
        for (size_t i = 0; i < length; i++)
            *to++ = lower(name[i]);
        from += whole;
        if (!*from)
            break;
    }
    *list = made;
    return AT_OK;
}

void ati_redaction_destroy(ati_redaction *list) {
    while (list) {
        ati_redaction *older = list->older;
        ati_release(list, list->size);
        list = older;
    }
}

bool ati_redaction_is_same(const ati_redaction *a, const ati_redaction *b) {
    return strcmp(a->names, b->names) == 0;
}

static bool has_name(const ati_redaction *list, const char *key, size_t length) {
    if (length > ATI_REDACTION_NAME_MAX || !(list->lengths >> length & 1))
        return false;
    for (const char *name = list->names; *name; name += 1 + *name) {
        size_t same = 0;
        while (same < length && (size_t)*name == length && name[1 + same] == lower(key[same]))
            same++;
        if (same == length)
            return true;
    }
    return false;
}

/* Without a suffix of an underscore and digits. */
static size_t length_without_suffix(const char *key, size_t length) {
    size_t left = length;
    while (left > 0 && key[left - 1] >= '0' && key[left - 1] <= '9')
        left--;
    return left < length && left > 0 && key[left - 1] == '_' ? left - 1 : length;
}

/* A key may have been made unique more than once. */
static bool has_stem(const ati_redaction *list, const char *key, size_t length) {
    for (;;) {
        if (has_name(list, key, length))
            return true;
        size_t shorter = length_without_suffix(key, length);
        if (shorter == length)
            return false;
        length = shorter;
    }
}

bool ati_redaction_has(const ati_redaction *list, const char *key, size_t length) {
    if (has_stem(list, key, length))
        return true;
    const char *dot = memrchr(key, '.', length);
    return dot && has_stem(list, dot + 1, (size_t)(key + length - dot - 1));
}

bool ati_redaction_has_member(const ati_redaction *list, const char *key, size_t length) {
    if (ati_redaction_has(list, key, length))
        return true;
    const char *dot = memrchr(key, '.', length);
    return dot && ati_redaction_has(list, key, (size_t)(dot - key));
}

char *ati_redaction_copy(const ati_redaction *list, char *to, const char *limit, const char *json,
                         size_t length) {
    const char *end = json + length;
    while (json < end) {
        const char *next = *json == '"' ? ati_json_skip_string(json, end) : json + 1;
        if ((size_t)(limit - to) < (size_t)(next - json))
            return NULL;
        to = ati_put(to, json, (size_t)(next - json));
        if (next < end && *next == ':' && next - json >= 2 &&
            ati_redaction_has(list, json + 1, (size_t)(next - json - 2))) {
            static const char value[] = ":\"" ATI_REDACTED "\"";
            if ((size_t)(limit - to) < sizeof value - 1)
                return NULL;
            to = ATI_PUT_LITERAL(to, value);
            next = ati_json_skip_value(next + 1, end);
        }
        json = next;
    }
    return to;
}
