/* SPDX-License-Identifier: MIT
 *
 * The record of an operation, which rules S4 and X6 stand on. */
#include "support/fault.h"
#include "support/test.h"

#include "base/context.h"
#include "base/random.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

FAULT_INSTALL;

Test(context, root_has_its_own_ids) {
    ati_context *one = ati_context_create(NULL, "one", AT_FOREVER, NULL, 0);
    ati_context *two = ati_context_create(NULL, "two", AT_FOREVER, NULL, 0);
    cr_assert_not_null(one);
    cr_assert_not_null(two);
    cr_expect_str_eq(one->name, "one");
    cr_expect_eq(one->deadline, AT_FOREVER);
    cr_expect_eq(one->log_fields_length, 0);
    cr_expect_eq(one->cancelled, 0);
    cr_expect_neq(one->id, 0);
    cr_expect_neq(one->id, two->id);
    cr_expect(one->trace_id[0] != 0 || one->trace_id[1] != 0);
    cr_expect(memcmp(one->trace_id, two->trace_id, sizeof one->trace_id) != 0);
    ati_context_release(one);
    ati_context_release(two);
    cr_expect_eq(fault_usage().blocks, 0);
}

/* Rule S4: a child belongs to the trace of its parent. */
Test(context, child_inherits_the_trace_and_keeps_its_parent) {
    ati_context *parent = ati_context_create(NULL, "parent", AT_FOREVER, NULL, 0);
    ati_context *child = ati_context_create(parent, "child", AT_FOREVER, NULL, 0);
    ati_context_release(parent);
    cr_expect_eq(child->parent, parent);
    cr_expect_str_eq(child->parent->name, "parent");
    cr_expect_eq(memcmp(parent->trace_id, child->trace_id, sizeof parent->trace_id), 0);
    cr_expect_neq(child->id, parent->id);
    ati_context_release(child);
    cr_expect_eq(fault_usage().blocks, 0);
}

/* Rule X6: the effective deadline is the minimum over the enclosing operations. */
Test(context, deadline_is_the_minimum) {
    ati_context *parent = ati_context_create(NULL, "parent", 1000, NULL, 0);
    ati_context *later = ati_context_create(parent, "later", 2000, NULL, 0);
    ati_context *sooner = ati_context_create(later, "sooner", 500, NULL, 0);
    ati_context *last = ati_context_create(sooner, "last", AT_FOREVER, NULL, 0);
    cr_expect_eq(later->deadline, 1000);
    cr_expect_eq(sooner->deadline, 500);
    cr_expect_eq(last->deadline, 500);
    ati_context_release(parent);
    ati_context_release(later);
    ati_context_release(sooner);
    ati_context_release(last);
    cr_expect_eq(fault_usage().blocks, 0);
}

Test(context, name_and_fields_are_copied) {
    char name[] = "name";
    char fields[] = ",\"rows\":17";
    ati_context *context = ati_context_create(NULL, name, AT_FOREVER, fields, sizeof fields - 1);
    memset(name, 'x', sizeof name - 1);
    memset(fields, 'x', sizeof fields - 1);
    cr_expect_str_eq(context->name, "name");
    cr_assert_eq(context->log_fields_length, 10);
    cr_expect_arr_eq(context->log_fields, ",\"rows\":17", 10);
    ati_context_release(context);
    context = ati_context_create(NULL, "", AT_FOREVER, "", 0);
    cr_expect_str_eq(context->name, "");
    ati_context_release(context);
    cr_expect_eq(fault_usage().blocks, 0);
}

Test(context, references_are_counted) {
    ati_context *context = ati_context_create(NULL, "counted", AT_FOREVER, NULL, 0);
    ati_context_retain(context);
    ati_context_retain(context);
    ati_context_release(context);
    ati_context_release(context);
    cr_expect_str_eq(context->name, "counted");
    ati_context_release(context);
    ati_context_retain(NULL);
    ati_context_release(NULL);
    cr_expect_eq(fault_usage().blocks, 0);
}

static void *release_context(void *context) {
    ati_context_release(context);
    return NULL;
}

/* Freeing is iterative: a million parents on a small stack. */
Test(context, a_million_parents_are_released) {
    ati_context *context = NULL;
    for (int i = 0; i < 1000000; i++) {
        ati_context *child = ati_context_create(context, "", AT_FOREVER, NULL, 0);
        cr_assert_not_null(child);
        ati_context_release(context);
        context = child;
    }
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 * 1024);
    cr_assert_eq(pthread_create(&thread, &attributes, release_context, context), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_expect_eq(fault_usage().blocks, 0);
}

