/* SPDX-License-Identifier: MIT
 *
 * Runs the cases of a model, one mutant or many, and says what was found. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { trace_shown = 200 };

static model_site *sites; /* all that were met, of all cases */
static operation trace[event_limit];
static int trace_count;
static const model_mutant *mutant;

/* -- Sites -- */

static bool is_mutant(const model_site *site) {
    return mutant && mutant->function && site->order == mutant->from &&
           strcmp(site->function, mutant->function) == 0 &&
           strcmp(site->operation, mutant->operation) == 0 &&
           strcmp(site->object, mutant->object) == 0;
}

static void set_order(model_site *site) {
    site->effective = is_mutant(site) ? mutant->to : site->order;
}

void report_site(model_site *site) {
    if (site->is_known)
        return;
    site->is_known = true;
    site->next = sites;
    sites = site;
    set_order(site);
}

static void set_mutant(const model_mutant *chosen) {
    mutant = chosen;
    for (model_site *site = sites; site; site = site->next)
        set_order(site);
}

static const char *order_name(memory_order order) {
    static const char *const names[] = {
        [memory_order_relaxed] = "relaxed", [memory_order_consume] = "consume",
        [memory_order_acquire] = "acquire", [memory_order_release] = "release",
        [memory_order_acq_rel] = "acq_rel", [memory_order_seq_cst] = "seq_cst",
    };
    return names[order];
}

/* -- The trace of one execution -- */

void report_begin_execution(void) {
    trace_count = 0;
}

operation *report_event(const operation *done) {
    if (trace_count == event_limit)
        model_fail("an execution of more than %d operations", event_limit);
    trace[trace_count] = *done;
    return &trace[trace_count++];
}

void report_trace(void) {
    int first = trace_count > trace_shown ? trace_count - trace_shown : 0;
    for (int i = first; i < trace_count; i++) {
        const operation *done = &trace[i];
        printf("  %3d  %*sthread %d: %s", i, 4 * (done->thread - 1), "", done->thread, done->name);
        if (done->site)
            printf(" %s (%s) in %s:%d", done->site->object, order_name(done->site->effective),
                   done->site->function, done->site->line);
        if (done->location != no_location)
            printf(" = %#llx", (unsigned long long)done->value);
        printf("%s\n", done->is_stale ? " (stale)" : "");
    }
}

/* -- Cases -- */

typedef struct totals {
    long executions;
    long redundant; /* given up as the same as another one */
    bool is_faulty;
} totals;

static totals explore(const model_case *tested) {
    model_bounds bounds = {tested->preemptions, tested->stale_reads, tested->early_returns};
    totals result = {0};
    explore_begin_case(&bounds);
    do {
        *memory_budget() = bounds;
        execution_outcome outcome = threads_run(tested);
        result.executions += outcome != EXECUTION_REDUNDANT;
        result.redundant += outcome == EXECUTION_REDUNDANT;
        result.is_faulty = outcome == EXECUTION_FAULTY;
    } while (!result.is_faulty && explore_next_execution());
    return result;
}

long model_explore(const model_case *tested) {
    set_mutant(&tested->mutant);
    totals result = explore(tested);
    return result.is_faulty ? -1 : result.executions;
}

static void print_bound(int bound, const char *what) {
    if (bound == MODEL_UNBOUNDED)
        printf(", any number of %s", what);
    else
        printf(", %d %s", bound, what);
}

