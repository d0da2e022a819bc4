/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include "base/atomic.h"
#include "base/check.h"
#include "base/memory.h"

#include <asynctools/limits.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    other_limit = 64,       /* other errors kept with one */
    shown_cause_limit = 16, /* causes written by at_error_message */
    shown_other_limit = 8,  /* others written by it */
};

struct at_error {
    _Atomic uint32_t references;
    at_status status;
    const char *site;
    at_error *cause;          /* owned */
    const char *task;         /* or NULL */
    char *task_copy;          /* what `task` points to if it had to be copied */
    const char *started_site; /* or NULL */
    int64_t item;             /* of the task, or AT_NONE */
    at_error **others;        /* owned, other_limit places */
    size_t other_count;
    size_t others_dropped;
    _Atomic bool was_read;
    char *message_before; /* the line as it was before the task was known; somebody may have it */
    _Atomic(char *) message; /* the whole line, made at first use */
    at_error *link;          /* of the list of errors being freed */
    size_t size;             /* of this allocation; 0: static, never freed */
    char text[];
};

/* One for each status, for when there is no memory: index = -status. */
#define STATIC_ERROR(name, value, message)                                                         \
    [-(value)] = {.references = 1, .status = (name), .site = "", .item = AT_NONE},
static at_error static_errors[] = {AT_STATUS_TABLE(STATIC_ERROR)};
#undef STATIC_ERROR

static bool in_table(at_status status) {
    int count = sizeof static_errors / sizeof *static_errors;
    return status < 0 && status > -count;
}

at_error *ati_error_static(at_status status) {
    return &static_errors[in_table(status) ? -(int)status : -(int)AT_ERROR_FAILED];
}

const char *ati_site_place(const char *site) {
    const char *slash = strrchr(site, '/');
    return slash ? slash + 1 : site;
}

const char *ati_site_name(const char *site) {
    return *site ? site + strlen(site) + 1 : site;
}

/* With room for a text of this size, which is empty. */
static at_error *allocate(const char *site, at_error *cause, at_status status, size_t text_size) {
    if (!in_table(status))
        status = AT_ERROR_FAILED;
    size_t size = sizeof(at_error) + text_size;
    at_error *error = ati_allocate(size);
    if (!error) {
        at_error_release(cause);
        return ati_error_static(status);
    }
    memset(error, 0, sizeof *error);
    atomic_init(&error->references, 1);
    error->status = status;
    error->site = site;
    error->cause = cause;
    error->item = AT_NONE;
    error->size = size;
    error->text[0] = '\0';
    return error;
}

static at_error *create(const char *site, at_error *cause, at_status status, const char *format,
                        va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    size_t text_size = length < 0 ? 1 : (size_t)length + 1;
    at_error *error = allocate(site, cause, status, text_size);
    if (length > 0 && error->size != 0)
        vsnprintf(error->text, text_size, format, arguments);
    return error;
}

at_error *ati_error_create(const char *site, at_error *cause, at_status status, const char *format,
                           ...) {
    va_list arguments;
    va_start(arguments, format);
    at_error *error = create(site, cause, status, format, arguments);
    va_end(arguments);
    return error;
}

void *at_fail_at(const char *site, at_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    ati_error_slot_put(create(site, NULL, status, format, arguments), true);
    va_end(arguments);
    return AT_FAILED;
}

at_status at_fail_status_at(const char *site, at_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    at_error *error = create(site, NULL, status, format, arguments);
    va_end(arguments);
    status = error->status;
    ati_error_slot_put(error, true);
    return status;
}

void *at_fail_from_at(const char *site, at_error *cause, at_status status, const char *format,
                      ...) {
    va_list arguments;
    va_start(arguments, format);
    ati_error_slot_put(create(site, cause, status, format, arguments), true);
    va_end(arguments);
    return AT_FAILED;
}

at_status ati_fail_at(const char *site, at_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    ati_error_slot_put(create(site, NULL, status, format, arguments), false);
    va_end(arguments);
    return status;
}

