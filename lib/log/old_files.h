/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_OLD_FILES_H
#define ASYNCTOOLS_LOG_OLD_FILES_H

/* The files that a log file was before: path.1 is the newest, path.2 the one before. Only their
 * names say so: whoever comes later, a restarted process too, finds them all. */
#include <stdbool.h>
#include <stdint.h>

/* Makes the file at `path` the newest old one; nothing is at `path` then. Of the others as many
 * move up as have to. No file is ever replaced. False, with errno: it is still there. */
bool ati_old_files_push(const char *path);

/* Undoes that for the newest, if nothing is at `path` again. */
void ati_old_files_pull(const char *path);

/* Removes all but the `count` newest. False, with errno: some are still there. */
bool ati_old_files_prune(const char *path, int64_t count);

#endif
