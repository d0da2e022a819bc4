/* SPDX-License-Identifier: MIT */
#include <asynctools/asynctools.h>

#include <string.h>

int main(void) {
    return strcmp(at_version(), AT_VERSION_TEXT) == 0 ? 0 : 1;
}
