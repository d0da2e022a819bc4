/* SPDX-License-Identifier: MIT */
#include "work/map_progress.h"

#include "base/frame.h"
#include "pool/exception.h"

static const at_duration line_interval = AT_MILLISECONDS(250);

static bool is_wanted(const ati_map_progress *progress) {
    return progress->options->on_progress || progress->options->progress_logger;
}

void ati_map_progress_init(ati_map_progress *progress, const at_map_options *options,
                           ati_context *context, size_t total) {
    progress->options = options;
    progress->context = context;
    progress->total = total;
    if (options->progress_logger)
        progress->next_line = at_after(line_interval);
}

/* All lines of a map are of its operation, also the one that its caller writes. */
static void write_line(const ati_map_progress *progress, uint64_t completed, uint64_t not_run) {
    at_logger *logger = progress->options->progress_logger;
    ati_frame frame;
    ati_frame_enter(&frame, progress->context, NULL, NULL);
    if (not_run == 0)
        at_log_info(logger, "batch_progress", at_kv("completed", completed),
                    at_kv("total", progress->total));
    else
        at_log_info(logger, "batch_progress", at_kv("completed", completed),
                    at_kv("total", progress->total), at_kv("not_run", not_run));
    ati_frame_leave(&frame);
}

/* In a frame of its own: what the user's function leaves there is not the map's. */
static void tell(ati_map_progress *progress, uint64_t completed) {
    const at_map_options *options = progress->options;
    progress->told = completed;
    if (options->on_progress) {
        ati_frame frame;
        ATI_STOP_EXCEPTIONS;
        ati_frame_enter(&frame, ati_frame_current()->context, NULL, NULL);
        options->on_progress(completed, progress->total, options->context);
        ati_frame_leave(&frame);
    }
}

static bool is_line_due(ati_map_progress *progress) {
    if (!progress->options->progress_logger)
        return false;
    int64_t now = at_clock_now(at_clock_current());
    if (now < progress->next_line)
        return false;
    progress->next_line = now + line_interval;
    return true;
}

/* Who comes while somebody is telling leaves it to that one, who may miss it: then the next to come
 * tells of both. */
static void tell_latest(ati_map_progress *progress) {
    uint64_t completed = atomic_load_explicit(&progress->completed, memory_order_relaxed);
    while (completed < progress->total && ati_try_lock_acquire(&progress->telling)) {
        if (completed > progress->told) {
            tell(progress, completed);
            if (is_line_due(progress))
                write_line(progress, completed, 0);
        }
        ati_try_lock_release(&progress->telling);
        uint64_t latest = atomic_load_explicit(&progress->completed, memory_order_relaxed);
        if (latest == completed)
            break;
        completed = latest;
    }
}

void ati_map_progress_add(ati_map_progress *progress, uint64_t count) {
    if (count == 0 || !is_wanted(progress))
        return;
    atomic_fetch_add_explicit(&progress->completed, count, memory_order_relaxed);
    tell_latest(progress);
}

void ati_map_progress_end(ati_map_progress *progress, uint64_t not_run) {
    tell(progress, progress->total);
    if (progress->options->progress_logger)
        write_line(progress, progress->total - not_run, not_run);
}
