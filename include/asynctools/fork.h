/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_FORK_H
#define ASYNCTOOLS_FORK_H

#include <asynctools/attributes.h>

/* Fork and join: a task divides its work. A fork is a call that another worker may make meanwhile;
 * if none does, the join makes it, and both together cost a few nanoseconds.
 *
 *     at_fork left;
 *     at_fork_start(&left, count, node->left);
 *     long right = (long)count(node->right);
 *     long sum = right + (long)at_fork_join(&left, count);
 *
 * Forks are joined by the task that started them, each once, the last one first, before its
 * function returns; anything else is a caller's bug and aborts. A fork is part of its task: it runs
 * under the same operation and is not counted by the audit. In a plain thread, and where there is
 * no memory for more, a fork is made by its join.
 *
 * Source: the array of calls and the direct join follow T. van Dijk, J. van de Pol, "Lace:
 * Non-blocking Split Deque for Work-Stealing", 2014; taking a call from an owner that does not
 * answer follows the THE protocol of M. Frigo, C. Leiserson, K. Randall, "The Implementation of the
 * Cilk-5 Multithreaded Language", PLDI 1998. */

#define AT_FORK_INLINE static inline __attribute__((always_inline))

/* The handle of a fork, on the caller's stack; needs no initialisation. Its members are private. */
typedef struct at_fork {
    struct at_inline_call *call;
    void *argument;
} at_fork;

/** Forks the call `run(argument)`. A worker that looks for work can take it within 100
 *  microseconds, whatever the caller does meanwhile; if all others sleep, one is woken.
 *  Threads:   any; outside a pool the join makes the call.      Blocks: never.
 *  Ownership: borrows `fork` and `argument` until the join.
 *  Ordering:  what the caller did before happens before `run`. */
AT_FORK_INLINE void at_fork_start(at_fork *fork, void *(*run)(void *argument), void *argument);

/** Ends the fork and gives what its function returned. `run` is the function that it was started
 *  with: it is named again so that a call that nobody took is a direct one, which the compiler may
 *  make inline. AT_FAILED is a value like any other; the error that came with it is then in the
 *  slot of the caller.
 *  Threads:   the task, or the plain thread, that started the fork.
 *  Blocks:    while another worker makes the call; the task is suspended.
 *  Ownership: borrows `fork`; it may then be used again.
 *  Ordering:  `run` happens before the return. */
AT_FORK_INLINE void *at_fork_join(at_fork *fork, void *(*run)(void *argument));

#include <asynctools/inline/fork.h>

#endif
