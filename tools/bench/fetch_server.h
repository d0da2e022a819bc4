/* SPDX-License-Identifier: MIT */
#ifndef BENCH_FETCH_SERVER_H
#define BENCH_FETCH_SERVER_H

#include "fetch.h"

#include <sys/types.h>

/* The server, in a process of its own: one thread that answers "fetch 12\n" with "done 12\n" or
 * "failed 12\n", each after its delay. Clients close. */
struct fetch_server {
    pid_t process;
    int port;     /* on 127.0.0.1, chosen by the kernel */
    int lifeline; /* the server ends when this is closed */
};

/* Starts it; gives 0 or an errno. Call it before there are threads. */
int fetch_server_start(struct fetch_server *server, const struct fetch_options *options);
void fetch_server_stop(struct fetch_server *server);

#endif
