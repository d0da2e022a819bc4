/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_LOG_CONFIG_VALUE_H
#define ASYNCTOOLS_LOG_CONFIG_VALUE_H

/* What values in a configuration file mean. */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum ati_config_kind {
    ATI_CONFIG_TEXT,       /* const char *, borrowed of the value */
    ATI_CONFIG_LIST,       /* const char *, the same: "password,token" */
    ATI_CONFIG_LEVEL,      /* at_log_level */
    ATI_CONFIG_LEVELS,     /* const char *, borrowed: "info,http=debug" */
    ATI_CONFIG_FLAG,       /* bool */
    ATI_CONFIG_DESCRIPTOR, /* int */
    ATI_CONFIG_COUNT,      /* int64_t */
    ATI_CONFIG_BYTES,      /* int64_t */
    ATI_CONFIG_DURATION,   /* at_duration */
} ati_config_kind;

/* Writes a value to a member of that kind. NULL; or what it should have been. */
const char *ati_config_read(ati_config_kind kind, const json_t *value, void *member);

/* Makes one text of the object {"": "info", "http": "debug"} or the array ["password", "token"],
 * and puts it in the place of `*value` at `key` of `root`. What has a part that is wrong stays as
 * it is. False: no memory. */
bool ati_config_join(json_t *root, const char *key, json_t **value);

/* The number of the line in which the key of the member number `member` (from 0) stands, of a text
 * that is one valid JSON object. */
int ati_config_line(const char *text, size_t member);

#endif
