/* SPDX-License-Identifier: MIT */
#ifndef BENCH_FETCH_LOOP_H
#define BENCH_FETCH_LOOP_H

#include "fetch_exchange.h"

#include <asynctools/pool.h>

/* One thread that waits for all sockets at once, so that tasks wait for a promise and hold no
 * thread. */
struct fetch_loop;
struct fetch_socket;

/* Starts the thread, which takes signals, also those that the caller blocks. It calls
 * `on_stop(context)` once, when `stop_descriptor` becomes readable. Gives 0 or an errno. */
int fetch_loop_create(struct fetch_loop **loop, int stop_descriptor, void (*on_stop)(void *context),
                      void *context);

/* No socket may be open any more. */
void fetch_loop_destroy(struct fetch_loop *loop);

/* Opens a socket to be waited for by tasks of `pool`; NULL with errno. */
struct fetch_socket *fetch_socket_open(struct fetch_loop *loop, at_pool *pool);
int fetch_socket_descriptor(const struct fetch_socket *socket);

/* Closes it, also after a wait that was cancelled. */
void fetch_socket_close(struct fetch_socket *socket);

/* Is a fetch_wait_fn for such a socket: the task that calls it is suspended. */
enum fetch_wait_result fetch_socket_wait(void *socket, int descriptor, short events);

#endif
