/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include "child.h"
#include "clock.h"
#include "peers/suspend.h"
#include "statistics.h"
#include "tasks.h"

#include <stdio.h>

enum {
    SWITCHES = 5000000,
    YIELDS = 2000000,
    SUSPENDS = 2000000,
    CHECKS = 20000000,
    WAITS = 200 * 2 * SUSPEND_PROMISES,
    HELD_TASKS = 100000,
    HELD_AGAIN = 1000,
    HELD_AGAIN_ROUNDS = 25,
    QUICK_SHARE = 50,
};

typedef uint64_t (*change_program)(long count);

/* One of the ways to change stacks. */
struct change_case {
    change_program (*find)(const struct suspend_peer *peer);
    long count;
    change_program (*find_other)(const struct suspend_peer *peer); /* to compare with, or NULL */
};

static change_program find_switch(const struct suspend_peer *peer) {
    return peer->switch_stacks;
}

static change_program find_yield(const struct suspend_peer *peer) {
    return peer->yield;
}

static change_program find_suspend(const struct suspend_peer *peer) {
    return peer->suspend;
}

static change_program find_check(const struct suspend_peer *peer) {
    return peer->check;
}

static change_program find_check_and_look(const struct suspend_peer *peer) {
    return peer->check_and_look;
}

static change_program find_wait(const struct suspend_peer *peer) {
    return peer->wait;
}

static change_program find_wait_over(const struct suspend_peer *peer) {
    return peer->wait_over;
}

static const struct change_case switches = {find_switch, SWITCHES, NULL};
static const struct change_case yields = {find_yield, YIELDS, NULL};
static const struct change_case suspends = {find_suspend, SUSPENDS, NULL};
static const struct change_case checks = {find_check, CHECKS, find_check_and_look};
static const struct change_case waits = {find_wait, WAITS, find_wait_over};

static size_t list_some(struct subject *subjects,
                        bool (*takes_part)(const struct suspend_peer *, const struct change_case *),
                        const struct change_case *change) {
    size_t count = 0;
    for (size_t i = 0; suspend_peers[i]; i++) {
        const struct suspend_peer *peer = suspend_peers[i];
        if (!takes_part(peer, change))
            continue;
        enum subject_role role = peer->is_library             ? SUBJECT_LIBRARY
                                 : peer->is_beside && !change ? SUBJECT_BESIDE
                                                              : SUBJECT_PEER;
        subjects[count++] = (struct subject){.name = peer->name, .role = role, .data = peer};
    }
    return count;
}

static bool can_change(const struct suspend_peer *peer, const struct change_case *change) {
    return change->find(peer) != NULL;
}

static bool can_hold(const struct suspend_peer *peer, const struct change_case *change) {
    (void)change;
    return peer->hold != NULL;
}

static size_t list_changes(const struct benchmark_settings *settings, struct subject *subjects) {
    return list_some(subjects, can_change, settings->benchmark->data);
}

static size_t list_holds(const struct benchmark_settings *settings, struct subject *subjects) {
    (void)settings;
    return list_some(subjects, can_hold, NULL);
}

static bool measure_changes(const struct subject *subject,
                            const struct benchmark_settings *settings,
                            struct benchmark_sample *sample) {
    const struct change_case *change = settings->benchmark->data;
    change_program run = change->find(subject->data);
    long count = settings->quick ? change->count / QUICK_SHARE : change->count;
    run(change->count / QUICK_SHARE);
    uint64_t cpu = tasks_cpu_ns();
    sample->values[0] = (double)run(count) / (double)count;
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)count;
    sample->iterations = (uint64_t)count;
    if (change->find_other) {
        change_program run_other = change->find_other(subject->data);
        sample->values[1] = (double)run_other(count) / (double)count;
        sample->values[2] = sample->values[0] - sample->values[1];
    }
    return true;
}

struct hold_case {
    const struct suspend_peer *peer;
    long count;
    int rounds; /* with used stacks */
};

/* Lets all tasks wait, and then, again and again, as many as find used stacks. */
static bool hold_tasks(const void *argument, void *figures) {
    const struct hold_case *what = argument;
    struct benchmark_sample *sample = figures;
    const struct suspend_peer *peer = what->peer;
    double count = (double)what->count;
    /* The first look brings code of its own in. */
    double resident = child_resident_bytes(), tables = child_page_table_bytes();
    resident = child_resident_bytes();
    uint64_t cpu = tasks_cpu_ns(), start = now_ns();
    peer->hold(what->count);
    sample->values[0] = (double)(now_ns() - start) / count;
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / count;
    sample->values[2] = (child_resident_bytes() - resident) / count;
    sample->values[3] = (child_page_table_bytes() - tables) / count;
    peer->release();
    double times[HELD_AGAIN_ROUNDS];
    for (int i = 0; i < what->rounds; i++) {
        start = now_ns();
        peer->hold(HELD_AGAIN);
        times[i] = (double)(now_ns() - start) / HELD_AGAIN;
        peer->release();
    }
    sample->values[1] = median_of(times, (size_t)what->rounds);
    sample->iterations = (uint64_t)what->count;
    return true;
}

static bool measure_hold(const struct subject *subject, const struct benchmark_settings *settings,
                         struct benchmark_sample *sample) {
    struct hold_case what = {subject->data, HELD_TASKS, HELD_AGAIN_ROUNDS};
    if (settings->quick) {
        what.count /= QUICK_SHARE;
        what.rounds = 1;
    }
    if (child_measure(hold_tasks, &what, sample, sizeof(*sample)))
        return true;
    fprintf(stderr, "at-bench: %s cannot hold %ld tasks\n", subject->name, what.count);
    return false;
}

const struct benchmark benchmark_switch = {
    .name = "switch",
    .help = "from one stack to another, nobody chooses who is next, a switch",
    .metrics = {{"time", "ns"}},
    .data = &switches,
    .list_subjects = list_changes,
    .measure = measure_changes,
};

const struct benchmark benchmark_yield = {
    .name = "yield",
    .help = "two tasks on one worker let each other go first, a turn",
    .metrics = {{"time", "ns"}},
    .data = &yields,
    .list_subjects = list_changes,
    .measure = measure_changes,
};

const struct benchmark benchmark_suspend = {
    .name = "suspend",
    .help = "two tasks on one worker resume each other and suspend, without promises, a turn",
    .metrics = {{"time", "ns"}},
    .data = &suspends,
    .list_subjects = list_changes,
    .measure = measure_changes,
};

const struct benchmark benchmark_check = {
    .name = "check",
    .help = "at_check in a loop: nobody waits for the turn; a timer is set, and all are busy",
    .metrics = {{"time", "ns"}, {"with a look", "ns"}},
    .data = &checks,
    .list_subjects = list_changes,
    .measure = measure_changes,
};

const struct benchmark benchmark_wait = {
    .name = "wait",
    .help = "two tasks on one worker wait for each other's promises, suspend and resume",
    .metrics = {{"time", "ns"}, {"set before", "ns"}, {"difference", "ns"}},
    .data = &waits,
    .list_subjects = list_changes,
    .measure = measure_changes,
};

const struct benchmark benchmark_suspended = {
    .name = "suspended",
    .help = "100,000 tasks that wait: start until suspended, memory, a task",
    .metrics = {{"fresh stack", "ns"},
                {"used stack", "ns"},
                {"resident", "B"},
                {"page tables", "B"}},
    .list_subjects = list_holds,
    .measure = measure_hold,
};
