/* SPDX-License-Identifier: MIT */
/* Prints the table of statuses, and looks one up. */
#include <asynctools/asynctools.h>

#include <stdio.h>
#include <string.h>

int main(void) {
#define PRINT(name, value, text) printf("%4d  %-22s %s\n", value, at_status_name(name), text);
    AT_STATUS_TABLE(PRINT)
#undef PRINT
    if (strcmp(at_status_name(AT_ERROR_FULL), "AT_ERROR_FULL") != 0)
        return 1;
    if (strcmp(at_status_text(AT_ERROR_FULL), "queue is full") != 0)
        return 1;
    return strcmp(at_status_name((at_status)-12345), "AT_ERROR_UNKNOWN") == 0 ? 0 : 1;
}
