/* SPDX-License-Identifier: MIT */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>

/* Runs `measure(what, figures)` in a process of its own, so that a subject is not charged for the
 * memory of another, and brings the `size` bytes of figures back. False when it cannot be run, or
 * said so itself. */
bool child_measure(bool (*measure)(const void *what, void *figures), const void *what,
                   void *figures, size_t size);

/* Bytes of this process that are in memory, or 0. */
double child_resident_bytes(void);

/* The most of them there ever were, or 0. */
double child_peak_bytes(void);

/* Bytes of this process's page tables, or 0. */
double child_page_table_bytes(void);

#endif
