/* SPDX-License-Identifier: MIT */
#include "fetch_loop.h"

#include <asynctools/future.h>
#include <asynctools/promise.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS = 256 };

_Static_assert((int)EPOLLIN == POLLIN && (int)EPOLLOUT == POLLOUT, "epoll takes poll's events");

/* Each wait arms the socket for one event, which completes the promise of that wait. A task whose
 * wait was cancelled closes the socket, but the loop may have its event in hand already: it gets
 * the socket to free it after the events that it has. */
struct fetch_socket {
    struct fetch_loop *loop;
    at_pool *pool;
    at_promise *_Atomic promise; /* of the wait in progress, or of one that was cancelled */
    struct fetch_socket *next;
    int descriptor;
    bool is_known; /* to epoll */
};

struct fetch_loop {
    int epoll;
    int end_descriptor;
    int stop_descriptor;
    void (*on_stop)(void *context);
    void *context;
    pthread_t thread;
    pthread_mutex_t lock; /* guards `closed` */
    struct fetch_socket *closed;
};

static void free_socket(struct fetch_socket *socket) {
    at_promise_destroy(atomic_load_explicit(&socket->promise, memory_order_relaxed));
    free(socket);
}

static void free_closed(struct fetch_loop *loop) {
    pthread_mutex_lock(&loop->lock);
    struct fetch_socket *socket = loop->closed;
    loop->closed = NULL;
    pthread_mutex_unlock(&loop->lock);
    while (socket) {
        struct fetch_socket *next = socket->next;
        free_socket(socket);
        socket = next;
    }
}

static void stop(struct fetch_loop *loop) {
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, loop->stop_descriptor, NULL);
    loop->on_stop(loop->context);
}

static void complete_wait(struct fetch_socket *socket) {
    /* Acquire: pairs with the release of the task that waits. */
    at_promise_set(atomic_load_explicit(&socket->promise, memory_order_acquire), NULL, NULL);
}

static void *run_loop(void *argument) {
    struct fetch_loop *loop = argument;
    struct epoll_event events[EVENTS];
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    for (bool ended = false; !ended;) {
        int count = epoll_wait(loop->epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            void *source = events[i].data.ptr;
            if (source == &loop->end_descriptor)
                ended = true;
            else if (source == &loop->stop_descriptor)
                stop(loop);
            else
                complete_wait(source);
        }
        free_closed(loop);
    }
    return NULL;
}

static int watch(struct fetch_loop *loop, int *descriptor) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = descriptor};
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, *descriptor, &event) == 0 ? 0 : errno;
}

static void close_loop(struct fetch_loop *loop) {
    pthread_mutex_destroy(&loop->lock);
    if (loop->epoll >= 0)
        close(loop->epoll);
    if (loop->end_descriptor >= 0)
        close(loop->end_descriptor);
    free(loop);
}

int fetch_loop_create(struct fetch_loop **created, int stop_descriptor,
                      void (*on_stop)(void *context), void *context) {
    struct fetch_loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return ENOMEM;
    pthread_mutex_init(&loop->lock, NULL);
    loop->stop_descriptor = stop_descriptor;
    loop->on_stop = on_stop;
    loop->context = context;
    loop->end_descriptor = eventfd(0, EFD_CLOEXEC);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    int error = loop->end_descriptor < 0 || loop->epoll < 0 ? errno : 0;
    if (error == 0)
        error = watch(loop, &loop->end_descriptor);
    if (error == 0)
        error = watch(loop, &loop->stop_descriptor);
    if (error == 0)
        error = pthread_create(&loop->thread, NULL, run_loop, loop);
    if (error != 0)
        close_loop(loop);
    else
        *created = loop;
    return error;
}

void fetch_loop_destroy(struct fetch_loop *loop) {
    eventfd_write(loop->end_descriptor, 1);
    pthread_join(loop->thread, NULL);
    free_closed(loop);
    close_loop(loop);
}

struct fetch_socket *fetch_socket_open(struct fetch_loop *loop, at_pool *pool) {
    struct fetch_socket *socket = calloc(1, sizeof(*socket));
    if (!socket)
        return NULL;
    *socket = (struct fetch_socket){.loop = loop, .pool = pool};
    socket->descriptor = fetch_open_socket();
    if (socket->descriptor >= 0)
        return socket;
    int error = errno;
    free(socket);
    errno = error;
    return NULL;
}

int fetch_socket_descriptor(const struct fetch_socket *socket) {
    return socket->descriptor;
}

void fetch_socket_close(struct fetch_socket *socket) {
    struct fetch_loop *loop = socket->loop;
    close(socket->descriptor);
    if (!atomic_load_explicit(&socket->promise, memory_order_relaxed)) {
        free_socket(socket);
        return;
    }
    pthread_mutex_lock(&loop->lock);
    socket->next = loop->closed;
    loop->closed = socket;
    pthread_mutex_unlock(&loop->lock);
}

static bool arm(struct fetch_socket *socket, short events) {
    struct epoll_event event = {.events = (uint32_t)events | EPOLLONESHOT, .data.ptr = socket};
    int operation = socket->is_known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    socket->is_known = true;
    return epoll_ctl(socket->loop->epoll, operation, socket->descriptor, &event) == 0;
}

enum fetch_wait_result fetch_socket_wait(void *context, int descriptor, short events) {
    struct fetch_socket *socket = context;
    (void)descriptor;
    at_promise *promise;
    if (at_promise_create(&promise, at_pool_executor(socket->pool)) != AT_OK)
        return FETCH_WAIT_BROKE;
    at_future *ready = at_promise_future(promise);
    /* Release: the loop finds the promise when the event comes. */
    atomic_store_explicit(&socket->promise, promise, memory_order_release);
    at_status status = AT_ERROR_SYSTEM;
    if (arm(socket, events))
        status = at_future_wait(ready, AT_FOREVER, NULL);
    at_future_release(ready);
    if (status == AT_OK) {
        atomic_store_explicit(&socket->promise, NULL, memory_order_relaxed);
        at_promise_destroy(promise);
        return FETCH_READY;
    }
    if (status == AT_ERROR_TIMED_OUT)
        return FETCH_WAIT_TIMED_OUT;
    return status == AT_ERROR_CANCELLED ? FETCH_WAIT_CANCELLED : FETCH_WAIT_BROKE;
}
