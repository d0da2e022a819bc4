/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_VERSION_H
#define ASYNCTOOLS_VERSION_H

#include <asynctools/attributes.h>

#define AT_VERSION_MAJOR 0
#define AT_VERSION_MINOR 1
#define AT_VERSION_PATCH 0
#define AT_VERSION_TEXT "0.1.0"

AT_DECLARATIONS_BEGIN

/** Says which version of the library is loaded, as "major.minor.patch".
 *  Threads:   any.      Blocks: never.
 *  Ownership: returns borrowed, valid for ever. */
AT_API const char *at_version(void);

AT_DECLARATIONS_END

#endif
