/* SPDX-License-Identifier: MIT */
/* A continuation whose outcome is that of another future: no thread waits in between. */
#include <asynctools/asynctools.h>

#include <stdio.h>
#include <string.h>

/* A page, or where it has moved to. */
struct page {
    const char *url;
    const char *moved_to;
    const char *text;
};

static struct page web[] = {
    {"old.example", "newer.example", NULL},
    {"newer.example", "new.example", NULL},
    {"new.example", NULL, "hello"},
};

static void *get(void *url) {
    for (size_t i = 0; i < sizeof web / sizeof *web; i++)
        if (strcmp(web[i].url, url) == 0)
            return &web[i];
    return at_fail(AT_ERROR_NOT_FOUND, "no page %s", (const char *)url);
}

/* Goes where the page points to; the future of the first `then` stays pending until the end. */
static void *follow(void *value, void *pool) {
    struct page *page = value;
    if (!page->moved_to)
        return (void *)page->text;
    at_future *next = at_pool_submit(pool, get, (void *)page->moved_to);
    return at_return_future(at_future_then(next, follow, pool));
}

int main(void) {
    at_pool *pool;
    if (at_pool_create(&pool, NULL) != AT_OK)
        return 1;
    at_future *text = at_future_then(at_pool_submit(pool, get, "old.example"), follow, pool);
    void *value = "";
    if (at_future_wait(text, at_after(AT_SECONDS(30)), &value) != AT_OK)
        fprintf(stderr, "%s\n", at_error_message(at_error_last()));
    int right = strcmp(value, "hello") == 0;
    at_future_release(text);
    at_pool_destroy(pool);
    return right ? 0 : 1;
}
