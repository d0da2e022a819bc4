/* SPDX-License-Identifier: MIT
 *
 * lib/operation/operation_watch.c: operations that end while others look. Nobody logs for one that
 * has ended, whose logger may have gone; each line is written once; every end comes to an end. */
#include "model.h"

#define ati_cpu_relax() break
#include "base/context.c"
#include "base/lock.c"
#include "operation/operation_watch.c"

typedef struct world {
    ati_lock lock; /* as that of a list of operations */
    bool is_listed;
    bool has_logger;
    uint32_t lines;
} world;

static world *shared;
static at_operation *operation;

/* -- What it calls -- */

uint64_t ati_random_next(void) {
    return 1;
}

void ati_random_fill(uint64_t *numbers, size_t count) {
    while (count-- > 0)
        *numbers++ = 1;
}

int64_t ati_monotonic_ns(void) {
    return 0;
}

int64_t at_clock_now(at_clock *clock) {
    (void)clock;
    return 0;
}

uint32_t ati_operation_late(const at_operation *late, int64_t now) {
    (void)late;
    (void)now;
    return ATI_LATE_SLOW;
}

void ati_operation_log_late(const at_operation *late, uint32_t what, at_logger *logger) {
    (void)late;
    (void)logger;
    model_check(what == ATI_LATE_SLOW && shared->has_logger);
    shared->lines++;
}

void ati_live_visit(void (*visit)(at_operation *listed, void *context), void *context) {
    ati_lock_acquire(&shared->lock);
    if (shared->is_listed)
        visit(operation, context);
    ati_lock_release(&shared->lock);
}

/* -- Cases -- */

static void set_up(void) {
    shared = model_allocate(sizeof *shared, _Alignof(world));
    shared->is_listed = true;
    shared->has_logger = true;
    ati_context *context = ati_context_make(
        &(ati_context_parts){.name = "", .deadline = AT_FOREVER, .extra = sizeof(at_operation)});
    operation = (at_operation *)context->bytes;
    memset(operation, 0, sizeof *operation);
}

static void look_once(void) {
    look_at_operations(NULL);
}

static void look_twice(void) {
    look_at_operations(NULL);
    look_at_operations(NULL);
}

static void end_operation(void) {
    ati_lock_acquire(&shared->lock);
    shared->is_listed = false;
    ati_lock_release(&shared->lock);
    ati_operation_leave_watch(operation);
    shared->has_logger = false;
    ati_context_release(ati_operation_context(operation));
}

static void check_lines(void) {
    model_check(shared->lines <= 1);
}

#define CASE_WITHIN(bound, text, ...)                                                              \
    {                                                                                              \
        .name = text, .setup = set_up, .threads = {__VA_ARGS__}, .check = check_lines,             \
        .preemptions = bound, .stale_reads = bound                                                 \
    }
#define CASE(text, ...) CASE_WITHIN(MODEL_UNBOUNDED, text, __VA_ARGS__)

/* With one order weaker, which has to be found. */
#define MUTANT(in, of, from)                                                                       \
    {                                                                                              \
        .name = "mutant: " of " in " in, .setup = set_up, .threads = {end_operation, look_once},   \
        .check = check_lines, .preemptions = MODEL_UNBOUNDED, .stale_reads = MODEL_UNBOUNDED,      \
        .must_fail = true, .mutant = {                                                             \
            in,                                                                                    \
            of,                                                                                    \
            "&operation->watched",                                                                 \
            from,                                                                                  \
            memory_order_relaxed                                                                   \
        }                                                                                          \
    }

static const model_case cases[] = {
    CASE("it ends, one looks", end_operation, look_once),
    CASE("it ends, one looks twice", end_operation, look_twice),
    CASE_WITHIN(2, "it ends, two look", end_operation, look_once, look_once),
    MUTANT("end_writing", "exchange", memory_order_release),
    MUTANT("ati_operation_leave_watch", "load", memory_order_acquire),
    MUTANT("ati_operation_leave_watch_chosen", "load", memory_order_acquire),
};

int main(int argument_count, char **arguments) {
    return model_main(argument_count, arguments, cases, sizeof cases / sizeof *cases);
}
