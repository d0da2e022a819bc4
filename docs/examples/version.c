/* SPDX-License-Identifier: MIT */
/* The version of the headers that were compiled with, and of the library that was loaded. */
#include <asynctools/asynctools.h>

#include <stdio.h>
#include <string.h>

int main(void) {
    printf("compiled with %s, running with %s\n", AT_VERSION_TEXT, at_version());
    return strncmp(at_version(), "0.", 2) == 0 ? 0 : 1;
}
