/* SPDX-License-Identifier: MIT */
#include "log_summary.h"

#include <stdlib.h>
#include <string.h>

/* Copies as many whole characters as fit. */
static void copy_text(char *to, size_t size, const char *text) {
    size_t length = text ? strlen(text) : 0;
    if (length >= size)
        for (length = size - 1; length > 0 && (text[length] & 0xc0) == 0x80;)
            length--;
    if (length > 0)
        memcpy(to, text, length);
    to[length] = '\0';
}

/* FNV-1a, of G. Fowler, L. C. Noll and K.-P. Vo. */
static uint32_t hash_of(const char *text) {
    uint32_t hash = 2166136261u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

/* Finds or makes the counts of an event; the common ones when there is no place left. Names that
 * are the same as far as they are kept count as one. */
static struct log_event_count *find_event(struct log_summary *summary, const char *name) {
    enum { PLACES = sizeof(summary->places) / sizeof(summary->places[0]) };
    char kept[LOG_SUMMARY_TEXT];
    copy_text(kept, sizeof(kept), name);
    uint32_t place = hash_of(kept) % PLACES;
    while (summary->places[place] != 0) {
        struct log_event_count *found = &summary->events[summary->places[place] - 1];
        if (strcmp(found->name, kept) == 0)
            return found;
        place = (place + 1) % PLACES;
    }
    if (summary->event_count == LOG_SUMMARY_EVENTS)
        return &summary->other_events;
    summary->places[place] = (int16_t)(summary->event_count + 1);
    struct log_event_count *made = &summary->events[summary->event_count++];
    memcpy(made->name, kept, sizeof(kept));
    return made;
}

/* -- Operations that end -- */

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);
    return length > end_length && strcmp(text + length - end_length, end) == 0;
}

static void count_outcome(struct log_summary *summary, const char *outcome) {
    int i = 0;
    while (i < summary->outcome_count && strcmp(summary->outcomes[i].name, outcome) != 0)
        i++;
    if (i == LOG_SUMMARY_OUTCOMES)
        return;
    if (i == summary->outcome_count) {
        copy_text(summary->outcomes[i].name, sizeof(summary->outcomes[i].name), outcome);
        summary->outcome_count++;
    }
    summary->outcomes[i].count++;
}

/* Keeps an operation if it is one of the slowest. */
static void keep_slowest(struct log_summary *summary, const struct log_ended *ended) {
    int place = summary->slowest_count;
    while (place > 0 && summary->slowest[place - 1].duration_ms < ended->duration_ms)
        place--;
    if (place == LOG_SUMMARY_SLOWEST)
        return;
    if (summary->slowest_count < LOG_SUMMARY_SLOWEST)
        summary->slowest_count++;
    for (int i = summary->slowest_count - 1; i > place; i--)
        summary->slowest[i] = summary->slowest[i - 1];
    summary->slowest[place] = *ended;
}

static void add_ended(struct log_summary *summary, const struct log_line *line) {
    const json_t *duration = json_object_get(line->object, "duration_ms");
    if (!json_is_number(duration) || !line->operation_id)
        return;
    struct log_ended ended = {.duration_ms = json_number_value(duration)};
    copy_text(ended.ts, sizeof(ended.ts), line->ts);
    copy_text(ended.event, sizeof(ended.event), line->event);
    copy_text(ended.operation_id, sizeof(ended.operation_id), line->operation_id);
    copy_text(ended.trace_id, sizeof(ended.trace_id), line->trace_id);
    copy_text(ended.outcome, sizeof(ended.outcome),
              json_string_value(json_object_get(line->object, "outcome")));
    summary->ended++;
    count_outcome(summary, *ended.outcome ? ended.outcome : "unknown");
    keep_slowest(summary, &ended);
}

/* -- What a logger says about itself -- */

static uint64_t count_in(const struct log_line *line, const char *key) {
    const json_t *value = json_object_get(line->object, key);
    return json_is_integer(value) && json_integer_value(value) > 0
               ? (uint64_t)json_integer_value(value)
               : 0;
}

static void add_report(struct log_summary *summary, const struct log_line *line) {
    const char *event = line->event;
    if (strcmp(event, "log.dropped") == 0)
        summary->dropped += count_in(line, "dropped");
    else if (strcmp(event, "log.sampled") == 0)
        summary->sampled += count_in(line, "sampled");
    else if (strcmp(event, "log.write_failed") == 0)
        summary->write_failures++;
    uint64_t lost = strncmp(event, "log.", 4) == 0 ? count_in(line, "lost") : 0;
    bool is_new =
        strcmp(event, "log.lines_lost") == 0 && strcmp(log_level_names[line->level], "warn") == 0;
    if (is_new) {
        summary->newly_lost += lost;
        lost = summary->newly_lost;
    }
    if (lost > summary->lost)
        summary->lost = lost;
}

void log_summary_add(struct log_summary *summary, const struct log_line *line) {
    summary->lines++;
    summary->bytes += line->length;
    summary->levels[line->level]++;
    find_event(summary, line->event)->lines[line->level]++;
    if (!*summary->first || strcmp(line->ts, summary->first) < 0)
        copy_text(summary->first, sizeof(summary->first), line->ts);
    if (strcmp(line->ts, summary->last) > 0)
        copy_text(summary->last, sizeof(summary->last), line->ts);
    if (ends_with(line->event, ".completed") || ends_with(line->event, ".failed"))
        add_ended(summary, line);
    add_report(summary, line);
}
