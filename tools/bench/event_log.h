/* SPDX-License-Identifier: MIT */
#ifndef BENCH_EVENT_LOG_H
#define BENCH_EVENT_LOG_H

#include <stdint.h>

/* The JSON log of a run: one object a line. Any thread; NULL logs nothing. */
struct event_log;

/* Gives NULL with errno set. */
struct event_log *event_log_open(const char *path);
void event_log_close(struct event_log *log);

void event_log_problem(struct event_log *log, const char *problem, const char *path,
                       const char *why);
void event_log_progress(struct event_log *log, uint64_t files, uint64_t found, uint64_t bytes);
void event_log_message(struct event_log *log, const char *event, const char *text);

#endif
