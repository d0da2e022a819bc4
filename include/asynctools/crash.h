/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_CRASH_H
#define ASYNCTOOLS_CRASH_H

#include <asynctools/attributes.h>
#include <asynctools/status.h>

AT_DECLARATIONS_BEGIN

/** Installs a handler for SIGSEGV and SIGBUS in the whole process. When a task has overflowed its
 *  stack, it writes one sentence to standard error that names the pool, the task and what to do.
 *  In this and every other case it then hands the signal to what was installed before; if that is
 *  the default, the process ends by the signal, at the instruction that caused it. Further calls
 *  change nothing. A handler that the program installs later comes first and has to pass the signal
 *  on in the same way.
 *  Threads:   any, before or after pools are created.      Blocks: never.
 *  Ownership: keeps an alternate signal stack for the calling thread, unless it has one.
 *  Errors:    AT_ERROR_NO_MEMORY, AT_ERROR_SYSTEM; nothing is installed then. */
AT_API AT_NODISCARD at_status at_crash_handler_install(void);

AT_DECLARATIONS_END

#endif
