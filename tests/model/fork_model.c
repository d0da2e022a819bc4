/* SPDX-License-Identifier: MIT
 *
 * lib/pool/fork.c and forked_call.c with the public inline code: an owner against thieves that ask
 * and thieves that use force. Each call is made once and its value reaches the join; a worker that
 * asks all before it sleeps overlooks no call. */
#include "model.h"

#define ati_cpu_relax() break
#include "waiter_stub.h"

#include "base/lock.c"
#include "pool/fork.c"
#include "pool/forked_call.c"
#include "queue/deque.c"

#include "fork_stubs.h"

/* As in pool/worker.c; there are no probes here. */
bool ati_worker_take_back(ati_worker *worker, void *(*run)(void *argument), const void *argument) {
    ati_work last;
    return ati_deque_peek(&worker->deque, &last) && last.run == run && last.argument == argument &&
           ati_deque_pop(&worker->deque, &last);
}

enum { call_max = 4, worker_max = 3, owner_index = 0 };

static at_pool *pool;
static int made[call_max];    /* how often each call was made */
static int made_by[call_max]; /* the thread */
static int started_count;
static bool somebody_was_woken;
static bool sleeper_saw_work;

/* -- What fork.c and forked_call.c call -- */

_Thread_local ati_worker *ati_worker_current;
int64_t ati_monotonic_ns(void) {
    return 0;
}

void ati_idle_wake_one(at_pool *woken) {
    (void)woken;
    somebody_was_woken = true;
}

void ati_task_begin(ati_worker *worker, ati_task_run *run, ati_context *context, const char *site,
                    const char *name) {
    (void)worker;
    (void)context;
    (void)site;
    (void)name;
    run->frame = (ati_frame){0};
    run->fork_count = ati_forks_count(&ati_worker_current->forks);
}

void ati_task_end(ati_worker *worker, ati_task_run *run, at_status status) {
    (void)worker;
    (void)status;
    model_check(run->fork_count == ati_forks_count(&ati_worker_current->forks));
}

_Noreturn void ati_assert_abort(const char *condition, const char *file, int line) {
    model_fail("%s:%d: does not hold: %s", file, line, condition);
}

_Noreturn void ati_caller_abort(const char *call, const char *sentence) {
    model_fail("%s: %s", call, sentence);
}

_Noreturn void ati_task_end_forked_process(void) {
    model_fail("there is one process");
}

/* -- Setup -- */

static void set_up(bool is_unequal, size_t places, bool wanted) {
    pool = model_allocate(offsetof(at_pool, timers.wheel), _Alignof(at_pool)); /* no wheel here */
    pool->options.stack_bytes = (int64_t)places * bytes_per_place;
    pool->workers = model_allocate(worker_max * sizeof *pool->workers, _Alignof(ati_worker *));
    for (uint32_t i = 0; i < worker_max; i++) {
        ati_worker *worker = model_allocate(sizeof *worker, _Alignof(ati_worker));
        worker->pool = pool;
        worker->index = i;
        ati_forks_init(&worker->forks, is_unequal);
        pool->workers[i] = worker;
    }
    ati_worker *owner = pool->workers[owner_index];
    model_check(ati_deque_reserve(&owner->deque, 8));
    model_check(find_array(owner));
    owner->forks.owner = ati_frame_current();
    AT_INLINE_STORE(&owner->forks.line.head, owner->forks.base, __ATOMIC_RELAXED);
    set_wanted(&owner->forks, wanted);
    atomic_init(&pool->worker_count, 1);
    atomic_init(&pool->idle.counts, ATI_IDLE_AWAKE + ATI_IDLE_SLEEPING);
    memset(made, 0, sizeof made);
    started_count = 0;
    somebody_was_woken = false;
    sleeper_saw_work = false;
    ati_worker_current = NULL;
    at_inline_worker_current = NULL;
    model_thread_local(&ati_worker_current, sizeof ati_worker_current);
    model_thread_local(&at_inline_worker_current, sizeof at_inline_worker_current);
}

static void start_alone(void) {
    set_up(true, 4, false);
}

static void start_wanted(void) {
    set_up(true, 4, true);
}

static void start_short(void) {
    set_up(true, 1, false);
}

static void start_with_locks(void) {
    set_up(false, 4, false);
}

static void start_with_locks_wanted(void) {
    set_up(false, 4, true);
}