/* Rule J5: log lines are of the operation around, whatever scopes there are between. */
Test(context, parts_belong_to_the_operation_around) {
    ati_context *scope = ati_context_create_scope(NULL, AT_FOREVER, 0);
    cr_expect_null(scope->operation);
    const ati_context_parts parts = {.parent = scope,
                                     .name = "operation",
                                     .deadline = AT_FOREVER,
                                     .bits = ATI_CONTEXT_OPERATION,
                                     .log_fields = ",\"a\":1",
                                     .log_fields_length = 6,
                                     .extra = 24};
    ati_context *operation = ati_context_make(&parts);
    cr_expect_eq(operation->operation, operation);
    cr_expect_eq(operation->parent_id, 0);
    memset(operation->bytes, 'x', 24);
    cr_expect_str_eq(operation->name, "operation");
    cr_expect_arr_eq(operation->log_fields, ",\"a\":1", 6);
    operation->log_level = 2;
    ati_context *manager = ati_context_create(operation, "manager", AT_FOREVER, NULL, 0);
    ati_context *inner = ati_context_create_scope(manager, AT_FOREVER, 0);
    cr_expect_eq(inner->operation, operation);
    cr_expect_eq(inner->log_level, 2);
    ati_context *detached;
    cr_assert(ati_context_share(inner, true, &detached));
    cr_expect_str_eq(detached->name, "operation");
    cr_expect_eq(detached->operation, detached);
    cr_expect_eq(detached->id, operation->id);
    cr_expect_eq(detached->trace_id[1], operation->trace_id[1]);
    cr_expect_eq(detached->log_fields_length, 0);
    cr_expect_eq(detached->log_level, 0);
    ati_context *nested = ati_context_make(&(ati_context_parts){
        .parent = inner, .name = "nested", .deadline = AT_FOREVER, .bits = ATI_CONTEXT_OPERATION});
    cr_expect_eq(nested->operation, nested);
    cr_expect_eq(nested->parent_id, operation->id);
    ati_context *made[] = {nested, detached, inner, manager, operation, scope};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        ati_context_release(made[i]);
}

/* More than one section cancels; every third child is shielded. */
Test(context, all_children_are_cancelled_once) {
    enum { count = 1000 };
    ati_context *root = ati_context_create(NULL, "root", AT_FOREVER, NULL, 0);
    ati_context *children[count];
    for (int i = 0; i < count; i++)
        children[i] = i % 3 == 2 ? ati_context_create_scope(root, AT_FOREVER, ATI_CONTEXT_SHIELDED)
                                 : ati_context_create(root, "child", AT_FOREVER, NULL, 0);
    ati_context *cancelled = ati_context_cancel(root, AT_CANCEL_EXPLICIT);
    cr_assert_eq(cancelled, root);
    int seen = 0;
    while (cancelled) {
        ati_context *next = cancelled->next_cancelled;
        seen++;
        ati_context_release(cancelled);
        cancelled = next;
    }
    cr_expect_eq(seen, 1 + count - count / 3);
    for (int i = 0; i < count; i++) {
        cr_expect_eq(ati_context_reason(children[i]),
                     i % 3 == 2 ? AT_CANCEL_NONE : AT_CANCEL_PARENT);
        ati_context_release(children[i]);
    }
    ati_context_release(root);
}

Test(context, without_memory_there_is_none) {
    ati_context *parent = ati_context_create(NULL, "parent", AT_FOREVER, NULL, 0);
    fault_arm(fault_memory, 1);
    cr_expect_null(ati_context_create(parent, "child", AT_FOREVER, NULL, 0));
    fault_disarm();
    ati_context_release(parent);
    cr_expect_eq(fault_usage().blocks, 0);
}

static void *read_current(void *unused) {
    (void)unused;
    return ati_context_current();
}

/* Rule L1: the current context belongs to the thread. */
Test(context, current_is_of_this_thread) {
    pthread_t thread;
    void *seen = &thread;
    cr_expect_null(ati_context_current());
    (void)ati_context_exchange(ati_context_create(NULL, "mine", AT_FOREVER, NULL, 0));
    cr_assert_eq(pthread_create(&thread, NULL, read_current, NULL), 0);
    cr_assert_eq(pthread_join(thread, &seen), 0);
    cr_expect_null(seen);
    ati_context_release(ati_context_current());
    (void)ati_context_exchange(NULL);
}

enum { number_count = 1000 };

static void *draw_numbers(void *numbers) {
    for (int i = 0; i < number_count; i++)
        ((uint64_t *)numbers)[i] = ati_random_next();
    return NULL;
}

/* Ids come from a generator of each thread: two threads do not draw the same ones. */
Test(context, random_numbers_differ_between_threads) {
    static uint64_t numbers[2 * number_count];
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, draw_numbers, numbers), 0);
    draw_numbers(numbers + number_count);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    for (int i = 0; i < 2 * number_count; i++)
        for (int j = 0; j < i; j++)
            cr_assert_neq(numbers[i], numbers[j]);
}

/* Rule Z2: nor do a process and its child. */
Test(context, random_numbers_differ_after_a_process_fork) {
    int ends[2];
    uint64_t of_child = 0;
    ati_random_next();
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        uint64_t number = ati_random_next();
        _exit(write(ends[1], &number, sizeof number) == sizeof number ? 0 : 1);
    }
    cr_assert_gt(child, 0);
    cr_assert_eq(read(ends[0], &of_child, sizeof of_child), (ssize_t)sizeof of_child);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_expect_neq(of_child, ati_random_next());
    close(ends[0]);
    close(ends[1]);
}
