/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "operation/tracker.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The bounds of the histogram: one below a power of two of nanoseconds, so that the counts are
 * exact; from a microsecond to 137 seconds. */
enum { first_power = 10, last_power = 37 };

enum {
    first_size = 8192,
    longest_line = 2048,                     /* two labels and what stands around them */
    label_size = 2 * ATI_TRACKER_CLEAN_SIZE, /* each byte may have a backslash */
};

/* A text that grows; without memory it stays as it is. */
typedef struct page {
    char *bytes;
    size_t length;
    size_t size;
    bool is_exhausted;
} page;

static void make_room(page *written) {
    if (written->is_exhausted || written->size - written->length >= longest_line)
        return;
    size_t size = written->size ? 2 * written->size : first_size;
    char *bytes = ati_allocate(size);
    written->is_exhausted = !bytes;
    if (!bytes)
        return;
    if (written->bytes)
        memcpy(bytes, written->bytes, written->length);
    ati_release(written->bytes, written->size);
    written->bytes = bytes;
    written->size = size;
}

/* Writes less than `longest_line` bytes. */
__attribute__((format(printf, 2, 3))) static void write_line(page *written, const char *format,
                                                             ...) {
    make_room(written);
    if (written->is_exhausted)
        return;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(written->bytes + written->length, longest_line, format, arguments);
    va_end(arguments);
    written->length += (size_t)length;
}

/* Escapes the value of a label; it has no control characters. */
static void escape(char *to, const char *text) {
    for (; *text; text++) {
        if (*text == '\\' || *text == '"')
            *to++ = '\\';
        *to++ = *text;
    }
    *to = '\0';
}

/* What stands in the braces of every line of a name. */
typedef struct labels {
    char text[2 * label_size + 32];
} labels;

static void make_labels(labels *made, const at_tracker *tracker, const ati_tracker_name *name) {
    char tracker_name[label_size];
    char operation[label_size];
    escape(tracker_name, tracker->name);
    escape(operation, name->text);
    if (tracker->name[0])
        snprintf(made->text, sizeof made->text, "tracker=\"%s\",operation=\"%s\"", tracker_name,
                 operation);
    else
        snprintf(made->text, sizeof made->text, "operation=\"%s\"", operation);
}

/* Of nanoseconds, without the locale's decimal point. */
#define SECONDS "%" PRIu64 ".%09" PRIu64
static const uint64_t second = 1000000000;

static const char *const histogram_name = "asynctools_operation_duration_seconds";

static void write_histogram(page *written, const labels *of, const ati_histogram_total *total) {
    uint64_t count = 0;
    uint32_t bucket = 0;
    for (int power = first_power; power <= last_power; power++) {
        uint64_t bound = (uint64_t)1 << power;
        while (bucket < ATI_HISTOGRAM_BUCKETS && ati_histogram_lowest(bucket) < bound)
            count += total->buckets[bucket++];
        write_line(written, "%s_bucket{%s,le=\"" SECONDS "\"} %" PRIu64 "\n", histogram_name,
                   of->text, (bound - 1) / second, (bound - 1) % second, count);
    }
    write_line(written, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", histogram_name, of->text,
               total->count);
    write_line(written, "%s_sum{%s} " SECONDS "\n", histogram_name, of->text, total->sum / second,
               total->sum % second);
    write_line(written, "%s_count{%s} %" PRIu64 "\n", histogram_name, of->text, total->count);
}

static void write_histograms(page *written, at_tracker *tracker, ati_histogram_total *total) {
    labels of;
    write_line(written,
               "# HELP %s How long operations took.\n"
               "# TYPE %s histogram\n",
               histogram_name, histogram_name);
    for (const ati_tracker_name *name = ati_tracker_names_last(&tracker->names); name;
         name = name->next) {
        uint64_t outcomes[AT_OPERATION_OUTCOME_COUNT] = {0};
        memset(total, 0, sizeof *total);
        ati_tracker_name_add(name, outcomes, total);
        if (total->count == 0)
            continue;
        make_labels(&of, tracker, name);
        write_histogram(written, &of, total);
    }
}

static void write_outcomes(page *written, at_tracker *tracker, ati_histogram_total *total) {
    labels of;
    write_line(written, "# HELP asynctools_operations_total Operations that ended.\n"
                        "# TYPE asynctools_operations_total counter\n");
    for (const ati_tracker_name *name = ati_tracker_names_last(&tracker->names); name;
         name = name->next) {
        uint64_t outcomes[AT_OPERATION_OUTCOME_COUNT] = {0};
        memset(total, 0, sizeof *total);
        ati_tracker_name_add(name, outcomes, total);
        if (total->count == 0)
            continue;
        make_labels(&of, tracker, name);
        for (int i = 0; i < AT_OPERATION_OUTCOME_COUNT; i++)
            write_line(written, "asynctools_operations_total{%s,outcome=\"%s\"} %" PRIu64 "\n",
                       of.text, at_operation_outcome_name((at_operation_outcome)i), outcomes[i]);
    }
}

static void write_lost(page *written, const at_tracker *tracker) {
    char name[label_size];
    escape(name, tracker->name);
    write_line(written,
               "# HELP asynctools_events_lost_total Operations that are counted but not kept.\n"
               "# TYPE asynctools_events_lost_total counter\n");
    write_line(written, "asynctools_events_lost_total%s%s%s %" PRIu64 "\n",
               name[0] ? "{tracker=\"" : "", name, name[0] ? "\"}" : "",
               ati_counter_read(&tracker->rings.lost));
}

at_status at_tracker_prometheus(at_tracker *tracker, char **text) {
    ATI_CALLER_CHECK(tracker, "at_tracker_prometheus", "`tracker` is NULL");
    ATI_CALLER_CHECK(text, "at_tracker_prometheus", "`text` is NULL");
    ati_histogram_total *total = ati_allocate(sizeof *total);
    page written = {.is_exhausted = !total};
    if (total) {
        write_histograms(&written, tracker, total);
        write_outcomes(&written, tracker, total);
        write_lost(&written, tracker);
    }
    ati_release(total, sizeof *total);
    /* Who releases the text knows its length alone. */
    char *exact = written.is_exhausted ? NULL : ati_copy_text(written.bytes);
    ati_release(written.bytes, written.size);
    if (!exact)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_tracker_prometheus: out of memory");
    *text = exact;
    return AT_OK;
}