static bool run_case(const model_case *tested) {
    struct timespec began, ended;
    set_mutant(&tested->mutant);
    clock_gettime(CLOCK_MONOTONIC, &began);
    totals result = explore(tested);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    bool is_well = result.is_faulty == tested->must_fail;
    printf("%s: %s: ", is_well ? "ok" : "FAILED", tested->name);
    if (result.is_faulty)
        printf("a fault%s in execution %ld", tested->must_fail ? ", as it has to be," : "",
               result.executions);
    else
        printf("%sall %ld executions", tested->must_fail ? "no fault in " : "", result.executions);
    print_bound(tested->preemptions, "preemptions");
    print_bound(tested->stale_reads, "stale reads");
    if (result.redundant)
        printf(", %ld cut", result.redundant);
    printf(", %.2f s\n",
           (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9);
    if (result.is_faulty)
        printf("    %s\n", threads_fault());
    if (result.is_faulty && !tested->must_fail)
        report_trace();
    fflush(stdout);
    return is_well;
}

/* -- Mutants -- */

/* What is to be tried in the place of an order. False: nothing. */
static bool weaken(const model_site *site, int attempt, memory_order *to) {
    bool is_load = strcmp(site->operation, "load") == 0;
    bool is_store = strcmp(site->operation, "store") == 0;
    memory_order next = site->order;
    for (int i = 0; i <= attempt; i++) {
        if (next == memory_order_relaxed)
            return false;
        if (next != memory_order_seq_cst)
            next = memory_order_relaxed;
        else
            next = is_load    ? memory_order_acquire
                   : is_store ? memory_order_release
                              : memory_order_acq_rel;
    }
    *to = next;
    return true;
}

static bool find_mutant(const model_case *cases, size_t case_count, const char *wanted) {
    for (size_t i = 0; i < case_count; i++) {
        if (cases[i].must_fail || (wanted && !strstr(cases[i].name, wanted)))
            continue;
        if (explore(&cases[i]).is_faulty) {
            printf("found by %s: %s\n", cases[i].name, threads_fault());
            return true;
        }
    }
    printf("NOT FOUND\n");
    return false;
}

static void run_mutants(const model_case *cases, size_t case_count, const char *wanted) {
    long found = 0, tried = 0;
    for (model_site *site = sites; site; site = site->next)
        for (int attempt = 0;; attempt++) {
            model_mutant weaker = {site->function, site->operation, site->object, site->order, 0};
            if (!weaken(site, attempt, &weaker.to))
                break;
            set_mutant(&weaker);
            printf("%s %s in %s:%d, %s for %s: ", site->operation, site->object, site->function,
                   site->line, order_name(weaker.to), order_name(site->order));
            fflush(stdout);
            tried++;
            found += find_mutant(cases, case_count, wanted);
        }
    printf("%ld mutants, %ld found\n", tried, found);
}

/* -- The command line -- */

typedef struct options {
    bool mutants;
    bool has_preemptions;
    bool has_stale_reads;
    int preemptions;
    int stale_reads;
    const char *wanted; /* part of the names of the cases to be run, or NULL */
} options;

static options read_options(int argument_count, char **arguments) {
    options read = {0};
    for (int i = 1; i < argument_count; i++) {
        bool has_value = i + 1 < argument_count;
        if (strcmp(arguments[i], "--mutants") == 0) {
            read.mutants = true;
        } else if (strcmp(arguments[i], "--preemptions") == 0 && has_value) {
            read.has_preemptions = true;
            read.preemptions = atoi(arguments[++i]);
        } else if (strcmp(arguments[i], "--stale-reads") == 0 && has_value) {
            read.has_stale_reads = true;
            read.stale_reads = atoi(arguments[++i]);
        } else {
            read.wanted = arguments[i];
        }
    }
    return read;
}

int model_main(int argument_count, char **arguments, const model_case *cases, size_t case_count) {
    options given = read_options(argument_count, arguments);
    int failed = 0;
    for (size_t i = 0; i < case_count; i++) {
        model_case tested = cases[i];
        if (given.wanted && !strstr(tested.name, given.wanted))
            continue;
        if (given.has_preemptions)
            tested.preemptions = given.preemptions;
        if (given.has_stale_reads)
            tested.stale_reads = given.stale_reads;
        failed += !run_case(&tested);
    }
    if (given.mutants && failed == 0)
        run_mutants(cases, case_count, given.wanted);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
