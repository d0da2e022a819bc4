/* SPDX-License-Identifier: MIT */
/* Futures that wait for each other: what can be seen of it at little cost.
 *
 * The caller runs `target`, which therefore stays pending, and with it all that follow it, unless
 * they are cancelled: so each is kept by a reference while it is looked at, under its own lock. */
#include "future/future.h"

enum {
    link_limit = 4,   /* futures on the way from one to the other */
    width_limit = 16, /* followers of one future that are looked at */
};

static at_future *follower_of(ati_registration *registration) {
    if (registration->fire == ati_fire_continuation)
        return (at_future *)((char *)registration - offsetof(at_future, registration));
    if (registration->fire == ati_fire_forward)
        return (at_future *)((char *)registration - offsetof(at_future, forward));
    return NULL; /* a combinator's, or somebody who waits and may go */
}

static bool follows(at_future *target, const at_future *wanted, int links, int *looks_left) {
    at_future *followers[width_limit];
    size_t count = ati_future_list_followers(target, follower_of, followers, width_limit);
    --*looks_left;
    bool found = false;
    for (size_t i = 0; i < count; i++)
        found |= followers[i] == wanted;
    for (size_t i = 0; i < count && !found && links > 1 && *looks_left > 0; i++)
        found = follows(followers[i], wanted, links - 1, looks_left);
    for (size_t i = 0; i < count; i++)
        ati_future_release_inside(followers[i]);
    return found;
}

bool ati_future_waits_for(const at_future *future, at_future *target, int *looks_left) {
    return future == target || (*looks_left > 0 && follows(target, future, link_limit, looks_left));
}
