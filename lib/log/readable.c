/* SPDX-License-Identifier: MIT */
#include "log/readable.h"

#include "log/keys.h"

#include <stdbool.h>
#include <string.h>

typedef struct output {
    char *at;
    char *end; /* room for the closing bracket and the newline is behind it */
} output;

static void put(output *to, const char *bytes, size_t length) {
    size_t room = (size_t)(to->end - to->at);
    if (length > room)
        length = room;
    memcpy(to->at, bytes, length);
    to->at += length;
}

/* A value as it stands in the line; quotes go where a word needs none. */
static void put_value(output *to, const char *value, size_t length) {
    bool word = length > 2 && value[0] == '"';
    for (size_t i = 1; word && i + 1 < length; i++)
        if (value[i] == ' ' || value[i] == '\\' || value[i] == '=' || value[i] == '"')
            word = false;
    if (word)
        put(to, value + 1, length - 2);
    else
        put(to, value, length);
}

static bool key_is(const ati_encoded_member *member, const char *name) {
    return member->key_length == strlen(name) && memcmp(member->key, name, member->key_length) == 0;
}

/* What people look for last, in brackets at the end of the line. */
static bool is_aside(const ati_encoded_member *member) {
    return key_is(member, "thread") || key_is(member, "source");
}

/* ts, level and event, which lead each line. */
static void put_leader(output *to, const ati_encoded_member *member, const char *value,
                       size_t length) {
    if (key_is(member, "ts") && length > 25) {
        put(to, value + 12, 12); /* the time of day, to the millisecond */
        put(to, " ", 1);
    } else if (key_is(member, "level") && length <= 7) {
        for (size_t i = 0; i < 6; i++) {
            char letter = i + 2 < length ? value[i + 1] : ' ';
            if (letter >= 'a' && letter <= 'z')
                letter = (char)(letter - 'a' + 'A');
            put(to, &letter, 1);
        }
    } else {
        put_value(to, value, length);
    }
}

size_t ati_readable_line(char *text, const char *line, size_t size) {
    output to = {text, text + ATI_READABLE_MAX - 4};
    char aside[512];
    output behind = {aside, aside + sizeof aside};
    const char *end = line + size;
    while (end > line && end[-1] != '}')
        end--;
    end -= end > line;
    const char *from = line;
    ati_encoded_member member;
    for (int number = 0; ati_keys_next_member(&from, end, &member); number++) {
        const char *value = member.key + member.key_length + 2;
        size_t length = (size_t)(member.start + member.length - value);
        if (number < 3) {
            put_leader(&to, &member, value, length);
        } else {
            output *place = is_aside(&member) ? &behind : &to;
            put(place, " ", 1);
            if (place == &to) {
                put(place, member.key, member.key_length);
                put(place, "=", 1);
            }
            put_value(place, value, length);
        }
    }
    if (behind.at > aside) {
        put(&to, " (", 2);
        put(&to, aside + 1, (size_t)(behind.at - aside - 1));
        to.end += 2;
        put(&to, ")", 1);
    }
    *to.at++ = '\n';
    return (size_t)(to.at - text);
}
