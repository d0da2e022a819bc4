/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_INLINE_CHECK_H
#define ASYNCTOOLS_INLINE_CHECK_H

#include <asynctools/inline/worker.h>
#include <asynctools/sleep.h>

/* The short way of at_check; included by sleep.h. The argument is in lib/pool/turn.c. */

AT_DECLARATIONS_BEGIN

/** The long way of at_check: there may be something to do.
 *  Threads:   any.      Blocks: until others have had their turn.
 *  Errors:    as at_check. */
AT_API AT_NODISCARD __attribute__((cold, noinline)) at_status at_inline_check(void);

AT_DECLARATIONS_END

AT_CHECK_INLINE at_status at_check(void) {
    struct at_inline_worker *worker = at_inline_worker_current;
    if (__builtin_expect(worker && AT_INLINE_LOAD(&worker->look, __ATOMIC_RELAXED) == 0, 1))
        return AT_OK;
    return at_inline_check();
}

#endif
