/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_CRASH_H
#define ASYNCTOOLS_CRASH_H

#include <asynctools/attributes.h>
#include <asynctools/status.h>

AT_DECLARATIONS_BEGIN

/** Installs a handler for SIGSEGV, SIGBUS, SIGABRT, SIGFPE and SIGILL in the whole process. When a
 *  task has overflowed its stack, it writes one sentence to standard error that names the pool, the
 *  task and what to do. When the process is about to end, it writes the lines that were logged
 *  before to the files and descriptors of all loggers, some perhaps twice, and a line
 *  `process.crashed` behind them; that takes 3 seconds at most, where a sink takes nothing.
 *  In every case it then hands the signal to what was installed before; if that is the default, the
 *  process ends by the signal, at the instruction that caused it. Further calls change nothing. A
 *  handler that the program installs later comes first and has to pass the signal on in the same
 *  way.
 *  Threads:   any, before or after pools are created.      Blocks: never.
 *  Ownership: keeps an alternate signal stack for the calling thread, unless it has one of at least
 *             16 KiB; a smaller one is put aside. Other threads that have one need as much. (Both:
 *             12 KiB more than sysconf(_SC_MINSIGSTKSZ), where that is more than 4 KiB.)
 *  Errors:    AT_ERROR_NO_MEMORY, AT_ERROR_SYSTEM; nothing is installed then. */
AT_API AT_NODISCARD at_status at_crash_handler_install(void);

AT_DECLARATIONS_END

#endif
