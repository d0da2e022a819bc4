/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_THREAD_END_H
#define ASYNCTOOLS_BASE_THREAD_END_H

/* What a thread has to give back when it ends. */
#include <stdbool.h>

/* Thread-local, zeroed but for `end`. */
typedef struct ati_thread_end {
    void (*end)(void); /* called on the thread, once for each time it was added */
    struct ati_thread_end *next;
    bool added;
} ati_thread_end;

/* Adds it for the calling thread, unless it is added already. False: the system has no means. */
bool ati_thread_end_add(ati_thread_end *end);

#endif
