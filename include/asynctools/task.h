/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_TASK_H
#define ASYNCTOOLS_TASK_H

#include <asynctools/attributes.h>
#include <asynctools/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

AT_DECLARATIONS_BEGIN

/* What a task runs. It gives its value, or AT_FAILED (see at_fail). */
typedef void *(*at_run_fn)(void *argument);

/* Releases an argument, a value or a context. */
typedef void (*at_drop_fn)(void *value);

/* What is run first when there is more to run than workers. A task that is waiting for its turn is
 * passed by 60 times at most by those of higher priority. */
typedef enum at_priority {
    AT_PRIORITY_INHERITED = 0, /* that of the task which starts it; in a plain thread: normal */
    AT_PRIORITY_HIGH = 1,
    AT_PRIORITY_NORMAL = 2,
    AT_PRIORITY_LOW = 3, /* all workers but one may begin these, if there are several; one that goes
                            on after a wait lets others go first in turns while too many run */
} at_priority;

/* How a task is to be started. `run` is required. */
typedef struct at_task_options {
    at_run_fn run;
    void *argument;
    at_drop_fn drop;  /* releases `argument` if `run` never runs; default: nothing to release */
    const char *name; /* copied, for errors, logs and dumps; default: the name of `run` at the call
                         where that is known, else "" */
    at_priority priority; /* default: inherited */
    bool is_detached;     /* belongs to no scope: of what surrounds the start only the ids count,
                             neither cancellation nor deadlines */
    uint64_t reserved[4];
} at_task_options;

/* Many things of one size, one after the other. */
typedef struct at_items {
    const void *data;
    size_t count;
    size_t size; /* of one, in bytes */
} at_items;

#if defined(__cplusplus)
#define AT_ITEMS(array, count_) (at_items{(array), (size_t)(count_), sizeof(*(array))})
#else
#define AT_ITEMS(array, count_)                                                                    \
    ((at_items){.data = (array), .count = (size_t)(count_), .size = sizeof(*(array))})
#endif

/* A task in the caller's storage: starting it cannot fail for memory. Prepared by at_task_init;
 * its members are private. */
typedef struct at_task {
    struct at_task *next;
    void *(*run)(void *argument);
    void *argument;
    void *context;
    const char *site;
    void *reserved[3];
} at_task;

/** Prepares a task in the caller's storage.
 *  Threads:   one at a time for one task.      Blocks: never.
 *  Ownership: borrows `argument`. */
#define at_task_init(task, run, argument) at_task_init_at(AT_SITE(#run), task, run, argument)
AT_API void at_task_init_at(const char *site, at_task *task, at_run_fn run, void *argument);

/** Gives the value of the current task together with how to drop it: `return at_return(v, free);`
 *  The last reference to the task's future then drops it; a plain `return v` means no drop. It
 *  also says that this task succeeded: an error in flight is so no longer. The drop counts only if
 *  the task does return this very value; NULL is never dropped.
 *  Threads:   any; meant for work functions.      Blocks: never.
 *  Ownership: gives `value` back; it becomes the future's when the task returns it. */
AT_API void *at_return(void *value, at_drop_fn drop);

AT_DECLARATIONS_END

#endif
