/* SPDX-License-Identifier: MIT */
/* Submit work, continue with its value, wait, and say what went wrong and where. */
#include <asynctools/asynctools.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct document {
    size_t length;
};

/* A task: any function of one pointer. It says how it failed with at_fail. */
static void *download(void *url) {
    char *page = strdup(strstr(url, "good") ? "<html>hello</html>" : "garbage");
    if (!page)
        return at_fail(AT_ERROR_NO_MEMORY, "no memory for %s", (char *)url);
    return at_return(page, free); /* the value, and how to drop it */
}

/* A continuation: gets the value, and the context that was given with it. */
static void *parse(void *page, void *context) {
    (void)context;
    if (strncmp(page, "<html", 5) != 0)
        return at_fail(AT_ERROR_INVALID, "not a document: %.20s", (char *)page);
    struct document *document = malloc(sizeof *document);
    if (!document)
        return at_fail(AT_ERROR_NO_MEMORY, "no memory for a document");
    document->length = strlen(page);
    return at_return(document, free);
}

static void fetch(at_pool *pool, char *url) {
    at_future *page = at_pool_submit(pool, download, url);
    at_future *parsed = at_future_then(page, parse, NULL); /* takes `page` over */
    void *value;
    if (at_future_wait(parsed, at_after(AT_SECONDS(5)), &value) == AT_OK)
        printf("%s: %zu bytes\n", url, ((struct document *)value)->length);
    else
        printf("%s: %s\n", url, at_error_message(at_future_error(parsed)));
    at_future_release(parsed); /* and with it the document */
}

int main(void) {
    at_pool *pool;
    if (at_pool_create(&pool, NULL) != AT_OK) { /* NULL: as many threads as CPUs may be used */
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
        return 1;
    }
    char good[] = "good.example";
    char bad[] = "bad.example";
    fetch(pool, good);
    fetch(pool, bad);
    at_pool_destroy(pool); /* finishes what was accepted */
    return 0;
}
