/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_MEMORY_H
#define ASYNCTOOLS_MEMORY_H

#include <asynctools/attributes.h>
#include <asynctools/status.h>

#include <stddef.h>

AT_DECLARATIONS_BEGIN

/* Where the library takes its memory from. Both functions are called from any thread, several at
 * once, also while the library holds a lock, and may not call the library: not even at_dump, or
 * what creates or destroys a pool. */
typedef struct at_allocator {
    /* Gives `size` bytes (never 0) aligned to `alignment` (a power of two), or NULL. */
    void *(*allocate)(void *context, size_t size, size_t alignment);
    /* Gives back what allocate gave; `size` is what was asked for. Never NULL. */
    void (*release)(void *context, void *pointer, size_t size);
    void *context;
} at_allocator;

/** Sets the allocator of the process; NULL sets malloc and free again. It must come before any
 *  other call of the library.
 *  Threads:   one, before others use the library.      Blocks: never.
 *  Ownership: copies `allocator`; borrows its context for ever.
 *  Errors:    AT_ERROR_INVALID if a function is NULL or if the library has allocated already. */
AT_API AT_NODISCARD at_status at_allocator_set(const at_allocator *allocator);

/** Frees a text that a call returned owned and that names no call of its own to free it.
 *  Threads:   any.      Blocks: never.
 *  Ownership: takes `text`; NULL is allowed. */
AT_API void at_text_release(char *text);

AT_DECLARATIONS_END

#endif
