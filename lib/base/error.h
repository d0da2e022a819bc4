/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_BASE_ERROR_H
#define ASYNCTOOLS_BASE_ERROR_H

#include <asynctools/error.h>

#include <stdarg.h>
#include <stdbool.h>

/* Makes an error; takes `cause`. Never NULL: without memory it is the static error of `status`. */
at_error *ati_error_create(const char *site, at_error *cause, at_status status, const char *format,
                           ...) __attribute__((format(printf, 4, 5)));

/* The static error of a status: no allocation, may be retained and released like any other. */
at_error *ati_error_static(at_status status);

/* Writes which task the error ended and where that was started, unless it says so already or
 * somebody else has a reference (a shared error does not change). `name` is copied if `copy_name`,
 * else valid for ever. */
void ati_error_set_task(at_error *error, const char *name, bool copy_name, const char *site);

/* Makes it the error of item number `item`: gives the same one, or, if others have a reference, a
 * copy, or, if it is that of an item already, one that has it for its cause. Takes `error`. */
at_error *ati_error_of_item(at_error *error, int64_t item);

/* How many others were not kept. */
size_t ati_error_hidden_count(const at_error *error);

/* Attaches an error that came with this one; takes `other`. Only while nobody else has a reference.
 * Past 64, or without memory, the other is dropped and counted. */
void ati_error_add_other(at_error *error, at_error *other);

/* Counts others that are not kept at all. Only while nobody else has a reference. */
void ati_error_count_others(at_error *error, size_t count);

/* Makes an error that says what `error` says, so that others may be attached to it. Never NULL. */
at_error *ati_error_copy(const at_error *error);

/* Notes that somebody has read the error, or that it was reported. True: that was so before. */
bool ati_error_mark_read(at_error *error);

/* Puts an error into the slot of the current task or thread; takes it. */
void ati_error_slot_put(at_error *error, bool in_flight);

/* Makes an error without cause, puts it into the slot, not in flight, and gives its status: what a
 * library call does before it fails. */
#define ati_fail(status, ...) ati_fail_at(AT_SITE(""), status, __VA_ARGS__)
at_status ati_fail_at(const char *site, at_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with "word: word: word", which a format would take ten times as long to put together:
 * for what happens to very many tasks at once. */
#define ati_fail_in_words(status, words) ati_fail_in_words_at(AT_SITE(""), status, words)
at_status ati_fail_in_words_at(const char *site, at_status status, const char *const words[3]);

/* A site's parts: "pool.c:12" without folders, and the name behind it. */
const char *ati_site_place(const char *site);
const char *ati_site_name(const char *site);

#endif
