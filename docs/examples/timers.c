/* SPDX-License-Identifier: MIT */
/* Sessions that end when nothing has come for a while, and one thing to be done later. */
#include <asynctools/asynctools.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct session {
    at_timer idle; /* in the session's own storage: setting it cannot fail for memory */
    int number;
    _Atomic int *left;
};

static void *end_session(void *argument) {
    struct session *session = argument;
    printf("session %d has ended\n", session->number);
    at_timer_unregister(&session->idle); /* its own task may do so, and then free it */
    atomic_fetch_sub(session->left, 1);
    free(session);
    return NULL;
}

static struct session *open_session(at_pool *pool, int number, _Atomic int *left) {
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        abort();
    session->number = number;
    session->left = left;
    at_timer_init(&session->idle, pool, end_session, session);
    return session;
}

/* Something has come: the session ends 20 milliseconds from now, whenever it was to end before. */
static at_status note_activity(struct session *session) {
    return at_timer_start(&session->idle, at_after(AT_MILLISECONDS(20)));
}

static void close_session(struct session *session) {
    if (at_timer_cancel(&session->idle))
        puts("closed in time");
    at_timer_unregister(&session->idle); /* waits if the timer's task is running */
    atomic_fetch_sub(session->left, 1);
    free(session);
}

static void *remind(void *text) {
    puts(text);
    return NULL;
}

int main(void) {
    _Atomic int left = 3;
    at_pool *pool;
    if (at_pool_create(&pool, NULL) != AT_OK)
        return 1;
    struct session *sessions[3];
    for (int i = 0; i < 3; i++) {
        sessions[i] = open_session(pool, i, &left);
        if (note_activity(sessions[i]) != AT_OK)
            return 1;
    }
    close_session(sessions[0]);
    if (at_pool_start_later(pool, remind, "later", at_after(AT_MILLISECONDS(5))) != AT_OK)
        return 1;
    at_pool_destroy(pool); /* waits for what is set */
    return atomic_load(&left);
}
