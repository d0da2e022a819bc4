/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_MEMORY_H
#define ASYNCTOOLS_BASE_MEMORY_H

#include <asynctools/memory.h>

#include <stddef.h>

/* All memory of the library goes through these. NULL means out of memory; a size of 0 is not
 * asked for. */
void *ati_allocate(size_t size);
void *ati_allocate_zeroed(size_t size);
void *ati_allocate_aligned(size_t size, size_t alignment);
void ati_release(void *pointer, size_t size); /* NULL is allowed */

/* A copy of `text`, released by ati_release(copy, strlen(copy) + 1). NULL: out of memory. */
char *ati_copy_text(const char *text);
void ati_release_text(char *text); /* NULL is allowed */

#endif
