/* SPDX-License-Identifier: MIT */
#include "work/items.h"

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

static const uint64_t item_limit = UINT64_C(1) << 40;

static bool are_too_many(at_items items) {
    return items.count > item_limit || (items.size > 0 && items.count > PTRDIFF_MAX / items.size);
}

at_status ati_items_check(at_items items, const char *call) {
    if (items.count == 0)
        return AT_OK;
    if (!items.data || items.size == 0)
        return ati_fail(AT_ERROR_INVALID, "%s: items.%s is %s", call, items.data ? "size" : "data",
                        items.data ? "0" : "NULL");
    if (are_too_many(items))
        return ati_fail(AT_ERROR_INVALID, "%s: items.count: %zu is too many", call, items.count);
    return AT_OK;
}

void ati_items_fill(at_items items, at_outcome *outcomes, size_t first, const at_error *error) {
    if (!outcomes || are_too_many(items))
        return;
    for (size_t i = first; i < items.count; i++)
        outcomes[i] =
            (at_outcome){.status = at_error_status(error), .error = at_error_retain(error)};
}