static ati_worker *work_as(uint32_t index) {
    ati_worker *worker = pool->workers[index];
    ati_worker_current = worker;
    at_inline_worker_current = &worker->forks.line;
    return worker;
}

static void free_all(void) {
    ati_worker *owner = pool->workers[owner_index];
    ati_work work;
    ati_worker_current = owner;
    while (ati_deque_steal(&owner->deque, &work) == ATI_STEAL_DONE)
        work.run(work.argument); /* tombstones */
    ati_deque_deinit(&owner->deque);
    release_array(owner->forks.array);
    release_array(owner->forks.spare);
}

static void check_all_made(void) {
    for (int i = 0; i < started_count; i++)
        model_check(made[i] == 1);
    model_check(ati_forks_count(&pool->workers[owner_index]->forks) == 0);
    free_all();
    for (int i = 0; i < started_count; i++)
        model_check(made[i] == 1);
}

/* The owner never joins: its fork was handed out, or the sleeper has seen it. */
static void check_not_overlooked(void) {
    model_check(somebody_was_woken || sleeper_saw_work);
}

/* -- Calls -- */

static void *make(void *argument) {
    int *count = argument;
    int index = (int)(count - made);
    model_check(index >= 0 && index < started_count);
    model_check(++*count == 1);
    made_by[index] = model_thread_number();
    return argument;
}

static void fork_one(at_fork *fork) {
    at_fork_start(fork, make, &made[started_count++]);
}

static void join_one(at_fork *fork, int index) {
    model_check(at_fork_join(fork, make) == &made[index]);
    model_check(made[index] == 1);
}

/* -- The owner -- */

static void fork_join(void) {
    work_as(owner_index);
    at_fork fork;
    fork_one(&fork);
    join_one(&fork, 0);
}

static void fork_join_twice(void) {
    work_as(owner_index);
    at_fork fork;
    fork_one(&fork);
    join_one(&fork, 0);
    fork_one(&fork);
    join_one(&fork, 1);
}

static void fork_two(void) {
    work_as(owner_index);
    at_fork first;
    at_fork second;
    fork_one(&first);
    fork_one(&second);
    join_one(&second, 1);
    join_one(&first, 0);
}

static void fork_two_then_one(void) {
    work_as(owner_index);
    at_fork first;
    at_fork second;
    fork_one(&first);
    fork_one(&second);
    join_one(&second, 1);
    fork_one(&second);
    join_one(&second, 2);
    join_one(&first, 0);
}

/* A stack with a fork is left, another one forks, and the first goes on. */
static void fork_on_two_stacks(void) {
    ati_worker *owner = work_as(owner_index);
    at_fork first;
    at_fork second;
    ati_fork_stack stack;
    fork_one(&first);
    ati_fork_leave_stack(owner, &stack);
    fork_one(&second);
    join_one(&second, 1);
    ati_fork_enter_stack(owner, &stack);
    join_one(&first, 0);
}

/* The context changes with an unjoined fork. */
static void fork_and_change_context(void) {
    ati_worker *owner = work_as(owner_index);
    at_fork fork;
    fork_one(&fork);
    ati_fork_set_owner(owner, owner->forks.owner);
    join_one(&fork, 0);
}

static void fork_only(void) {
    work_as(owner_index);
    static at_fork fork;
    fork_one(&fork);
}

/* -- Thieves -- */

static void run_stolen(ati_worker *thief) {
    ati_work work;
    if (ati_deque_steal(&pool->workers[owner_index]->deque, &work) == ATI_STEAL_DONE)
        work.run(work.argument);
    (void)thief;
}

static void ask_and_steal(void) {
    ati_worker *thief = work_as(1);
    ati_work work;
    if (ati_fork_steal(thief, pool->workers[owner_index], 0, &work))
        work.run(work.argument);
    run_stolen(thief);
}

static void use_force(ati_worker *thief) {
    ati_work work;
    if (force(thief, &pool->workers[owner_index]->forks, force_interval, &work))
        work.run(work.argument);
}

static void force_once(void) {
    use_force(work_as(1));
}

static void force_twice(void) {
    ati_worker *thief = work_as(1);
    use_force(thief);
    pool->fork_market.last_force = 0;
    use_force(thief);
}

static void steal_once(void) {
    run_stolen(work_as(2));
}

