/* SPDX-License-Identifier: MIT
 *
 * A process fork while threads record (rules E1, Z2): the child can record, also what is new, and
 * read, though the parent's threads may have been in the middle of anything. */
#include "support/plain.h"

#include <asynctools/dump.h>
#include <asynctools/memory.h>
#include <asynctools/tracker.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { thread_count = 4, fork_count = 20 };

static at_tracker *tracker;
static _Atomic bool is_over;

static void record(const char *name) {
    at_tracker_record(tracker, &(at_tracker_measurement){.name = name, .started_at = 1});
}

static void *record_all(void *unused) {
    (void)unused;
    char name[32];
    for (int i = 0; !atomic_load_explicit(&is_over, memory_order_relaxed); i++) {
        snprintf(name, sizeof name, "operation_%d", i / 100 % 500);
        record(name);
    }
    return NULL;
}

static uint64_t count_of(const char *name) {
    at_tracker_summaries *summaries;
    uint64_t count = 0;
    plain_check(at_tracker_get_summaries(tracker, &summaries) == AT_OK);
    for (size_t i = 0; i < summaries->count; i++)
        if (strcmp(summaries->summaries[i].name, name) == 0)
            count = summaries->summaries[i].count;
    at_tracker_summaries_release(summaries);
    return count;
}

static void run_child(void) {
    at_tracker_events *events;
    char *text;
    record("of_the_child");
    record("of_the_child");
    plain_check(count_of("of_the_child") == 2);
    plain_check(at_tracker_get_events(tracker, NULL, &events) == AT_OK);
    at_tracker_events_release(events);
    plain_check(at_dump(&text) == AT_OK);
    at_text_release(text);
    at_tracker_release(tracker);
    _exit(0);
}

int main(void) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    plain_skip("in the child the sanitizer waits for its own locks, which busy threads held");
#endif
    pthread_t threads[thread_count];
    plain_check(at_tracker_create(&tracker, &(at_tracker_options){.name_count = 600}) == AT_OK);
    for (int i = 0; i < thread_count; i++)
        plain_check(pthread_create(&threads[i], NULL, record_all, NULL) == 0);
    for (int i = 0; i < fork_count; i++) {
        pid_t child = fork();
        plain_check(child >= 0);
        if (child == 0)
            run_child();
        int status;
        plain_check(waitpid(child, &status, 0) == child);
        plain_check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    atomic_store_explicit(&is_over, true, memory_order_relaxed);
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    plain_check(count_of("of_the_child") == 0);
    at_tracker_release(tracker);
    return 0;
}
