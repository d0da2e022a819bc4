/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_ATTRIBUTES_H
#define ASYNCTOOLS_ATTRIBUTES_H

/* What the other public headers are written with: linkage, visibility and compiler attributes. */

#if defined(__cplusplus)
#define AT_DECLARATIONS_BEGIN extern "C" {
#define AT_DECLARATIONS_END }
#else
#define AT_DECLARATIONS_BEGIN
#define AT_DECLARATIONS_END
#endif

#if defined(__GNUC__)
#define AT_API __attribute__((visibility("default")))
#define AT_NODISCARD __attribute__((warn_unused_result))
#define AT_PRINTF(format_index, first_index)                                                       \
    __attribute__((format(printf, format_index, first_index)))
#else
#define AT_API
#define AT_NODISCARD
#define AT_PRINTF(format_index, first_index)
#endif

/* A site is one string literal, "file.c:17" followed by NUL and a name (of the function that is
 * started there, or empty): the origin of an error or a task costs one pointer. */
#define AT_SITE_TEXT_(x) #x
#define AT_SITE_TEXT(x) AT_SITE_TEXT_(x)
#if defined(__FILE_NAME__)
#define AT_SITE(name) __FILE_NAME__ ":" AT_SITE_TEXT(__LINE__) "\0" name
#define AT_SITE_LENGTH_ (sizeof AT_SITE("") - 2)
#else
#define AT_SITE(name) __FILE__ ":" AT_SITE_TEXT(__LINE__) "\0" name
#define AT_SITE_LENGTH_ 0 /* folders are left out of what is shown */
#endif

#endif