static void ask_before_sleep(void) {
    work_as(1);
    ati_fork_ask_all(pool);
    sleeper_saw_work =
        ati_pool_has_forks(pool) || ati_deque_size(&pool->workers[owner_index]->deque) > 0;
}

#define ALL .preemptions = MODEL_UNBOUNDED, .stale_reads = MODEL_UNBOUNDED
#define SOME .preemptions = 3, .stale_reads = 1
#define FEW .preemptions = 2, .stale_reads = 1

#define LITTLE .preemptions = 1, .stale_reads = 1

#define CASE(text, begin, end, bounds, ...)                                                        \
    { .name = text, .setup = begin, .threads = {__VA_ARGS__}, .check = end, bounds }

/* With one order weaker, which has to be found. */
#define MUTANT(in, operation, object, from, to, begin, end, ...)                                   \
    {                                                                                              \
        .name = "mutant: " operation " " object " in " in ", " #to, .setup = begin,                \
        .threads = {__VA_ARGS__}, .check = end, .must_fail = true,                                 \
        .mutant = {in, operation, object, memory_order_##from, memory_order_##to}, SOME            \
    }

static const model_case cases[] = {
    CASE("one fork, force", start_alone, check_all_made, ALL, fork_join, force_once),
    CASE("one fork twice, force", start_alone, check_all_made, SOME, fork_join_twice, force_once),
    CASE("two forks, force", start_alone, check_all_made, SOME, fork_two, force_once),
    CASE("two forks, force twice", start_alone, check_all_made, FEW, fork_two, force_twice),
    CASE("two forks and one, force twice", start_alone, check_all_made, FEW, fork_two_then_one,
         force_twice),
    CASE("one fork, ask", start_alone, check_all_made, SOME, fork_join_twice, ask_and_steal),
    CASE("two forks, wanted, steal", start_wanted, check_all_made, SOME, fork_two, steal_once),
    CASE("two forks, wanted, steal and force", start_wanted, check_all_made, LITTLE, fork_two,
         steal_once, force_once),
    CASE("two forks, ask, steal and force", start_alone, check_all_made, FEW, fork_two,
         ask_and_steal, steal_once),
    CASE("full array, force", start_short, check_all_made, FEW, fork_two, force_twice),
    CASE("two stacks, steal", start_alone, check_all_made, FEW, fork_on_two_stacks, steal_once),
    CASE("two stacks, steal and force", start_alone, check_all_made, LITTLE, fork_on_two_stacks,
         steal_once, force_once),
    CASE("context, force", start_alone, check_all_made, FEW, fork_and_change_context, force_once),
    CASE("sleeper asks", start_alone, check_not_overlooked, ALL, fork_only, ask_before_sleep),
    CASE("locks: one fork, force", start_with_locks, check_all_made, SOME, fork_join, force_once),
    CASE("locks: two forks, force twice", start_with_locks, check_all_made, FEW, fork_two,
         force_twice),
    CASE("locks: two forks, wanted, steal and force", start_with_locks_wanted, check_all_made,
         LITTLE, fork_two, steal_once, force_once),
    CASE("locks: sleeper asks", start_with_locks, check_not_overlooked, SOME, fork_only,
         ask_before_sleep),
    MUTANT("at_fork_join", "fence", "", seq_cst, relaxed, start_alone, check_all_made, fork_join,
           force_once),
    MUTANT("ati_heavy_barrier", "fence", "", seq_cst, relaxed, start_alone, check_all_made,
           fork_join, force_once),
    MUTANT("at_fork_start", "fence", "", seq_cst, relaxed, start_alone, check_not_overlooked,
           fork_only, ask_before_sleep),
    MUTANT("ati_heavy_barrier", "fence", "", seq_cst, relaxed, start_alone, check_not_overlooked,
           fork_only, ask_before_sleep),
    MUTANT("make_call", "exchange", "&call->state", acq_rel, relaxed, start_wanted, check_all_made,
           fork_two, steal_once),
    MUTANT("wait_until_done", "compare_exchange", "&call->state", release, relaxed, start_wanted,
           check_all_made, fork_two, steal_once),
    MUTANT("ati_forked_call_release", "fetch_sub", "&call->holders", acq_rel, relaxed, start_wanted,
           check_all_made, fork_two, steal_once),
};

int main(int argument_count, char **arguments) {
    return model_main(argument_count, arguments, cases, sizeof cases / sizeof *cases);
}
