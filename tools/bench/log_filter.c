/* SPDX-License-Identifier: MIT */
#include "log_filter.h"

#include <string.h>

static bool is_below(const char *name, const char *above) {
    size_t length = strlen(above);
    return name && strncmp(name, above, length) == 0 &&
           (name[length] == '\0' || name[length] == '.');
}

static bool is_same(const char *text, const char *wanted) {
    return text && strcmp(text, wanted) == 0;
}

/* All times have the same shape, so that their order is that of their letters. */
static int compare_times(const char *ts, const char *time) {
    size_t length = strcspn(time, "Z");
    return strncmp(ts, time, length);
}

bool log_filter_takes(const struct log_filter *filter, const struct log_line *line) {
    return line->level >= filter->level &&
           (!filter->event || is_below(line->event, filter->event)) &&
           (!filter->logger || is_below(line->logger, filter->logger)) &&
           (!filter->operation || is_same(line->operation, filter->operation) ||
            is_same(line->operation_id, filter->operation)) &&
           (!filter->trace || is_same(line->trace_id, filter->trace)) &&
           (!filter->since || compare_times(line->ts, filter->since) >= 0) &&
           (!filter->until || compare_times(line->ts, filter->until) < 0);
}
