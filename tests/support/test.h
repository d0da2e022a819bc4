/* SPDX-License-Identifier: MIT */
#ifndef TEST_SUPPORT_TEST_H
#define TEST_SUPPORT_TEST_H

#include <criterion/criterion.h>

#endif
