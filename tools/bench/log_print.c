/* SPDX-License-Identifier: MIT */
#include "log_print.h"

#include <string.h>

static const char *const level_columns[LOG_LEVELS] = {"TRACE", "DEBUG", "INFO ",
                                                      "WARN ", "ERROR", "FATAL"};
static const char *const level_colours[LOG_LEVELS] = {"\033[2m",  "\033[36m", "\033[32m",
                                                      "\033[33m", "\033[31m", "\033[1;31m"};
static const char faint[] = "\033[2m", plain[] = "\033[0m";

/* How many bytes of `text` are a control character: C0, DEL, or C1 as UTF-8 has it. */
static size_t control_length(const unsigned char *text, size_t length) {
    if (text[0] < 0x20 || text[0] == 0x7f)
        return 1;
    return length > 1 && text[0] == 0xc2 && text[1] < 0xa0 ? 2 : 0;
}

void log_print_text(FILE *to, const char *text, size_t length) {
    const unsigned char *from = (const unsigned char *)text, *end = from + length;
    const unsigned char *at = from;
    while (at < end) {
        size_t control = control_length(at, (size_t)(end - at));
        if (control == 0) {
            at++;
            continue;
        }
        fwrite(from, 1, (size_t)(at - from), to);
        fprintf(to, "\\u%04x", at[control - 1]);
        from = at += control;
    }
    fwrite(from, 1, (size_t)(at - from), to);
}

/* -- The members as they stand in the line, which is known to be valid -- */

struct span {
    const char *bytes;
    size_t length;
};

static const char *skip_space(const char *at) {
    return at + strspn(at, " \t\r");
}

/* Behind the string that begins at `at`. */
static const char *skip_string(const char *at) {
    for (at++; *at != '"'; at++)
        at += *at == '\\';
    return at + 1;
}

/* Behind the value that begins at `at`. */
static const char *skip_value(const char *at) {
    int depth = 0;
    for (;;) {
        if (*at == '"') {
            at = skip_string(at);
            continue;
        }
        if (depth == 0 && strchr(",} \t\r", *at))
            return at;
        depth += *at == '{' || *at == '[';
        depth -= *at == '}' || *at == ']';
        at++;
    }
}

/* Gives the member behind the brace or comma at `*at`, the key without its quotes, and moves on. */
static bool next_member(const char **at, struct span *key, struct span *value) {
    const char *from = skip_space(*at);
    if (*from == '}')
        return false;
    key->bytes = skip_space(from + 1) + 1;
    from = skip_string(key->bytes - 1);
    key->length = (size_t)(from - 1 - key->bytes);
    value->bytes = skip_space(skip_space(from) + 1);
    *at = skip_value(value->bytes);
    value->length = (size_t)(*at - value->bytes);
    return true;
}

/* -- The line -- */

/* Quotes go where a word needs none. */
static void print_value(FILE *to, struct span value) {
    bool is_word = value.length > 2 && value.bytes[0] == '"';
    for (size_t i = 1; is_word && i + 1 < value.length; i++)
        is_word = !memchr(" \\=", value.bytes[i], 3);
    log_print_text(to, value.bytes + is_word, value.length - 2 * is_word);
}

static bool is_aside(struct span key) {
    return key.length == 6 &&
           (memcmp(key.bytes, "thread", 6) == 0 || memcmp(key.bytes, "source", 6) == 0);
}

/* The members behind ts, level and event, but for what stands aside. */
static void print_fields(FILE *to, const struct log_line *line, bool with_colours) {
    struct span key, value;
    const char *at = line->bytes;
    for (int number = 0; next_member(&at, &key, &value); number++) {
        if (number < 3 || is_aside(key))
            continue;
        fprintf(to, " %s", with_colours ? faint : "");
        log_print_text(to, key.bytes, key.length);
        fprintf(to, "=%s", with_colours ? plain : "");
        print_value(to, value);
    }
}

void log_print_line(FILE *to, const struct log_line *line, bool with_colours) {
    fprintf(to, "%.10s %.12s %s%s%s ", line->ts, line->ts + 11,
            with_colours ? level_colours[line->level] : "", level_columns[line->level],
            with_colours ? plain : "");
    log_print_text(to, line->event, strlen(line->event));
    print_fields(to, line, with_colours);
    const char *source = json_string_value(json_object_get(line->object, "source"));
    const char *thread = json_string_value(json_object_get(line->object, "thread"));
    fprintf(to, " %s(", with_colours ? faint : "");
    log_print_text(to, thread, strlen(thread));
    if (source) {
        fputc(' ', to);
        log_print_text(to, source, strlen(source));
    }
    fprintf(to, ")%s\n", with_colours ? plain : "");
}
