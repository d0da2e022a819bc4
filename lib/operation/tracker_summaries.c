/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "operation/tracker.h"

#include <string.h>

enum { shown_names = 20 }; /* in a dump */

/* What at_tracker_get_summaries gives: this, and the summaries behind it. */
typedef struct sums {
    at_tracker_summaries summaries;
    at_tracker *tracker; /* keeps the names; a reference, or NULL */
    size_t size;
    at_tracker_summary list[];
} sums;

static at_tracker_summary sum_up(const ati_tracker_name *name, ati_histogram_total *total) {
    at_tracker_summary summary = {.name = name->text};
    memset(total, 0, sizeof *total);
    ati_tracker_name_add(name, summary.outcomes, total);
    for (int i = 0; i < AT_OPERATION_OUTCOME_COUNT; i++)
        summary.count += summary.outcomes[i];
    if (total->count > 0)
        summary.mean = (at_duration)(total->sum / total->count);
    summary.median = (at_duration)ati_histogram_quantile(total, 500);
    summary.p90 = (at_duration)ati_histogram_quantile(total, 900);
    summary.p99 = (at_duration)ati_histogram_quantile(total, 990);
    summary.p999 = (at_duration)ati_histogram_quantile(total, 999);
    summary.max = (at_duration)total->max;
    return summary;
}

/* Names without events (since at_tracker_reset) are left out. */
static void fill(sums *made, const at_tracker *tracker, const ati_tracker_name *last,
                 ati_histogram_total *total) {
    size_t count = 0;
    uint64_t recorded = 0;
    for (const ati_tracker_name *name = last; name; name = name->next) {
        made->list[count] = sum_up(name, total);
        recorded += made->list[count].count;
        count += made->list[count].count > 0;
    }
    made->summaries = (at_tracker_summaries){
        .summaries = made->list,
        .count = count,
        .recorded = recorded,
        .lost = ati_counter_read(&tracker->rings.lost),
    };
}

/* NULL: no memory. Takes no reference of the tracker. */
static sums *create(at_tracker *tracker) {
    size_t count = 0;
    const ati_tracker_name *last = ati_tracker_names_last(&tracker->names);
    for (const ati_tracker_name *name = last; name; name = name->next)
        count++;
    size_t size = sizeof(sums) + count * sizeof(at_tracker_summary);
    ati_histogram_total *total = ati_allocate(sizeof *total);
    sums *made = total ? ati_allocate(size) : NULL;
    if (made) {
        made->tracker = NULL;
        made->size = size;
        fill(made, tracker, last, total);
    }
    ati_release(total, sizeof *total);
    return made;
}

at_status at_tracker_get_summaries(at_tracker *tracker, at_tracker_summaries **summaries) {
    ATI_CALLER_CHECK(tracker, "at_tracker_get_summaries", "`tracker` is NULL");
    ATI_CALLER_CHECK(summaries, "at_tracker_get_summaries", "`summaries` is NULL");
    sums *made = create(tracker);
    if (!made)
        return ati_fail(AT_ERROR_NO_MEMORY, "at_tracker_get_summaries: out of memory");
    made->tracker = at_tracker_retain(tracker);
    *summaries = &made->summaries;
    return AT_OK;
}

void at_tracker_summaries_release(at_tracker_summaries *summaries) {
    if (!summaries)
        return;
    sums *made = (sums *)summaries;
    at_tracker_release(made->tracker);
    ati_release(made, made->size);
}

/* -- The dump -- */

/* Puts the summaries that occurred most often, at most `shown_names`, to the front. */
static size_t sort_busiest(sums *made) {
    size_t shown = made->summaries.count < shown_names ? made->summaries.count : shown_names;
    for (size_t i = 0; i < shown; i++)
        for (size_t j = i + 1; j < made->summaries.count; j++)
            if (made->list[j].count > made->list[i].count) {
                at_tracker_summary before = made->list[i];
                made->list[i] = made->list[j];
                made->list[j] = before;
            }
    return shown;
}

static void write_summary(const at_tracker_summary *summary, ati_json *json) {
    ati_json_begin_object(json, NULL);
    ati_json_text(json, "name", summary->name);
    ati_json_unsigned(json, "count", summary->count);
    for (int i = AT_OPERATION_OK + 1; i < AT_OPERATION_OUTCOME_COUNT; i++)
        if (summary->outcomes[i] > 0)
            ati_json_unsigned(json, at_operation_outcome_name((at_operation_outcome)i),
                              summary->outcomes[i]);
    ati_json_integer(json, "mean_ns", summary->mean);
    ati_json_integer(json, "p50_ns", summary->median);
    ati_json_integer(json, "p99_ns", summary->p99);
    ati_json_integer(json, "max_ns", summary->max);
    ati_json_end_object(json);
}

void ati_tracker_write_summaries(at_tracker *tracker, ati_json *json) {
    sums *made = create(tracker);
    if (!made) {
        ati_json_null(json, "names");
        return;
    }
    ati_json_unsigned(json, "recorded", made->summaries.recorded);
    ati_json_unsigned(json, "lost", made->summaries.lost);
    size_t shown = sort_busiest(made);
    ati_json_begin_array(json, "names");
    for (size_t i = 0; i < shown; i++)
        write_summary(&made->list[i], json);
    ati_json_end_array(json);
    if (made->summaries.count > shown)
        ati_json_unsigned(json, "names_not_shown", made->summaries.count - shown);
    ati_release(made, made->size);
}
