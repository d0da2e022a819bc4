/* SPDX-License-Identifier: MIT
 *
 * Rule Z2: in the child of a process fork, strands, keyed executors and loop executors of the
 * parent refuse every start at once with AT_ERROR_FORKED, idle or busy, and destroying them never
 * waits; the parent goes on. And Z3: a dump of the child lists what is the child's. */
#include "support/plain.h"

#include <asynctools/asynctools.h>

#include <semaphore.h>
#include <string.h>
#include <sys/wait.h>

static sem_t begun;
static sem_t gate;
static int drops;

static void count_drop(void *value) {
    (void)value;
    drops++;
}

static void *give(void *argument) {
    return argument;
}

static void *pass_gate(void *argument) {
    sem_post(&begun);
    sem_wait(&gate);
    return argument;
}

struct parent {
    at_pool *pool;
    at_strand *busy;
    at_strand *idle;
    at_keyed_executor *keyed;
    at_loop_executor *loop;
};

static const at_task_options give_options = {.run = give, .drop = count_drop};

static void expect_forked(at_future *future) {
    static int expected_drops;
    plain_check(at_future_wait(future, AT_FOREVER, NULL) == AT_ERROR_FORKED);
    plain_check(drops == ++expected_drops);
    at_future_release(future);
}

/* What a dump of the child says of the executors. */
static bool dump_has(const char *wanted) {
    char *text;
    plain_check(at_dump(&text) == AT_OK);
    bool found = strstr(text, wanted);
    at_text_release(text);
    return found;
}

/* Those of the parent are not listed; those of the child are, on a pool that starts afresh. */
static void check_dump(at_pool *pool, at_process_fork_policy policy) {
    bool is_afresh = policy == AT_PROCESS_FORK_START_AFRESH;
    at_keyed_executor *keyed;
    plain_check(!dump_has("keyed_executors"));
    plain_check(at_keyed_executor_create(&keyed, pool, NULL) == AT_OK);
    plain_check(dump_has("keyed_executors") == is_afresh);
    at_keyed_executor_destroy(keyed);
    plain_check(!dump_has("keyed_executors"));
    plain_check(dump_has("loop_executors"));
}

static int run_child(const struct parent *parent, at_process_fork_policy policy) {
    int64_t count = 77;
    alarm(200);
    check_dump(parent->pool, policy);
    expect_forked(at_executor_submit_with(at_strand_executor(parent->busy), &give_options));
    expect_forked(at_executor_submit_with(at_strand_executor(parent->idle), &give_options));
    expect_forked(at_executor_submit_with(at_loop_executor_executor(parent->loop), &give_options));
    expect_forked(at_keyed_executor_submit_with(parent->keyed, "busy", 4, &give_options));
    expect_forked(at_keyed_executor_submit_with(parent->keyed, "new", 3, &give_options));
    plain_check(at_loop_executor_dispatch(parent->loop, 1, AT_FOREVER, &count) == AT_ERROR_FORKED);
    plain_check(count == 77);
    at_strand_destroy(parent->busy);
    at_strand_destroy(parent->idle);
    at_keyed_executor_destroy(parent->keyed);
    at_loop_executor_destroy(parent->loop);
    at_pool_destroy(parent->pool);
    return 0;
}

static void create_all(struct parent *parent, at_process_fork_policy policy) {
    at_pool_options options = {.thread_count = 2, .process_fork = policy};
    at_keyed_executor_options two = {.max_per_key = 2};
    plain_check(at_pool_create(&parent->pool, &options) == AT_OK);
    plain_check(at_strand_create(&parent->busy, parent->pool, NULL) == AT_OK);
    plain_check(at_strand_create(&parent->idle, parent->pool, NULL) == AT_OK);
    plain_check(at_keyed_executor_create(&parent->keyed, parent->pool, &two) == AT_OK);
    plain_check(at_loop_executor_create(&parent->loop) == AT_OK);
}

static void fork_while_busy(at_process_fork_policy policy) {
    struct parent parent;
    at_future *futures[3];
    int status;
    int64_t count;
    create_all(&parent, policy);
    futures[0] = at_executor_submit(at_strand_executor(parent.busy), pass_gate, &parent);
    futures[1] = at_keyed_executor_submit(parent.keyed, "busy", 4, pass_gate, &parent);
    futures[2] = at_executor_submit(at_loop_executor_executor(parent.loop), give, &parent);
    sem_wait(&begun);
    sem_wait(&begun);
    pid_t child = fork();
    if (child == 0)
        _exit(run_child(&parent, policy));
    plain_check(child > 0 && waitpid(child, &status, 0) == child);
    plain_check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    sem_post(&gate);
    sem_post(&gate);
    plain_check(at_loop_executor_dispatch(parent.loop, 5, AT_FOREVER, &count) == AT_OK);
    plain_check(count == 1);
    for (int i = 0; i < 3; i++) {
        plain_check(at_future_wait(futures[i], at_after(AT_SECONDS(20)), NULL) == AT_OK);
        at_future_release(futures[i]);
    }
    at_strand_destroy(parent.busy);
    at_strand_destroy(parent.idle);
    at_keyed_executor_destroy(parent.keyed);
    at_loop_executor_destroy(parent.loop);
    at_pool_destroy(parent.pool);
}

int main(void) {
    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    fork_while_busy(AT_PROCESS_FORK_FAIL);
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
    fork_while_busy(AT_PROCESS_FORK_START_AFRESH); /* they let no child of a fork start threads */
#endif
    return 0;
}
