/* SPDX-License-Identifier: MIT */
#include "fetch_exchange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { LINE_BYTES = 64 };

struct exchange {
    struct fetch_run *run;
    int descriptor;
    fetch_wait_fn wait;
    void *context;
    enum fetch_outcome outcome; /* when a step has given false */
};

static bool break_off(struct exchange *exchange, int error) {
    fetch_note_error(exchange->run, error);
    exchange->outcome = FETCH_BROKEN;
    return false;
}

static bool wait_until(struct exchange *exchange, short events) {
    switch (exchange->wait(exchange->context, exchange->descriptor, events)) {
    case FETCH_READY:
        return true;
    case FETCH_WAIT_TIMED_OUT:
        exchange->outcome = FETCH_TIMED_OUT;
        return false;
    case FETCH_WAIT_CANCELLED:
        exchange->outcome = FETCH_CANCELLED;
        return false;
    case FETCH_WAIT_BROKE:
        break;
    }
    return break_off(exchange, ENOMEM);
}

int fetch_open_socket(void) {
    /* Closing resets the connection, so that its port is not kept for a minute. */
    const struct linger reset = {.l_onoff = 1};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor >= 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    return descriptor;
}

static bool connect_to_server(struct exchange *exchange) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)exchange->run->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(exchange->descriptor, (struct sockaddr *)&address, sizeof(address)) == 0)
        return true;
    if (errno != EINPROGRESS)
        return break_off(exchange, errno);
    return wait_until(exchange, POLLOUT);
}

static bool send_all(struct exchange *exchange, const char *text, size_t length) {
    while (length > 0) {
        ssize_t sent = send(exchange->descriptor, text, length, MSG_NOSIGNAL);
        if (sent >= 0) {
            text += sent;
            length -= (size_t)sent;
        } else if (errno == EAGAIN) {
            if (!wait_until(exchange, POLLOUT))
                return false;
        } else if (errno != EINTR) {
            return break_off(exchange, errno);
        }
    }
    return true;
}

/* Reads one line, without its end. */
static bool receive_line(struct exchange *exchange, char line[LINE_BYTES]) {
    size_t length = 0;
    while (length < LINE_BYTES) {
        ssize_t got = recv(exchange->descriptor, line + length, LINE_BYTES - length, 0);
        if (got == 0)
            return break_off(exchange, ECONNRESET);
        if (got > 0) {
            length += (size_t)got;
            if (line[length - 1] != '\n')
                continue;
            line[length - 1] = '\0';
            return true;
        }
        if (errno == EAGAIN) {
            if (!wait_until(exchange, POLLIN))
                return false;
        } else if (errno != EINTR) {
            return break_off(exchange, errno);
        }
    }
    return break_off(exchange, EPROTO);
}

enum fetch_outcome fetch_exchange(struct fetch_request *request, int descriptor, fetch_wait_fn wait,
                                  void *context) {
    char line[LINE_BYTES], word[LINE_BYTES];
    long number = request - request->run->requests, answered;
    struct exchange exchange = {
        .run = request->run, .descriptor = descriptor, .wait = wait, .context = context};
    int length = snprintf(line, sizeof(line), "fetch %ld\n", number);
    if (!connect_to_server(&exchange) || !send_all(&exchange, line, (size_t)length) ||
        !receive_line(&exchange, line))
        return exchange.outcome;
    if (sscanf(line, "%63s %ld", word, &answered) != 2 || answered != number)
        break_off(&exchange, EPROTO);
    else
        exchange.outcome = strcmp(word, "done") == 0 ? FETCH_SUCCEEDED : FETCH_FAILED;
    return exchange.outcome;
}
