/* SPDX-License-Identifier: MIT
 *
 * A process fork while threads begin operations, add to one, and dump (rules O1, Z2): the child has
 * those of the thread that forked, can go on with them and begin others, and nothing waits for
 * ever. */
#include "support/plain.h"

#include <asynctools/asynctools.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { fork_count = 100 };

static at_logger *logger;
static at_operation *shared; /* begun by the thread that forks */
static _Atomic bool is_over;

static bool goes_on(void) {
    return !atomic_load_explicit(&is_over, memory_order_relaxed);
}

static void *begin_all(void *unused) {
    while (goes_on()) {
        at_operation *handed_on = at_operation_begin("of_another", NULL);
        AT_OPERATION(operation, "of_another") {
            at_operation_add(operation, at_kv("number", 1));
        }
        at_operation_end(handed_on);
    }
    return unused;
}

static void *begin_inside(void *unused) {
    at_operation_scope scope;
    at_operation_scope_enter(&scope, shared);
    while (goes_on())
        AT_OPERATION(operation, "inside") {
            at_operation_add(operation, at_kv("number", 1));
        }
    at_operation_scope_end(&scope);
    return unused;
}

static void *add_all(void *unused) {
    for (int i = 0; goes_on(); i++)
        at_operation_add(shared, at_kv("text", i % 2 ? "a" : "longer"), at_kv("number", i));
    return unused;
}

static void *dump_all(void *unused) {
    while (goes_on()) {
        char *text;
        plain_check(at_dump(&text) == AT_OK);
        at_text_release(text);
    }
    return unused;
}

static void run_child(at_operation *scoped) {
    char *text;
    alarm(20);
    plain_check(at_dump(&text) == AT_OK);
    plain_check(strstr(text, "\"of_the_parent\"") && strstr(text, "\"scoped\""));
    plain_check(!strstr(text, "\"of_another\"") && !strstr(text, "\"inside\""));
    at_text_release(text);
    at_operation_add(scoped, at_kv("child", 1));
    at_operation_add(shared, at_kv("child", 1));
    AT_OPERATION(operation, "of_the_child") {
        plain_check(operation);
    }
    at_operation_scope scope;
    at_operation_scope_enter(&scope, shared);
    AT_OPERATION(operation, "part_in_the_child") {
        plain_check(operation);
    }
    at_operation_scope_end(&scope);
    at_operation_end(shared);
    plain_check(at_dump(&text) == AT_OK);
    plain_check(!strstr(text, "\"of_the_parent\"") && !strstr(text, "\"of_the_child\""));
    at_text_release(text);
    plain_check(at_logger_memory_lines(logger, &text) == AT_OK);
    plain_check(strstr(text, "\"event\":\"of_the_parent.completed\""));
    plain_check(strstr(text, "\"event\":\"of_the_child.completed\""));
    _exit(0);
}

int main(void) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    plain_skip("in the child the sanitizer waits for its own locks, which busy threads held");
#endif
    static void *(*const busy[])(void *) = {begin_all, begin_inside, add_all, dump_all};
    pthread_t threads[4];
    at_tracker *tracker; /* registered before any operation is */
    plain_check(at_tracker_create(&tracker, NULL) == AT_OK);
    plain_check(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 65536}) == AT_OK);
    at_logger_set_default(logger);
    shared = at_operation_begin("of_the_parent", NULL);
    for (int i = 0; i < 4; i++)
        plain_check(pthread_create(&threads[i], NULL, busy[i], NULL) == 0);
    AT_OPERATION(scoped, "scoped") {
        for (int i = 0; i < fork_count; i++) {
            pid_t child = fork();
            plain_check(child >= 0);
            if (child == 0)
                run_child(scoped);
            int status;
            plain_check(waitpid(child, &status, 0) == child);
            plain_check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
    }
    atomic_store_explicit(&is_over, true, memory_order_relaxed);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    at_operation_end(shared);
    at_logger_destroy(logger);
    at_tracker_release(tracker);
    return 0;
}
