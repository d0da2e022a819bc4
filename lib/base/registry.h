/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_REGISTRY_H
#define ASYNCTOOLS_BASE_REGISTRY_H

/* What at_dump writes: each part of the library adds what it has of it. */
#include "base/json_text.h"

/* Around process_fork: takes the locks that `write` takes, and lets them go. */
typedef struct ati_registry_fork {
    void (*before)(void);
    void (*after_in_parent)(void);
    void (*after_in_child)(void);
} ati_registry_fork;

/* A member of something that can be dumped. */
typedef struct ati_registry_entry {
    const char *section; /* of the document: an array of all that were added under this name */
    void (*write)(struct ati_registry_entry *entry, ati_json *json); /* one object */
    const ati_registry_fork *fork; /* called inside the registry's own lock, or NULL */
    struct ati_registry_entry *next;
    struct ati_registry_entry *previous;
} ati_registry_entry;

/* `section` and `write` are set. From now on `write` may be called by any thread, one at a time. It
 * takes short locks only and does not call the registry. */
void ati_registry_add(ati_registry_entry *entry);

/* When it returns, `write` is not called any more and is not in progress. */
void ati_registry_remove(ati_registry_entry *entry);

#endif
