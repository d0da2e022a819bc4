/* SPDX-License-Identifier: MIT */
#include <asynctools/version.h>

const char *at_version(void) {
    return AT_VERSION_TEXT;
}
