/* SPDX-License-Identifier: MIT
 *
 * A process fork while threads begin operations, add to one, and dump (rules O1, Z2): the child has
 * those of the thread that forked, can go on with them and begin others, and nothing waits for
 * ever, whatever thread has begun an operation and holds its locks. */
#include "support/plain.h"

#include "operation/operation.h"

#include <asynctools/asynctools.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { fork_count = 100 };

static at_logger *logger;
static at_operation *shared;  /* begun by the thread that forks */
static at_operation *strange; /* begun by another */
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
        at_operation_add(i % 2 ? shared : strange, at_kv("text", i % 3 ? "a" : "longer"),
                         at_kv("number", i));
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

/* -- Locks that are held at the fork -- */

static void *begin_other(void *operation) {
    *(at_operation **)operation = at_operation_begin("handed_on", NULL);
    return NULL;
}

static at_operation *begin_elsewhere(void) {
    at_operation *begun;
    pthread_t thread;
    plain_check(pthread_create(&thread, NULL, begin_other, &begun) == 0);
    pthread_join(thread, NULL);
    return begun;
}

static void count_run(void *count) {
    ++*(int *)count;
}

static void use_in_child(at_operation *operation) {
    int run_count = 0;
    at_operation_scope scope;
    at_operation_add(operation, at_kv("child", 1));
    plain_check(at_defer(operation, count_run, &run_count) == AT_OK);
    at_operation_scope_enter(&scope, operation);
    AT_OPERATION(inner, "inner") {
        plain_check(inner);
    }
    at_operation_scope_end(&scope);
    at_operation_success(operation, at_kv("rows", 1));
    at_operation_end(operation);
    plain_check(run_count == 1);
}

static void *use_token(void *token) {
    at_token *part;
    plain_check(at_token_create(&part, token) == AT_OK);
    at_token_release(part);
    (void)at_token_cancel(token);
    return NULL;
}

/* In the child, threads that come at once. */
static void use_by_many(at_token *token) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        plain_check(pthread_create(&threads[i], NULL, use_token, token) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    plain_check(at_token_reason(token) == AT_CANCEL_EXPLICIT);
}

static void wait_for(pid_t child) {
    int status;
    plain_check(child >= 0 && waitpid(child, &status, 0) == child);
    plain_check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void fork_while_locks_are_held(void) {
    at_operation *operation = begin_elsewhere();
    at_token *token;
    plain_check(at_token_create(&token, NULL) == AT_OK);
    plain_check(ati_try_lock_acquire(&operation->lock));
    ati_lock_acquire(&ati_operation_context(operation)->lock);
    ati_lock_acquire(&((ati_context *)token)->lock);
    pid_t child = fork();
    if (child == 0) {
        alarm(200);
        use_in_child(operation);
        use_by_many(token);
        _exit(0);
    }
    ati_lock_release(&((ati_context *)token)->lock);
    ati_lock_release(&ati_operation_context(operation)->lock);
    ati_try_lock_release(&operation->lock);
    wait_for(child);
    at_operation_end(operation);
    at_token_release(token);
}

/* -- A callback that another thread is calling at the fork -- */

static sem_t is_called, may_return;

static void stay(void *unused) {
    (void)unused;
    sem_post(&is_called);
    sem_wait(&may_return);
}

static void *cancel(void *token) {
    (void)at_token_cancel(token);
    return NULL;
}

static void fork_while_a_callback_runs(void) {
    at_token *token;
    at_cancel_callback first, second;
    pthread_t thread;
    plain_check(sem_init(&is_called, 0, 0) == 0 && sem_init(&may_return, 0, 0) == 0);
    plain_check(at_token_create(&token, NULL) == AT_OK);
    at_cancel_callback_register(&first, token, stay, NULL);
    at_cancel_callback_register(&second, token, stay, NULL);
    plain_check(pthread_create(&thread, NULL, cancel, token) == 0);
    plain_check(sem_wait(&is_called) == 0);
    pid_t child = fork();
    if (child == 0) {
        alarm(200);
        at_cancel_callback_unregister(&first);
        at_cancel_callback_unregister(&second);
        _exit(0);
    }
    wait_for(child);
    sem_post(&may_return);
    sem_post(&may_return);
    pthread_join(thread, NULL);
    at_cancel_callback_unregister(&first);
    at_cancel_callback_unregister(&second);
    at_token_release(token);
}

/* In the child the callback goes on, and its end finds nothing to be taken away. */
static void fork_inside(void *child) {
    *(pid_t *)child = fork();
}

static void fork_in_a_callback(void) {
    at_token *token;
    at_cancel_callback callback;
    pid_t child;
    plain_check(at_token_create(&token, NULL) == AT_OK);
    at_cancel_callback_register(&callback, token, fork_inside, &child);
    plain_check(at_token_cancel(token) == AT_OK);
    at_cancel_callback_unregister(&callback);
    at_token_release(token);
    if (child == 0)
        _exit(0);
    wait_for(child);
}

static void check_dump(const char *name) {
    char *text;
    plain_check(at_dump(&text) == AT_OK && strstr(text, name));
    at_text_release(text);
}

/* Each process has what the one before it had. */
static void fork_twice(void) {
    at_operation *operation = at_operation_begin("daemon", NULL);
    pid_t child = fork();
    if (child == 0) {
        check_dump("\"daemon\"");
        pid_t grandchild = fork();
        if (grandchild == 0) {
            check_dump("\"daemon\"");
            at_operation_end(operation);
            _exit(0);
        }
        wait_for(grandchild);
        _exit(0);
    }
    wait_for(child);
    at_operation_end(operation);
}

/* -- A fork while all are busy -- */

static void run_child(at_operation *scoped) {
    char *text;
    alarm(200);
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
    use_in_child(strange);
    plain_check(at_dump(&text) == AT_OK);
    plain_check(!strstr(text, "\"of_the_parent\"") && !strstr(text, "\"of_the_child\""));
    at_text_release(text);
    plain_check(at_logger_memory_lines(logger, &text) == AT_OK);
    plain_check(strstr(text, "\"event\":\"of_the_parent.completed\""));
    plain_check(strstr(text, "\"event\":\"of_the_child.completed\""));
    _exit(0);
}

int main(void) {
    fork_while_locks_are_held();
    fork_while_a_callback_runs();
    fork_in_a_callback();
    fork_twice();
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
    strange = begin_elsewhere();
    for (int i = 0; i < 4; i++)
        plain_check(pthread_create(&threads[i], NULL, busy[i], NULL) == 0);
    AT_OPERATION(scoped, "scoped") {
        for (int i = 0; i < fork_count; i++) {
            pid_t child = fork();
            plain_check(child >= 0);
            if (child == 0)
                run_child(scoped);
            wait_for(child);
        }
    }
    atomic_store_explicit(&is_over, true, memory_order_relaxed);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    at_operation_end(strange);
    at_operation_end(shared);
    at_logger_destroy(logger);
    at_tracker_release(tracker);
    return 0;
}
