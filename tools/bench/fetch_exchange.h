/* SPDX-License-Identifier: MIT */
#ifndef BENCH_FETCH_EXCHANGE_H
#define BENCH_FETCH_EXCHANGE_H

#include "fetch.h"

/* How a wait for a socket has ended. */
enum fetch_wait_result {
    FETCH_READY,
    FETCH_WAIT_TIMED_OUT,
    FETCH_WAIT_CANCELLED,
    FETCH_WAIT_BROKE
};

/* Waits until `descriptor` can be read (POLLIN) or written (POLLOUT). */
typedef enum fetch_wait_result (*fetch_wait_fn)(void *context, int descriptor, short events);

/* Opens a socket that does not block; -1 with errno. */
int fetch_open_socket(void);

/* Sends one request over it, a connection of its own, and waits for the answer. Never blocks but
 * in `wait`. The caller closes the socket: at once, whatever has happened, and the port is free. */
enum fetch_outcome fetch_exchange(struct fetch_request *request, int descriptor, fetch_wait_fn wait,
                                  void *context);

#endif
