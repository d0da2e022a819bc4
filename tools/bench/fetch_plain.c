/* SPDX-License-Identifier: MIT */
#include "child.h"
#include "clock.h"
#include "fetch_exchange.h"
#include "messages.h"
#include "tasks.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STACK_BYTES = 64 * 1024, NS_PER_SECOND = 1000000000 };

/* The job with a thread for each request, begun as soon as a place is free. */
static struct {
    pthread_mutex_t lock; /* guards `taken` */
    pthread_cond_t freed;
    long taken;             /* places */
    int failure_descriptor; /* an eventfd: with --fail-fast a request has failed */
} plain = {.lock = PTHREAD_MUTEX_INITIALIZER, .freed = PTHREAD_COND_INITIALIZER};

/* Waits for the socket, for somebody who asks for an end, and for the timeout. */
static enum fetch_wait_result wait_in_poll(void *context, int descriptor, short events) {
    const struct fetch_request *request = context;
    const struct fetch_options *options = request->run->options;
    struct pollfd all[] = {{.fd = descriptor, .events = events},
                           {.fd = request->run->stop_descriptor, .events = POLLIN},
                           {.fd = plain.failure_descriptor, .events = POLLIN}};
    for (;;) {
        struct timespec left, *limit = NULL;
        if (options->timeout_ms > 0) {
            int64_t ns = request->began_ns + options->timeout_ms * 1000000 - (int64_t)now_ns();
            if (ns < 0)
                ns = 0;
            left = (struct timespec){.tv_sec = ns / NS_PER_SECOND, .tv_nsec = ns % NS_PER_SECOND};
            limit = &left;
        }
        int ready = ppoll(all, 3, limit, NULL);
        if (ready < 0 && errno != EINTR)
            return FETCH_WAIT_BROKE;
        if (ready == 0)
            return FETCH_WAIT_TIMED_OUT;
        if (ready > 0)
            return all[1].revents || all[2].revents ? FETCH_WAIT_CANCELLED : FETCH_READY;
    }
}

static bool is_stopped(const struct fetch_run *run) {
    struct pollfd both[] = {{.fd = run->stop_descriptor, .events = POLLIN},
                            {.fd = plain.failure_descriptor, .events = POLLIN}};
    return poll(both, 2, 0) > 0;
}

static void give_place_up(void) {
    pthread_mutex_lock(&plain.lock);
    plain.taken--;
    pthread_cond_signal(&plain.freed);
    pthread_mutex_unlock(&plain.lock);
}

/* Takes a place when fewer than `limit` are taken. */
static void take_place(long limit) {
    pthread_mutex_lock(&plain.lock);
    while (plain.taken >= limit)
        pthread_cond_wait(&plain.freed, &plain.lock);
    plain.taken++;
    pthread_mutex_unlock(&plain.lock);
}

static void wait_until_all_free(void) {
    pthread_mutex_lock(&plain.lock);
    while (plain.taken > 0)
        pthread_cond_wait(&plain.freed, &plain.lock);
    pthread_mutex_unlock(&plain.lock);
}

static void *fetch_one(void *argument) {
    struct fetch_request *request = argument;
    struct fetch_run *run = request->run;
    enum fetch_outcome outcome = FETCH_BROKEN;
    fetch_begin(request);
    int descriptor = fetch_open_socket();
    if (descriptor >= 0) {
        outcome = fetch_exchange(request, descriptor, wait_in_poll, request);
        close(descriptor);
    } else {
        fetch_note_error(run, errno);
    }
    fetch_end(request, outcome);
    if (outcome == FETCH_FAILED && run->options->fail_fast)
        fetch_ask_to_stop(plain.failure_descriptor);
    fetch_count(&run->threads, &run->peak_threads, -1);
    give_place_up();
    return NULL;
}

/* Gives 0 or an errno. */
static int start_thread(struct fetch_request *request, const pthread_attr_t *attributes) {
    pthread_t thread;
    fetch_count(&request->run->threads, &request->run->peak_threads, 1);
    int error = pthread_create(&thread, attributes, fetch_one, request);
    if (error != 0)
        fetch_count(&request->run->threads, &request->run->peak_threads, -1);
    return error;
}

static int start_all(struct fetch_run *run) {
    pthread_attr_t attributes;
    int error = 0;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (long i = 0; i < run->options->requests && error == 0; i++) {
        take_place(run->options->concurrency);
        if (is_stopped(run)) {
            give_place_up();
            break;
        }
        error = start_thread(&run->requests[i], &attributes);
        if (error != 0)
            give_place_up();
    }
    pthread_attr_destroy(&attributes);
    return error;
}

bool fetch_with_threads(struct fetch_run *run, struct fetch_figures *figures) {
    double resident = child_resident_bytes();
    plain.failure_descriptor = eventfd(0, EFD_CLOEXEC);
    if (plain.failure_descriptor < 0) {
        snprintf(figures->message, sizeof(figures->message), "%s", describe_errno(errno));
        return false;
    }
    uint64_t cpu = tasks_cpu_ns(), start = now_ns();
    int error = start_all(run);
    wait_until_all_free();
    figures->time_ns = (int64_t)(now_ns() - start);
    figures->cpu_ns = (int64_t)(tasks_cpu_ns() - cpu);
    figures->threads = atomic_load_explicit(&run->peak_threads, memory_order_relaxed) + 1;
    figures->peak_bytes = (int64_t)(child_peak_bytes() - resident);
    fetch_sum(run, figures);
    close(plain.failure_descriptor);
    if (error != 0)
        snprintf(figures->message, sizeof(figures->message), "cannot start thread %ld: %s",
                 (long)figures->threads, describe_errno(error));
    return error == 0;
}
