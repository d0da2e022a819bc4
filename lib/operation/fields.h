/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_OPERATION_FIELDS_H
#define ASYNCTOOLS_OPERATION_FIELDS_H

/* The fields that each line of an operation has: encoded once, when it begins. */
#include "base/context.h"
#include "log/members.h"

#include <stddef.h>

enum { ATI_OPERATION_FIELDS_ROOM = 4096 };

typedef struct ati_operation_fields {
    ati_members members; /* from `bytes` on */
    char bytes[ATI_OPERATION_FIELDS_ROOM];
} ati_operation_fields;

/* Encodes its own fields, then those of the operation around it (or NULL) that it does not have
 * itself. What `redaction` (or NULL) lists is hidden for good, from at_dump too. */
void ati_operation_fields_encode(ati_operation_fields *made, const at_field *fields, size_t count,
                                 const ati_context *outer, const ati_redaction *redaction);

/* Bytes that a copy of the keys that were cut takes; 0: none were. */
size_t ati_cut_keys_size(const ati_cut_keys *cut);

/* Copies them, aligned as pointers are. */
void ati_cut_keys_copy(void *to, const ati_cut_keys *cut);

#endif
