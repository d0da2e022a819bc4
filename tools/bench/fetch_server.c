/* SPDX-License-Identifier: MIT */
#include "fetch_server.h"

#include "clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LINE_BYTES = 64,
    EVENTS = 256,
    BACKLOG = 4096,
    NS_PER_MS = 1000000,
    NOT_WAITING = -1,
};

struct connection {
    int descriptor;
    long number;
    uint64_t due_ns;
    long place; /* in the heap, or NOT_WAITING */
    size_t length;
    char line[LINE_BYTES];
};

/* Answers that wait, a binary heap: the earliest first. */
struct server {
    const struct fetch_options *options;
    int epoll;
    int listener;
    int lifeline;
    struct connection **waiting;
    long waiting_count;
    long waiting_room;
};

static void put(struct server *server, long place, struct connection *connection) {
    server->waiting[place] = connection;
    connection->place = place;
}

static void move_up(struct server *server, long place, struct connection *connection) {
    while (place > 0) {
        long parent = (place - 1) / 2;
        if (server->waiting[parent]->due_ns <= connection->due_ns)
            break;
        put(server, place, server->waiting[parent]);
        place = parent;
    }
    put(server, place, connection);
}

static void move_down(struct server *server, long place, struct connection *connection) {
    for (;;) {
        long child = 2 * place + 1;
        if (child >= server->waiting_count)
            break;
        if (child + 1 < server->waiting_count &&
            server->waiting[child + 1]->due_ns < server->waiting[child]->due_ns)
            child++;
        if (connection->due_ns <= server->waiting[child]->due_ns)
            break;
        put(server, place, server->waiting[child]);
        place = child;
    }
    put(server, place, connection);
}

static bool start_waiting(struct server *server, struct connection *connection) {
    if (server->waiting_count == server->waiting_room) {
        long room = server->waiting_room ? 2 * server->waiting_room : 1024;
        void *larger = realloc(server->waiting, (size_t)room * sizeof(struct connection *));
        if (!larger)
            return false;
        server->waiting = larger;
        server->waiting_room = room;
    }
    move_up(server, server->waiting_count++, connection);
    return true;
}

static void stop_waiting(struct server *server, struct connection *connection) {
    long place = connection->place;
    connection->place = NOT_WAITING;
    struct connection *last = server->waiting[--server->waiting_count];
    if (last == connection)
        return;
    if (place > 0 && server->waiting[(place - 1) / 2]->due_ns > last->due_ns)
        move_up(server, place, last);
    else
        move_down(server, place, last);
}

static void close_connection(struct server *server, struct connection *connection) {
    if (connection->place != NOT_WAITING)
        stop_waiting(server, connection);
    close(connection->descriptor);
    free(connection);
}

static void accept_all(struct server *server) {
    for (;;) {
        int descriptor = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0)
            return;
        struct connection *connection = calloc(1, sizeof(*connection));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (!connection || epoll_ctl(server->epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) {
            free(connection);
            close(descriptor);
            continue;
        }
        connection->descriptor = descriptor;
        connection->place = NOT_WAITING;
    }
}

/* Reads what has come; false when the connection is to be closed. */
static bool take_request(struct server *server, struct connection *connection) {
    size_t room = sizeof(connection->line) - 1 - connection->length;
    ssize_t got = recv(connection->descriptor, connection->line + connection->length, room, 0);
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    connection->length += (size_t)got;
    connection->line[connection->length] = '\0';
    if (!strchr(connection->line, '\n'))
        return connection->length < sizeof(connection->line) - 1;
    if (connection->place != NOT_WAITING ||
        sscanf(connection->line, "fetch %ld\n", &connection->number) != 1)
        return false;
    connection->due_ns = now_ns() + (uint64_t)fetch_delay_ns(server->options, connection->number);
    return start_waiting(server, connection);
}

static void answer(struct server *server, struct connection *connection) {
    char line[LINE_BYTES];
    bool fails = fetch_is_to_fail(server->options, connection->number);
    int length =
        snprintf(line, sizeof(line), "%s %ld\n", fails ? "failed" : "done", connection->number);
    stop_waiting(server, connection);
    connection->length = 0;
    if (send(connection->descriptor, line, (size_t)length, MSG_NOSIGNAL) != length)
        close_connection(server, connection);
}

/* Gives the milliseconds until the next one is due, rounded up; -1 for none. */
static int answer_due(struct server *server) {
    uint64_t now = now_ns();
    while (server->waiting_count > 0 && server->waiting[0]->due_ns <= now)
        answer(server, server->waiting[0]);
    if (server->waiting_count == 0)
        return -1;
    return (int)((server->waiting[0]->due_ns - now + NS_PER_MS - 1) / NS_PER_MS);
}

/* Runs until the other end of the lifeline is closed. */
static void serve(struct server *server) {
    struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(server->epoll, events, EVENTS, answer_due(server));
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].data.ptr == &server->listener)
                accept_all(server);
            else if (events[i].data.ptr == &server->lifeline)
                return;
            else if (!take_request(server, connection))
                close_connection(server, connection);
        }
    }
}

static int open_listener(int *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0)
        return -1;
    if (bind(listener, (struct sockaddr *)&address, length) != 0 ||
        listen(listener, BACKLOG) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        int error = errno;
        close(listener);
        errno = error;
        return -1;
    }
    *port = ntohs(address.sin_port);
    return listener;
}

static _Noreturn void run_server(const struct fetch_options *options, int listener, int lifeline) {
    static struct server server;
    struct epoll_event accepts = {.events = EPOLLIN, .data.ptr = &server.listener};
    struct epoll_event ends = {.events = EPOLLIN, .data.ptr = &server.lifeline};
    /* Ctrl-C is for the client; the server ends with it. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    server.options = options;
    server.listener = listener;
    server.lifeline = lifeline;
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server.epoll < 0 || epoll_ctl(server.epoll, EPOLL_CTL_ADD, listener, &accepts) != 0 ||
        epoll_ctl(server.epoll, EPOLL_CTL_ADD, lifeline, &ends) != 0)
        _exit(1);
    serve(&server);
    _exit(0);
}

int fetch_server_start(struct fetch_server *server, const struct fetch_options *options) {
    int ends[2];
    int listener = open_listener(&server->port);
    if (listener < 0)
        return errno;
    if (pipe(ends) != 0) {
        int error = errno;
        close(listener);
        return error;
    }
    server->process = fork();
    if (server->process == 0) {
        close(ends[1]);
        run_server(options, listener, ends[0]);
    }
    int error = server->process < 0 ? errno : 0;
    close(listener);
    close(ends[0]);
    server->lifeline = ends[1];
    if (error != 0)
        close(ends[1]);
    return error;
}

void fetch_server_stop(struct fetch_server *server) {
    close(server->lifeline);
    while (waitpid(server->process, NULL, 0) < 0 && errno == EINTR)
        ;
}
