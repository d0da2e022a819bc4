/* SPDX-License-Identifier: MIT */
#include "work/task_manager.h"

static bool write_manager(const void *it, ati_json *json) {
    at_task_manager *manager = (at_task_manager *)it;
    at_task_manager_counts counts;
    at_task_manager_count(manager, &counts);
    ati_json_begin_object(json, NULL);
    ati_json_text(json, "name", manager->context->name);
    if (manager->max_concurrent == (uint64_t)AT_UNLIMITED)
        ati_json_null(json, "max_concurrent");
    else
        ati_json_unsigned(json, "max_concurrent", manager->max_concurrent);
    ati_json_bool(json, "cancelled", ati_context_reason(manager->context) != AT_CANCEL_NONE);
    ati_json_begin_object(json, "children");
    ati_json_unsigned(json, "started", counts.started);
    ati_json_unsigned(json, "queued", counts.queued);
    ati_json_unsigned(json, "running", counts.running);
    ati_json_unsigned(json, "succeeded", counts.succeeded);
    ati_json_unsigned(json, "failed", counts.failed);
    ati_json_unsigned(json, "cancelled", counts.cancelled);
    ati_json_end_object(json);
    ati_json_end_object(json);
    return true;
}

const ati_part_section ati_task_manager_section = {.name = "task_managers", .write = write_manager};
