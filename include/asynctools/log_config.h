/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_CONFIG_H
#define ASYNCTOOLS_LOG_CONFIG_H

#include <asynctools/attributes.h>
#include <asynctools/log.h>
#include <asynctools/status.h>

AT_DECLARATIONS_BEGIN

/* Loggers whose options stand in a regular file: one JSON object, in which each key is a member of
 * at_logger_options. What is not there has its default, what is not known is an error.
 *
 *     {"name": "shop", "path": "/var/log/shop.log", "level": "info", "ring_bytes": "256 KiB"}
 *
 * Numbers of bytes are integers or texts with a unit (B, KiB, MiB, GiB), durations are texts with a
 * unit (us, ms, s, min, h, d), levels are names, `levels` may be an object, {"": "info",
 * "http": "debug"}, and `redacted_keys` an array; "none" and "unlimited" stand for AT_NONE and
 * AT_UNLIMITED. Errors name the file, the line and the key: log.json:7: `ring_bytes`: ... */

/** Creates a logger as at_logger_create does, of the options in the file.
 *  Threads:   any.      Blocks: never for long (it reads and opens files and starts a thread).
 *  Ownership: returns owned; at_logger_destroy ends it.
 *  Errors:    AT_ERROR_INVALID for what is in the file; AT_ERROR_NOT_FOUND, AT_ERROR_PERMISSION,
 *             AT_ERROR_IO or AT_ERROR_NO_MEMORY for the file itself; those of at_logger_create. On
 *             failure nothing is left behind and `*logger` is untouched. */
AT_API AT_NODISCARD at_status at_logger_create_from_file(at_logger **logger, const char *path);

/** Sets what can change while a logger works to what the file says, or to its default: `level`,
 *  `levels`, `redacted_keys` and `sample_*`. The other keys may be there, are checked and change
 *  nothing: it may be the file that the logger was created from. For a server that gets SIGHUP.
 *  Threads:   any.      Blocks: never for long (it reads a file).
 *  Errors:    AT_ERROR_INVALID for what is in the file; AT_ERROR_NOT_FOUND, AT_ERROR_PERMISSION,
 *             AT_ERROR_IO or AT_ERROR_NO_MEMORY for the file itself. On failure nothing changes,
 *             but perhaps the sampling where there is no memory. */
AT_API AT_NODISCARD at_status at_logger_configure(at_logger *logger, const char *path);

AT_DECLARATIONS_END

#endif
