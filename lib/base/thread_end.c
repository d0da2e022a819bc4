/* SPDX-License-Identifier: MIT */
#include "base/thread_end.h"

#include <pthread.h>
#include <stddef.h>

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool has_key; /* written by the once function */

static _Thread_local ati_thread_end *first;

static void end_all(void *unused) {
    (void)unused;
    while (first) {
        ati_thread_end *end = first;
        first = end->next;
        end->added = false;
        end->end();
    }
}

static void create_key(void) {
    has_key = pthread_key_create(&key, end_all) == 0;
}

bool ati_thread_end_add(ati_thread_end *end) {
    if (end->added)
        return true;
    pthread_once(&key_once, create_key);
    if (!has_key || pthread_setspecific(key, end) != 0)
        return false;
    end->next = first;
    first = end;
    end->added = true;
    return true;
}
