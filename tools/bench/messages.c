/* SPDX-License-Identifier: MIT */
#include "messages.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *describe_errno(int error) {
    static _Thread_local char text[128];
    return strerror_r(error, text, sizeof(text));
}

void give_up(const char *format, ...) {
    va_list arguments;
    fflush(stdout);
    fputs("at-bench: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    _exit(1);
}
