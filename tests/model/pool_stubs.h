/* SPDX-License-Identifier: MIT
 *
 * What lib/pool calls and a model of its protocol does not need: reports, errors, frames, threads
 * of the system. What must not happen in a model fails it. */
#ifndef MODEL_POOL_STUBS_H
#define MODEL_POOL_STUBS_H

#include "fork_stubs.h"

/* Ten seconds more with each look: a wait that time has ended is over. */
static int64_t looks_at_clock;

int64_t ati_monotonic_ns(void) {
    return looks_at_clock++ * AT_SECONDS(10);
}

uint64_t ati_random_next(void) {
    return 0;
}

at_status ati_fail_at(const char *site, at_status status, const char *format, ...) {
    (void)site;
    (void)format;
    return status;
}

_Noreturn void ati_assert_abort(const char *condition, const char *file, int line) {
    model_fail("%s:%d: does not hold: %s", file, line, condition);
}

_Noreturn void ati_caller_abort(const char *call, const char *sentence) {
    model_fail("%s: %s", call, sentence);
}

const char *ati_task_name_of(const ati_frame *frame) {
    (void)frame;
    model_fail("no task of a model leaves a section open");
}

void ati_report_pool_started(const at_pool *started) {
    (void)started;
}

void ati_report_pool_stopped(at_pool *stopped) {
    (void)stopped;
}

/* Time passes only when nobody can go on. */
void ati_report_shutdown_slow(at_pool *slow, int64_t waited_seconds) {
    (void)slow;
    (void)waited_seconds;
    model_fail("a shutdown waits for ever");
}

void ati_spare_wake_all(at_pool *woken) {
    (void)woken;
}

bool ati_spare_park(ati_worker *worker) {
    (void)worker;
    model_fail("there are no spare workers here");
}

bool ati_pool_block_begin(ati_worker *worker) {
    (void)worker;
    model_fail("no worker shuts a pool down here");
}

void ati_pool_block_end(ati_worker *worker) {
    (void)worker;
}

void at_error_release(at_error *error) {
    (void)error;
}

bool ati_is_cancelled(ati_context *context) {
    (void)context;
    return false;
}

/* -- Of tasks with a site, which these models do not start -- */

void ati_frame_drop_returned(const ati_frame *frame, void *returned) {
    (void)frame;
    (void)returned;
}

at_error *ati_error_create(const char *site, at_error *cause, at_status status, const char *format,
                           ...) {
    (void)site;
    (void)status;
    (void)format;
    return cause;
}

void ati_error_set_task(at_error *error, const char *name, bool copy_name, const char *site) {
    (void)error;
    (void)name;
    (void)copy_name;
    (void)site;
}

const char *ati_site_name(const char *site) {
    return site;
}

at_status at_error_status(const at_error *error) {
    (void)error;
    return AT_ERROR_FAILED;
}

const char *at_status_text(at_status status) {
    (void)status;
    return "";
}

/* -- Of tasks that are suspended, timers and blocking calls, which these models do not make -- */

bool ati_inbox_is_empty(const ati_worker *worker) {
    (void)worker;
    return true;
}

bool ati_worker_is_crowded(ati_worker *worker) {
    (void)worker;
    return false;
}

bool ati_worker_has_ready(ati_worker *worker) {
    (void)worker;
    return false;
}

bool ati_worker_resume_next(ati_worker *worker) {
    (void)worker;
    model_fail("no task is suspended here");
}

void ati_worker_move_yielded(ati_worker *worker) {
    (void)worker;
}

void ati_worker_loop_on_stacks(ati_worker *worker) {
    ati_worker_loop(worker);
}

void ati_timers_init(ati_timers *timers) {
    atomic_init(&timers->next, AT_FOREVER);
}

size_t ati_timers_run(ati_timers *timers, int64_t now, ati_expired *expired) {
    (void)timers;
    (void)now;
    (void)expired;
    return 0;
}

void ati_timer_start_tasks(at_pool *started, const ati_expired *expired) {
    (void)started;
    (void)expired;
}

void ati_timers_close(ati_timers *timers) {
    (void)timers;
}

void ati_stacks_init(ati_stacks *stacks, size_t stack_bytes, uint32_t warm_limit,
                     ati_stack_guard guard) {
    (void)stacks;
    (void)stack_bytes;
    (void)warm_limit;
    (void)guard;
}

void ati_stacks_abandon(ati_stacks *stacks) {
    (void)stacks;
}

int64_t ati_stacks_return_at(const ati_stacks *stacks) {
    (void)stacks;
    return AT_FOREVER;
}

void ati_stacks_return(ati_stacks *stacks) {
    (void)stacks;
}

void ati_stacks_deinit(ati_stacks *stacks) {
    (void)stacks;
}

bool ati_timers_remove(ati_timers *timers, ati_pool_timer *timer) {
    (void)timers;
    (void)timer;
    return false;
}

bool ati_search_own(ati_worker *worker) {
    (void)worker;
    return false;
}

void ati_search_expire(ati_pool_timer *timer) {
    (void)timer;
}

void ati_blocking_grow(ati_pool_timer *timer) {
    (void)timer;
}

void ati_blocking_end_threads(at_pool *ended) {
    (void)ended;
}

int64_t ati_pool_usable_cpus(const at_pool_options *options) {
    return options->thread_count;
}

bool ati_thread_start(pthread_t *thread, const ati_thread_options *options, void *(*run)(void *),
                      void *argument) {
    (void)thread;
    (void)options;
    (void)run;
    (void)argument;
    model_fail("no thread is started here");
}

bool ati_placement_init(at_pool *placed) {
    (void)placed;
    return true;
}

void ati_placement_deinit(at_pool *placed) {
    (void)placed;
}

/* -- Of what can be seen from outside -- */

int64_t ati_coarse_ns(void) {
    return 0;
}

void ati_sample_start(at_pool *sampled, ati_work *work) {
    (void)sampled;
    (void)work;
}

bool ati_sample_is_probe(const ati_work *work) {
    (void)work;
    return false;
}

const ati_work *ati_sample_work(const ati_work *probe) {
    (void)probe;
    model_fail("there are no probes here");
}

void ati_sample_discard(const ati_work *probe) {
    (void)probe;
}

void ati_sample_deinit(ati_worker *worker) {
    (void)worker;
}

void ati_registry_add(ati_registry_entry *entry) {
    (void)entry;
}

void ati_registry_remove(ati_registry_entry *entry) {
    (void)entry;
}

void ati_pool_write_dump(ati_registry_entry *entry, ati_json *json) {
    (void)entry;
    (void)json;
}

at_status ati_report_stuck(at_pool *stuck) {
    (void)stuck;
    return AT_ERROR_TIMED_OUT;
}

static at_clock model_clock;

at_clock *at_clock_current(void) {
    return &model_clock;
}

int64_t at_clock_now(at_clock *clock) {
    (void)clock;
    return ati_monotonic_ns();
}

void ati_clock_lend(at_clock *clock) {
    (void)clock;
}

void ati_virtual_clock_add_pool(at_pool *added) {
    (void)added;
}

void ati_virtual_clock_remove_pool(at_pool *removed) {
    (void)removed;
}

void ati_report_dropped_error(at_error *error) {
    (void)error;
}

char at_failed_object;

#endif
