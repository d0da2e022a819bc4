/* SPDX-License-Identifier: MIT */
#include "log/members.h"

#include "log/number.h"
#include "log/put.h"

#include <jansson.h>

/* A tree of jansson, written straight into a line. What it holds is not trusted: texts may be no
 * UTF-8, numbers not finite, and a container may lie in itself. It is gone through without
 * recursion and no deeper than depth_max. Each value takes room, and those that are left out are
 * counted, so that it ends. */
enum {
    depth_max = 32,
    left_out_max = 1000,                                    /* members; then the rest is */
    member_room = ATI_MEMBER_KEY_MAX + 4 + ATI_NUMBER_ROOM, /* for a member but its text */
    least_room = 2 * ATI_NUMBER_ROOM + depth_max,
};

typedef struct level {
    json_t *container;
    size_t index;   /* of an array: the next element */
    void *iterator; /* of an object: the next member, or NULL */
} level;

typedef struct writing {
    char *at;
    const char *limit; /* brackets that close may stand behind it */
    uint32_t depth;
    uint32_t left_out;
    bool whole;
    const ati_members *members; /* that it is one of */
    level levels[depth_max];
} writing;

static size_t room_left(const writing *tree) {
    return tree->at < tree->limit ? (size_t)(tree->limit - tree->at) : 0;
}

static bool is_object(const level *top) {
    return json_typeof(top->container) == JSON_OBJECT;
}

static void put_string(writing *tree, const json_t *value) {
    *tree->at++ = '"';
    tree->whole &= ati_text_put(&tree->at, room_left(tree) - 1, json_string_value(value),
                                json_string_length(value));
    *tree->at++ = '"';
}

static void open_container(writing *tree, json_t *container) {
    bool object = json_typeof(container) == JSON_OBJECT;
    *tree->at++ = object ? '{' : '[';
    if (tree->depth == depth_max) {
        *tree->at++ = object ? '}' : ']';
        tree->whole &= (object ? json_object_size(container) : json_array_size(container)) == 0;
        return;
    }
    void *iterator = object ? json_object_iter(container) : NULL;
    tree->levels[tree->depth++] = (level){container, 0, iterator};
}

/* A value, or how it begins. There is room for a number. */
static void put_value(writing *tree, json_t *value) {
    switch (value ? (int)json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        open_container(tree, value);
        break;
    case JSON_STRING:
        put_string(tree, value);
        break;
    case JSON_INTEGER:
        tree->at = ati_number_integer(tree->at, json_integer_value(value));
        break;
    case JSON_REAL:
        tree->at = ati_number_double(tree->at, json_real_value(value));
        break;
    case JSON_TRUE:
        tree->at = ATI_PUT_LITERAL(tree->at, "true");
        break;
    case JSON_FALSE:
        tree->at = ATI_PUT_LITERAL(tree->at, "false");
        break;
    case JSON_NULL:
        tree->at = ATI_PUT_LITERAL(tree->at, "null");
        break;
    default: /* no value at all */
        tree->at = ATI_PUT_LITERAL(tree->at, "null");
        tree->whole = false;
        break;
    }
}

static void put_comma(writing *tree) {
    if (tree->at[-1] != '{' && tree->at[-1] != '[')
        *tree->at++ = ',';
}

static size_t key_length(void *iterator) {
#if JANSSON_VERSION_HEX >= 0x020e00
    return json_object_iter_key_len(iterator);
#else
    return strlen(json_object_iter_key(iterator));
#endif
}

/* Writes `"key":`; false, and nothing is written: it is none that every reader understands. */
static bool put_key(writing *tree, void *iterator) {
    const char *key = json_object_iter_key(iterator);
    size_t length = key_length(iterator);
    if (length > ATI_MEMBER_KEY_MAX || memchr(key, '\0', length) || !ati_text_is_utf8(key, length))
        return false;
    char *start = tree->at;
    put_comma(tree);
    *tree->at++ = '"';
    if (!ati_text_put(&tree->at, ATI_MEMBER_KEY_MAX, key, length)) {
        tree->at = start;
        return false;
    }
    tree->at = ATI_PUT_LITERAL(tree->at, "\":");
    return true;
}

static void put_next_member(writing *tree, level *top) {
    void *iterator = top->iterator;
    top->iterator = json_object_iter_next(top->container, iterator);
    if (!put_key(tree, iterator))
        tree->left_out++;
    else if (ati_members_redact(tree->members, json_object_iter_key(iterator),
                                key_length(iterator)))
        tree->at = ATI_PUT_LITERAL(tree->at, "\"" ATI_REDACTED "\"");
    else
        put_value(tree, json_object_iter_value(iterator));
}

static void put_next_element(writing *tree, level *top) {
    put_comma(tree);
    put_value(tree, json_array_get(top->container, top->index++));
}

static bool at_end(const level *top) {
    return is_object(top) ? !top->iterator : top->index >= json_array_size(top->container);
}

/* Goes through what the first value has opened. */
static void put_contents(writing *tree) {
    while (tree->depth > 0) {
        level *top = &tree->levels[tree->depth - 1];
        bool object = is_object(top);
        bool ended = at_end(top);
        if (!ended && (room_left(tree) < member_room || tree->left_out > left_out_max)) {
            tree->whole = false;
            ended = true;
        }
        if (ended) {
            *tree->at++ = object ? '}' : ']';
            tree->depth--;
        } else if (object) {
            put_next_member(tree, top);
        } else {
            put_next_element(tree, top);
        }
    }
}

bool ati_members_put_json(ati_members *members, const char *key, const json_t *json, size_t most) {
    if (!ati_members_have_room(members, least_room))
        return false;
    ati_member_key written = ati_members_put_key(members, NULL, key);
    size_t room = ati_members_room(members);
    writing tree;
    tree.at = members->at;
    tree.limit = members->at + (room < most ? room : most) - depth_max;
    tree.depth = 0;
    tree.left_out = 0;
    tree.whole = true;
    tree.members = members;
    put_value(&tree, (json_t *)json);
    put_contents(&tree);
    members->at = tree.at;
    if (!tree.whole || tree.left_out > 0)
        ati_members_note_cut(members, written);
    return true;
}
