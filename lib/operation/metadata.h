/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_OPERATION_METADATA_H
#define ASYNCTOOLS_OPERATION_METADATA_H

/* Fields that are kept: copies of keys and values, as they were given. Encoding them waits until a
 * line is written, which for most operations is never. Not thread-safe. */
#include "log/redaction.h"

#include <asynctools/field.h>

#include <stddef.h>
#include <stdint.h>

enum {
    ATI_METADATA_FIELDS = 32,  /* at most */
    ATI_METADATA_BYTES = 4096, /* at most, a few of them for each field */
    ATI_METADATA_OWN = 168,    /* bytes that need no allocation */
};

/* Zeroed up to `own` is empty. */
typedef struct ati_metadata {
    uint32_t size;    /* bytes used */
    uint32_t count;   /* of fields */
    uint32_t dropped; /* fields for which there was no room */
    char *more;       /* ATI_METADATA_BYTES, once `own` was too small, or NULL */
    char own[ATI_METADATA_OWN];
} ati_metadata;

/* Adds fields; one with a key that is there takes the place of that one. Within trees, which are
 * kept as text, `redaction` (or NULL) says what is not to be seen. */
void ati_metadata_add(ati_metadata *metadata, const at_field *fields, size_t count,
                      const ati_redaction *redaction);

/* Gives the fields, as borrowed from it; how many there are. */
size_t ati_metadata_get(const ati_metadata *metadata, at_field fields[ATI_METADATA_FIELDS]);

void ati_metadata_deinit(ati_metadata *metadata);

#endif