at_status ati_fail_in_words_at(const char *site, at_status status, const char *const words[3]) {
    static const char between[] = ": ";
    size_t text_size = 2 * strlen(between) + 1;
    for (int i = 0; i < 3; i++)
        text_size += strlen(words[i]);
    at_error *error = allocate(site, NULL, status, text_size);
    char *end = error->text;
    for (int i = 0; i < 3 && error->size != 0; i++) {
        end = i > 0 ? stpcpy(end, between) : end;
        end = stpcpy(end, words[i]);
    }
    ati_error_slot_put(error, false);
    return status;
}

at_error *at_error_retain(const at_error *error) {
    at_error *mine = (at_error *)error; /* the count is not part of what const protects */
    if (mine && mine->size != 0)
        atomic_fetch_add_explicit(&mine->references, 1, memory_order_relaxed);
    return mine;
}

/* Takes one reference away; the last one puts the error onto the list of those to free. */
static void drop_reference(at_error *error, at_error **doomed) {
    if (!error || error->size == 0)
        return;
    /* ORDER error.references: acq_rel. All uses by others happen before the free.
     * Pairs with: itself in drop_reference(). If relaxed: freed while a reader still reads. */
    uint32_t before = atomic_fetch_sub_explicit(&error->references, 1, memory_order_acq_rel);
    ATI_CALLER_CHECK(before != 0, "at_error_release", "released more often than it was retained");
    if (before == 1) {
        error->link = *doomed;
        *doomed = error;
    }
}

void at_error_release(at_error *error) {
    at_error *doomed = NULL;
    drop_reference(error, &doomed);
    while (doomed) {
        at_error *next = doomed;
        doomed = next->link;
        drop_reference(next->cause, &doomed);
        for (size_t i = 0; i < next->other_count; i++)
            drop_reference(next->others[i], &doomed);
        if (next->others)
            ati_release(next->others, other_limit * sizeof *next->others);
        ati_release_text(next->task_copy);
        ati_release_text(next->message_before);
        ati_release_text(atomic_load_explicit(&next->message, memory_order_relaxed));
        ati_release(next, next->size);
    }
}

static bool is_own(at_error *error) {
    /* ORDER error.references: acquire. The others that had a reference have read all they will.
     * Pairs with: acq_rel in drop_reference(). If relaxed: written while it is read. */
    return error->size != 0 && atomic_load_explicit(&error->references, memory_order_acquire) == 1;
}

/* What it says is about to change. */
static void forget_message(at_error *error) {
    char *message = atomic_exchange_explicit(&error->message, NULL, memory_order_relaxed);
    if (error->message_before)
        ati_release_text(message);
    else
        error->message_before = message;
}

void ati_error_set_task(at_error *error, const char *name, bool copy_name, const char *site) {
    if (error->task || error->started_site || !is_own(error))
        return;
    if (copy_name) {
        error->task_copy = ati_copy_text(name);
        error->task = error->task_copy;
    } else {
        error->task = name;
    }
    error->started_site = site;
    forget_message(error);
}

at_error *ati_error_of_item(at_error *error, int64_t item) {
    if (error->size == 0)
        return error;
    at_error *own = error;
    if (error->item != AT_NONE) {
        own = ati_error_create(error->site, error, error->status, "item %" PRId64 " failed", item);
    } else if (!is_own(error)) {
        own = ati_error_copy(error);
        at_error_release(error);
    }
    if (own->size != 0) {
        own->item = item;
        forget_message(own);
    }
    return own;
}

void ati_error_add_other(at_error *error, at_error *other) {
    if (error->size == 0) {
        at_error_release(other);
        return;
    }
    if (!error->others)
        error->others = ati_allocate(other_limit * sizeof *error->others);
    if (error->others && error->other_count < other_limit) {
        error->others[error->other_count++] = other;
    } else {
        error->others_dropped++;
        at_error_release(other);
    }
}

void ati_error_count_others(at_error *error, size_t count) {
    if (error->size != 0)
        error->others_dropped += count;
}

bool ati_error_mark_read(at_error *error) {
    return atomic_exchange_explicit(&error->was_read, true, memory_order_relaxed);
}

