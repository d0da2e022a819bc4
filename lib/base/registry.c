/* SPDX-License-Identifier: MIT */
#include "base/registry.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/process_fork.h"

#include <asynctools/dump.h>
#include <asynctools/version.h>

#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* Guards the list, and is held while it is written: what is in it stays. Outside every other lock
 * but those of memory; across process_fork too, so that the child finds the list in order. */
static ati_lock lock;
static ati_registry_entry *first;
static ati_registry_entry *last;

static void acquire(void) {
    ati_lock_acquire(&lock);
}

static void release(void) {
    ati_lock_release(&lock);
}

static void before_fork(void) {
    acquire();
    for (const ati_registry_entry *entry = first; entry; entry = entry->next)
        if (entry->fork)
            entry->fork->before();
}

static void after_fork_in_parent(void) {
    for (const ati_registry_entry *entry = first; entry; entry = entry->next)
        if (entry->fork)
            entry->fork->after_in_parent();
    release();
}

static void after_fork_in_child(void) {
    for (const ati_registry_entry *entry = first; entry; entry = entry->next)
        if (entry->fork)
            entry->fork->after_in_child();
    release();
}

static void install(void) {
    (void)ati_process_fork_install(); /* in a child it is known first which process that is */
    /* Without memory for them a child may find the lock held; nothing better can be done here. */
    (void)pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void ati_registry_add(ati_registry_entry *entry) {
    static pthread_once_t install_once = PTHREAD_ONCE_INIT;
    pthread_once(&install_once, install);
    acquire();
    entry->next = NULL;
    entry->previous = last;
    if (last)
        last->next = entry;
    else
        first = entry;
    last = entry;
    release();
}

void ati_registry_remove(ati_registry_entry *entry) {
    acquire();
    if (entry->previous)
        entry->previous->next = entry->next;
    else
        first = entry->next;
    if (entry->next)
        entry->next->previous = entry->previous;
    else
        last = entry->previous;
    release();
}

static bool is_first_of_section(const ati_registry_entry *entry) {
    for (const ati_registry_entry *earlier = first; earlier != entry; earlier = earlier->next)
        if (strcmp(earlier->section, entry->section) == 0)
            return false;
    return true;
}

static void write_section(ati_registry_entry *of_first, ati_json *json) {
    ati_json_begin_array(json, of_first->section);
    for (ati_registry_entry *entry = of_first; entry; entry = entry->next)
        if (strcmp(entry->section, of_first->section) == 0)
            entry->write(entry, json);
    ati_json_end_array(json);
}

at_status at_dump(char **text) {
    ATI_CALLER_CHECK(text, "at_dump", "`text` is NULL");
    ati_json json = {0};
    ati_json_begin_object(&json, NULL);
    ati_json_text(&json, "asynctools", at_version());
    ati_json_integer(&json, "process_id", getpid());
    ati_json_integer(&json, "monotonic_ns", ati_monotonic_ns());
    acquire();
    for (ati_registry_entry *entry = first; entry; entry = entry->next)
        if (is_first_of_section(entry))
            write_section(entry, &json);
    release();
    ati_json_end_object(&json);
    return ati_json_finish(&json, "at_dump", text);
}
