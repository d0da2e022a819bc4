/* SPDX-License-Identifier: MIT */
/* A server with an epoll loop of its own. The loop reads numbers from a socket; the pool factors
 * them; the answers come back to the loop, which alone writes to the socket and counts. */
#include <asynctools/asynctools.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { request_count = 50 };

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

/* All of it is the loop's: no lock. */
struct server {
    at_pool *pool;
    at_loop_executor *loop;
    int socket;
    bool has_ended; /* the client has */
    int under_way;
    int answered;
    int ticks;
};

struct request {
    uint64_t number;
    uint64_t factor;
};

/* On the pool: it may take long. */
static void *find_factor(void *argument) {
    struct request *request = argument;
    request->factor = request->number;
    for (uint64_t i = 2; i * i <= request->number; i++)
        if (request->number % i == 0) {
            request->factor = i;
            break;
        }
    return request;
}

/* On the loop again: short, and without a wait. */
static void *answer(void *value, void *argument) {
    struct request *request = value;
    struct server *server = argument;
    uint64_t pair[2] = {request->number, request->factor};
    expect(write(server->socket, pair, sizeof pair) == sizeof pair, "an answer");
    server->under_way--;
    server->answered++;
    free(request);
    return server;
}

static void read_request(struct server *server) {
    struct request *request = malloc(sizeof *request);
    expect(request, "memory");
    if (read(server->socket, &request->number, sizeof request->number) <= 0) {
        server->has_ended = true;
        free(request);
        return;
    }
    server->under_way++;
    at_continuation_options back = {.executor = at_loop_executor_executor(server->loop),
                                    .context = server};
    at_future *found = at_pool_submit(server->pool, find_factor, request);
    at_future_release(at_future_then_with(found, answer, &back));
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "one more descriptor");
}

static void run_loop(struct server *server, int timer) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    expect(epoll >= 0, "epoll");
    watch(epoll, server->socket);
    watch(epoll, timer);
    watch(epoll, at_loop_executor_fd(server->loop)); /* readable: there are works to dispatch */
    while (!server->has_ended || server->under_way > 0) {
        struct epoll_event event;
        expect(epoll_wait(epoll, &event, 1, -1) == 1, "an event");
        if (event.data.fd == server->socket) {
            read_request(server);
        } else if (event.data.fd == timer) {
            uint64_t expired;
            expect(read(timer, &expired, sizeof expired) == sizeof expired, "ticks");
            server->ticks++;
        } else { /* at most 16 works and a millisecond: the socket has its turn, too */
            at_status status =
                at_loop_executor_dispatch(server->loop, 16, AT_MILLISECONDS(1), NULL);
            expect(status == AT_OK, "works");
        }
        if (server->has_ended && event.data.fd == server->socket)
            expect(epoll_ctl(epoll, EPOLL_CTL_DEL, server->socket, NULL) == 0, "nothing to read");
    }
    close(epoll);
}

/* Sends everything, and then reads the answers, in any order. */
static void *run_client(void *argument) {
    int fd = *(int *)argument;
    for (uint64_t i = 0; i < request_count; i++) {
        uint64_t number = (i + 2) * 1000003;
        expect(write(fd, &number, sizeof number) == sizeof number, "a request");
    }
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < request_count; i++) {
        uint64_t pair[2];
        expect(recv(fd, pair, sizeof pair, MSG_WAITALL) == sizeof pair, "an answer");
        expect(pair[0] % pair[1] == 0 && pair[1] < 1000003, "a factor");
    }
    return NULL;
}

int main(void) {
    int sockets[2];
    pthread_t client;
    struct server server = {0};
    expect(at_pool_create(&server.pool, NULL) == AT_OK, "a pool");
    expect(at_loop_executor_create(&server.loop) == AT_OK, "a loop executor");
    expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0, "sockets");
    server.socket = sockets[0];
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct itimerspec each = {.it_interval.tv_nsec = 1000000, .it_value.tv_nsec = 1000000};
    expect(timer >= 0 && timerfd_settime(timer, 0, &each, NULL) == 0, "a timer");

    expect(pthread_create(&client, NULL, run_client, &sockets[1]) == 0, "a client");
    run_loop(&server, timer);
    pthread_join(client, NULL);
    printf("%d answers, %d ticks meanwhile\n", server.answered, server.ticks);
    expect(server.answered == request_count, "an answer to each request");

    close(timer);
    close(sockets[0]);
    close(sockets[1]);
    at_loop_executor_destroy(server.loop);
    at_pool_destroy(server.pool);
    return 0;
}
