/* SPDX-License-Identifier: MIT */
/* A mailbox for each user: letters of one user are delivered in order, one at a time, and a user
 * with many letters does not keep the others waiting. */
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

enum { user_count = 3 };

struct user {
    const char *name;
    int delivered; /* touched under the user's key only */
};

static struct user users[user_count] = {{"ada", 0}, {"grace", 0}, {"edsger", 0}};

static void *deliver(void *argument) {
    struct user *user = argument;
    AT_TRY(at_sleep(AT_MICROSECONDS(50)));
    user->delivered++;
    return user;
}

/* Who pays gets three letters delivered in each round. */
static int64_t weigh(const void *name, size_t size, void *paying) {
    return size == strlen(paying) && memcmp(name, paying, size) == 0 ? 3 : 1;
}

static at_future *send_letter(at_keyed_executor *mail, struct user *user) {
    return at_keyed_executor_submit(mail, user->name, strlen(user->name), deliver, user);
}

int main(void) {
    at_pool *pool;
    at_keyed_executor *mail;
    at_keyed_executor_options options = {
        .max_running = 2, .queue_bound_per_key = 100, .weight = weigh, .context = "grace"};
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");
    expect(at_keyed_executor_create(&mail, pool, &options) == AT_OK, "a keyed executor");

    for (int i = 0; i < 50; i++)
        at_future_release(send_letter(mail, &users[0]));
    at_future *to_grace = send_letter(mail, &users[1]); /* does not wait for the fifty */
    at_task_options letter = {.run = deliver, .argument = &users[2], .name = "a registered letter"};
    at_future *registered = at_keyed_executor_submit_with(mail, "edsger", 6, &letter);
    expect(at_future_wait(to_grace, AT_FOREVER, NULL) == AT_OK, "grace's letter");
    expect(at_future_wait(registered, AT_FOREVER, NULL) == AT_OK, "edsger's letter");
    at_future_release(to_grace);
    at_future_release(registered);

    expect(at_pool_shutdown(pool, AT_FOREVER) == AT_OK, "all letters");
    expect(users[0].delivered == 50 && users[1].delivered == 1, "each once");
    expect(at_keyed_executor_key_count(mail) == 0, "nothing is kept of idle users");
    at_keyed_executor_destroy(mail);
    at_pool_destroy(pool);
    return 0;
}