at_error *ati_error_copy(const at_error *error) {
    at_error *copy = ati_error_create(error->site, at_error_retain(error->cause), error->status,
                                      "%s", at_error_text(error));
    if (error->task || error->started_site)
        ati_error_set_task(copy, error->task ? error->task : "", error->task_copy != NULL,
                           error->started_site);
    if (copy->size != 0)
        copy->item = error->item;
    for (size_t i = 0; i < error->other_count; i++)
        ati_error_add_other(copy, at_error_retain(error->others[i]));
    if (copy->size != 0)
        copy->others_dropped += error->others_dropped;
    return copy;
}

at_status at_error_status(const at_error *error) {
    return error ? error->status : AT_OK;
}

const char *at_error_text(const at_error *error) {
    if (!error)
        return at_status_text(AT_OK);
    return error->size == 0 ? at_status_text(error->status) : error->text;
}

const at_error *at_error_cause(const at_error *error) {
    return error ? error->cause : NULL;
}

const char *at_error_origin(const at_error *error) {
    return error ? ati_site_place(error->site) : "";
}

const char *at_error_task(const at_error *error) {
    return error && error->task ? error->task : "";
}

const char *at_error_started_at(const at_error *error) {
    return error && error->started_site ? ati_site_place(error->started_site) : "";
}

int64_t at_error_item(const at_error *error) {
    return error ? error->item : AT_NONE;
}

size_t ati_error_hidden_count(const at_error *error) {
    return error->others_dropped;
}

size_t at_error_other_count(const at_error *error) {
    return error ? error->other_count : 0;
}

const at_error *at_error_other(const at_error *error, size_t index) {
    return index < at_error_other_count(error) ? error->others[index] : NULL;
}

/* Text that is counted first (no buffer) and written then. */
struct line {
    char *buffer;
    size_t capacity;
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void append(struct line *line, const char *format,
                                                         ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = line->buffer ? vsnprintf(line->buffer + line->length,
                                          line->capacity - line->length, format, arguments)
                              : vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length > 0)
        line->length += (size_t)length;
}

static void append_one(struct line *line, const at_error *error) {
    append(line, "%s", at_error_text(error));
    if (*error->site)
        append(line, " (%s)", at_error_origin(error));
    if (error->task && *error->task)
        append(line, ", in task %s", error->task);
    if (error->item != AT_NONE)
        append(line, ", item %" PRId64, error->item);
    if (error->started_site && *error->started_site)
        append(line, ", from %s", at_error_started_at(error));
}

static void append_chain(struct line *line, const at_error *error) {
    append_one(line, error);
    int shown = 0;
    for (const at_error *cause = error->cause; cause; cause = cause->cause) {
        if (shown++ == shown_cause_limit) {
            append(line, "; and further causes");
            break;
        }
        append(line, "; caused by: ");
        append_one(line, cause);
    }
}

static void append_all(struct line *line, const at_error *error) {
    append_chain(line, error);
    size_t shown = error->other_count < shown_other_limit ? error->other_count : shown_other_limit;
    for (size_t i = 0; i < shown; i++) {
        append(line, "; also: ");
        append_chain(line, error->others[i]);
    }
    size_t hidden = error->other_count - shown + error->others_dropped;
    if (hidden > 0)
        append(line, "; and %zu more", hidden);
}

const char *at_error_message(const at_error *error) {
    if (!error || error->size == 0)
        return at_error_text(error);
    at_error *mine = (at_error *)error;
    /* ORDER error.message: acquire. Sees the text behind the pointer.
     * Pairs with: release in at_error_message(). If relaxed: reads an unwritten text. */
    char *message = atomic_load_explicit(&mine->message, memory_order_acquire);
    if (message)
        return message;
    struct line line = {0};
    append_all(&line, error);
    line.capacity = line.length + 1;
    line.length = 0;
    line.buffer = ati_allocate(line.capacity);
    if (!line.buffer)
        return error->text;
    append_all(&line, error);
    /* ORDER error.message: release. Publishes the text.
     * Pairs with: acquire in at_error_message(). If relaxed: another reader sees the pointer
     * before the text. */
    if (!atomic_compare_exchange_strong_explicit(&mine->message, &message, line.buffer,
                                                 memory_order_acq_rel, memory_order_acquire)) {
        ati_release(line.buffer, line.capacity);
        return message;
    }
    return line.buffer;
}
