/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_INLINE_FORK_H
#define ASYNCTOOLS_INLINE_FORK_H

#include <asynctools/fork.h>
#include <asynctools/inline/worker.h>

/* The short way of a fork and of its join; included by fork.h. The argument is in lib/pool/fork.c.
 */

/* In a handle that was joined. */
#define AT_INLINE_JOINED ((struct at_inline_call *)1)

AT_DECLARATIONS_BEGIN

/** The long way of at_fork_start: gives the place of the call, or NULL if it is made at its join.
 *  Threads:   a worker.      Blocks: never.
 *  Ownership: returns borrowed, until the join. */
AT_API __attribute__((cold, noinline)) struct at_inline_call *
at_inline_fork_start(struct at_inline_worker *worker, struct at_inline_call *call);

/** The long way of at_fork_join, for a call that is off the array and was handed out, perhaps.
 *  Threads:   a worker.      Blocks: until the call has ended, if another worker makes it. */
AT_API __attribute__((cold, noinline)) void *at_inline_fork_join(struct at_inline_worker *worker,
                                                                 struct at_inline_call *call,
                                                                 void *(*run)(void *argument));

/** Makes a call that has no place in an array; aborts if that is so by a caller's bug.
 *  Threads:   any.      Blocks: never.
 *  Ownership: borrows `argument`. */
AT_API __attribute__((cold, noinline)) void *at_inline_fork_run(struct at_inline_worker *worker,
                                                                struct at_inline_call *call,
                                                                void *(*run)(void *argument),
                                                                void *argument);

AT_DECLARATIONS_END

AT_FORK_INLINE void at_fork_start(at_fork *fork, void *(*run)(void *argument), void *argument) {
    struct at_inline_worker *worker = at_inline_worker_current;
    struct at_inline_call *call = 0;
    if (__builtin_expect(worker != 0, 1)) {
        call = AT_INLINE_LOAD_OWN(&worker->head);
        AT_INLINE_STORE(&call->run, run, __ATOMIC_RELAXED);
        AT_INLINE_STORE(&call->argument, argument, __ATOMIC_RELAXED);
        /* ORDER fork.head: release. Publishes the call, and what its task has done so far.
         * Pairs with: acquire in take_by_force(). If relaxed: a thief runs an unwritten call. */
        AT_INLINE_STORE(&worker->head, call + 1, __ATOMIC_RELEASE);
        AT_INLINE_LIGHT_BARRIER();
        if (__builtin_expect(call >= AT_INLINE_LOAD(&worker->limit, __ATOMIC_RELAXED), 0))
            call = at_inline_fork_start(worker, call);
    }
    fork->call = call;
    fork->argument = argument;
}

AT_FORK_INLINE void *at_fork_join(at_fork *fork, void *(*run)(void *argument)) {
    struct at_inline_worker *worker = at_inline_worker_current;
    struct at_inline_call *call = fork->call;
    fork->call = AT_INLINE_JOINED;
    if (__builtin_expect(!worker || AT_INLINE_LOAD_OWN(&worker->head) != call + 1, 0))
        return at_inline_fork_run(worker, call, run, fork->argument);
    AT_INLINE_STORE(&worker->head, call, __ATOMIC_RELAXED);
    AT_INLINE_LIGHT_BARRIER();
    if (__builtin_expect(call < AT_INLINE_LOAD(&worker->split, __ATOMIC_RELAXED), 0))
        return at_inline_fork_join(worker, call, run);
    return run(AT_INLINE_LOAD(&call->argument, __ATOMIC_RELAXED));
}

#endif
