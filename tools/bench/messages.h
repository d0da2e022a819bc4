/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MESSAGES_H
#define BENCH_MESSAGES_H

#ifdef __cplusplus
extern "C" {
#endif

/* Describes an errno; the text lives until this thread asks again. */
const char *describe_errno(int error);

/* Ends the process at once, after a message that begins with "at-bench: ": for measurements that
 * cannot go on, from any thread. */
__attribute__((noreturn, format(printf, 1, 2))) void give_up(const char *format, ...);

#ifdef __cplusplus
}
#endif

#endif
