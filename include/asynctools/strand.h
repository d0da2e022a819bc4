/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_STRAND_H
#define ASYNCTOOLS_STRAND_H

#include <asynctools/attributes.h>
#include <asynctools/executor.h>
#include <asynctools/pool.h>
#include <asynctools/status.h>

#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* Runs one work at a time, in the order of their starts, on the workers of a pool: what only such
 * works touch needs no lock. A work that waits keeps the strand, not the worker. */
typedef struct at_strand at_strand;

/* Zero is the default for each member; NULL options are all defaults. */
typedef struct at_strand_options {
    const char *name; /* copied, for errors; default: none */
    uint64_t reserved[4];
} at_strand_options;

/** Creates a strand. Its works are queued without bound, and the pool counts each as a task from
 *  its turn on. A wait inside a work for what is to run later on the same strand is
 *  AT_ERROR_DEADLOCK at once.
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns owned; at_strand_destroy ends it. Copies `options`.
 *  Errors:    AT_ERROR_INVALID (names the member), AT_ERROR_NO_MEMORY: `*strand` is untouched. */
AT_API AT_NODISCARD at_status at_strand_create(at_strand **strand, at_pool *pool,
                                               const at_strand_options *options);

/** Gives the executor that runs code on the strand: for at_executor_submit, continuations and
 *  promises. Continuations of what runs there run there too, unless they name another executor. In
 *  the child of a fork its starts give AT_ERROR_FORKED, with every pool.
 *  Threads:   any.      Blocks: never.
 *  Ordering:  each work happens before the next.
 *  Ownership: returns borrowed, valid as long as the strand; futures and promises made for it keep
 *             what they need of it themselves. */
AT_API at_executor *at_strand_executor(at_strand *strand);

/** Gives a strand up. What was queued still runs, and what its futures start on it too.
 *  Threads:   any, also a work of the strand.      Blocks: never.
 *  Ownership: takes `strand`; NULL is allowed. */
AT_API void at_strand_destroy(at_strand *strand);

AT_DECLARATIONS_END

#endif
