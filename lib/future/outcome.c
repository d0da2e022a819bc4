/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "future/future.h"

#include <asynctools/outcome.h>

void at_outcomes_release(at_outcome *outcomes, size_t count) {
    ATI_CALLER_CHECK(outcomes || count == 0, "at_outcomes_release", "`outcomes` is NULL");
    for (size_t i = 0; i < count; i++) {
        at_outcome outcome = outcomes[i];
        outcomes[i] = (at_outcome){.status = AT_OK};
        at_error_release((at_error *)outcome.error);
        if (outcome.value)
            ati_call_drop(outcome.drop, outcome.value);
    }
}
