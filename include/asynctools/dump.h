/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_DUMP_H
#define ASYNCTOOLS_DUMP_H

#include <asynctools/attributes.h>
#include <asynctools/status.h>

AT_DECLARATIONS_BEGIN

/** Writes what the library is doing in this process as one JSON object: of every pool its
 *  workers, the tasks that run and that wait, its queues, timers and blocking calls, and what
 *  stands on it: strands, keyed executors, task pools, concurrent executors and task managers;
 *  every loop executor; the operations that have begun and not ended; and what the event
 *  trackers have counted. It reads what goes on meanwhile, so numbers of different places need
 *  not fit together. Lists of a pool are cut, and what they leave out is counted; so the text
 *  stays below some 200 KiB for each pool. The guide names the members.
 *  Threads:   any, at any time, also inside tasks; not in a signal handler.
 *  Blocks:    never for long. Creating and destroying pools and loop executors waits for it,
 *             creating and destroying what stands on a pool for a part of it.
 *  Ownership: `*text` is returned owned, a NUL-terminated text; at_text_release ends it.
 *  Errors:    AT_ERROR_NO_MEMORY: `*text` is untouched. */
AT_API AT_NODISCARD at_status at_dump(char **text);

AT_DECLARATIONS_END

#endif
