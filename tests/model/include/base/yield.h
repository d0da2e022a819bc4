/* SPDX-License-Identifier: MIT
 *
 * In the place of lib/base/yield.h: a round of looking leaves its loop. */
#ifndef ASYNCTOOLS_BASE_YIELD_H
#define ASYNCTOOLS_BASE_YIELD_H

#include <stdbool.h>

#define ati_yield_briefly()                                                                        \
    ({                                                                                             \
        model_yield();                                                                             \
        break;                                                                                     \
        true;                                                                                      \
    })

#endif
