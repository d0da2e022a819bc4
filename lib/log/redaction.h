/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_REDACTION_H
#define ASYNCTOOLS_LOG_REDACTION_H

/* Names of keys whose values are not to be seen. A list does not change once it is made. */
#include <asynctools/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ATI_REDACTED "[REDACTED]"

enum { ATI_REDACTION_NAME_MAX = 63 }; /* bytes of a name */

typedef struct ati_redaction {
    struct ati_redaction *older; /* of the same core */
    size_t size;                 /* of this allocation */
    uint64_t lengths;            /* a bit for each length that a name has */
    char names[]; /* in lower case, each behind a byte with its length; 0 ends them */
} ati_redaction;

/* Makes a list of "password,token". `*list` is NULL if there is no name in `names` (NULL is
 * allowed). AT_OK, or the error slot is filled: for `call`, about `redacted_keys`. */
at_status ati_redaction_create(ati_redaction **list, const char *call, const char *names);

void ati_redaction_destroy(ati_redaction *list); /* and the older ones; NULL is allowed */

bool ati_redaction_is_same(const ati_redaction *a, const ati_redaction *b);

/* Whether the key, or what stands behind its last dot, is a name of the list, in ASCII letters of
 * either case. Suffixes that made the key unique (_2) do not count. */
bool ati_redaction_has(const ati_redaction *list, const char *key, size_t length);

/* The same of a member that was encoded before. It may be one of an error, whose key is then what
 * stands before its last dot. */
bool ati_redaction_has_member(const ati_redaction *list, const char *key, size_t length);

/* Copies JSON text, values whose keys are in the list replaced. Gives the end; NULL: there is no
 * room up to `limit`. */
char *ati_redaction_copy(const ati_redaction *list, char *to, const char *limit, const char *json,
                         size_t length);

#endif
