/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_CANCEL_REASON_H
#define ASYNCTOOLS_CANCEL_REASON_H

#include <asynctools/attributes.h>

AT_DECLARATIONS_BEGIN

/* Why something is cancelled. The first reason stays. */
typedef enum at_cancel_reason {
    AT_CANCEL_NONE = 0,     /* it is not */
    AT_CANCEL_EXPLICIT = 1, /* somebody asked for it */
    AT_CANCEL_DEADLINE = 2, /* its deadline has passed */
    AT_CANCEL_SIBLING = 3,  /* another task of the same group has decided the outcome */
    AT_CANCEL_PARENT = 4,   /* what it belongs to is cancelled */
    AT_CANCEL_SHUTDOWN = 5, /* what it belongs to is being shut down */
} at_cancel_reason;

/** Names a reason: "AT_CANCEL_DEADLINE"; "AT_CANCEL_UNKNOWN" for a value that is none.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, valid for ever. */
AT_API const char *at_cancel_reason_name(at_cancel_reason reason);

AT_DECLARATIONS_END

#endif
