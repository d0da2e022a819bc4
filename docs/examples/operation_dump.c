/* SPDX-License-Identifier: MIT */
/* What is being done now, for whom, and since when. */
#include <asynctools/asynctools.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

int main(void) {
    AT_OPERATION(request, "http_request", .timeout = AT_SECONDS(30),
                 AT_FIELDS(at_kv("path", "/orders"))) {
        AT_OPERATION(query, "database_query") {
            char *text;
            expect(at_dump(&text) == AT_OK, "a dump");
            puts(text);
            expect(strstr(text, "\"live_count\":2") != NULL, "both operations");
            expect(strstr(text, "\"path\":\"/orders\"") != NULL, "their field");
            at_text_release(text);
        }
    }
    return 0;
}
