/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LIMITS_H
#define ASYNCTOOLS_LIMITS_H

#include <stdint.h>

/* In every options struct zero is the default. These three say the rest. */
#define AT_NONE (-1)           /* none of it, switched off */
#define AT_UNLIMITED INT64_MAX /* a count or size without bound */
#define AT_FOREVER INT64_MAX   /* a duration or deadline that never ends */

#endif
