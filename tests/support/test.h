/* SPDX-License-Identifier: MIT
 *
 * The one header that tests include. It is Criterion, except where Criterion cannot start
 * (ThreadSanitizer) or is not installed: there the same names run over support/runner.c. In both,
 * each test has a process of its own.
 *
 * Only the thread that runs the test may use the macros: a failed cr_assert leaves the test by
 * longjmp. Other threads and tasks store what they saw, and the test looks at it. */
#ifndef TEST_SUPPORT_TEST_H
#define TEST_SUPPORT_TEST_H

#ifndef TEST_OWN_RUNNER

#include <criterion/criterion.h>

#else

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct test_options {
    void (*init)(void);
    void (*fini)(void);
    double timeout; /* seconds; 0: that of the suite, else none */
    int signal;     /* the signal that the test must die of */
    int exit_code;  /* what the test must exit with */
    bool disabled;
    const char *description;
};

/* A test, or with run == NULL the defaults of a suite. */
struct test_entry {
    const char *suite;
    const char *name;
    void (*run)(void);
    struct test_options options;
    struct test_entry *next;
};

void test_register(struct test_entry *entry);
void test_failed(const char *file, int line, bool ends_test, const char *condition,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));
_Noreturn void test_skipped(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define Test(suite_, name_, ...)                                                                   \
    static void suite_##_##name_##_impl(void);                                                     \
    __attribute__((constructor)) static void suite_##_##name_##_register(void) {                   \
        static struct test_entry entry = {.suite = #suite_,                                        \
                                          .name = #name_,                                          \
                                          .run = suite_##_##name_##_impl,                          \
                                          .options = {__VA_ARGS__}};                               \
        test_register(&entry);                                                                     \
    }                                                                                              \
    static void suite_##_##name_##_impl(void)

#define TestSuite(suite_, ...)                                                                     \
    __attribute__((constructor)) static void suite_##_suite_register(void) {                       \
        static struct test_entry entry = {.suite = #suite_, .options = {__VA_ARGS__}};             \
        test_register(&entry);                                                                     \
    }                                                                                              \
    extern void test_register(struct test_entry *entry)

/* The message is optional and starts with a string literal. */
#define test_check_(ends_test_, condition_, text_, ...)                                            \
    ((condition_) ? (void)0 : test_failed(__FILE__, __LINE__, ends_test_, text_, " " __VA_ARGS__))
#define test_compare_(ends_test_, operator_, a_, b_, ...)                                          \
    test_check_(ends_test_, (a_)operator_(b_), #a_ " " #operator_ " " #b_, __VA_ARGS__)
#define test_text_(ends_test_, operator_, a_, b_, ...)                                             \
    test_check_(ends_test_, strcmp((a_), (b_)) operator_ 0, "text " #a_ " " #operator_ " " #b_,    \
                __VA_ARGS__)
#define test_bytes_(ends_test_, operator_, a_, b_, size_, ...)                                     \
    test_check_(ends_test_, memcmp((a_), (b_), (size_)) operator_ 0,                               \
                "bytes " #a_ " " #operator_ " " #b_, __VA_ARGS__)
#define test_near_(ends_test_, operator_, a_, b_, epsilon_, ...)                                   \
    test_check_(ends_test_, fabs((double)(a_) - (double)(b_)) operator_(double)(epsilon_),         \
                #a_ " near " #b_, __VA_ARGS__)

#define cr_fail(...) test_failed(__FILE__, __LINE__, true, "cr_fail", " " __VA_ARGS__)
#define cr_assert_fail(...) cr_fail(__VA_ARGS__)
#define cr_expect_fail(...) test_failed(__FILE__, __LINE__, false, "cr_fail", " " __VA_ARGS__)
#define cr_skip(...) test_skipped(" " __VA_ARGS__)
#define cr_skip_test(...) cr_skip(__VA_ARGS__)

#define cr_assert(condition_, ...) test_check_(true, condition_, #condition_, __VA_ARGS__)
#define cr_expect(condition_, ...) test_check_(false, condition_, #condition_, __VA_ARGS__)
#define cr_assert_not(condition_, ...)                                                             \
    test_check_(true, !(condition_), "! " #condition_, __VA_ARGS__)
#define cr_expect_not(condition_, ...)                                                             \
    test_check_(false, !(condition_), "! " #condition_, __VA_ARGS__)
#define cr_assert_eq(a_, b_, ...) test_compare_(true, ==, a_, b_, __VA_ARGS__)
#define cr_expect_eq(a_, b_, ...) test_compare_(false, ==, a_, b_, __VA_ARGS__)
#define cr_assert_neq(a_, b_, ...) test_compare_(true, !=, a_, b_, __VA_ARGS__)
#define cr_expect_neq(a_, b_, ...) test_compare_(false, !=, a_, b_, __VA_ARGS__)
#define cr_assert_lt(a_, b_, ...) test_compare_(true, <, a_, b_, __VA_ARGS__)
#define cr_expect_lt(a_, b_, ...) test_compare_(false, <, a_, b_, __VA_ARGS__)
#define cr_assert_leq(a_, b_, ...) test_compare_(true, <=, a_, b_, __VA_ARGS__)
#define cr_expect_leq(a_, b_, ...) test_compare_(false, <=, a_, b_, __VA_ARGS__)
#define cr_assert_gt(a_, b_, ...) test_compare_(true, >, a_, b_, __VA_ARGS__)
#define cr_expect_gt(a_, b_, ...) test_compare_(false, >, a_, b_, __VA_ARGS__)
#define cr_assert_geq(a_, b_, ...) test_compare_(true, >=, a_, b_, __VA_ARGS__)
#define cr_expect_geq(a_, b_, ...) test_compare_(false, >=, a_, b_, __VA_ARGS__)
#define cr_assert_null(a_, ...) test_compare_(true, ==, a_, NULL, __VA_ARGS__)
#define cr_expect_null(a_, ...) test_compare_(false, ==, a_, NULL, __VA_ARGS__)
#define cr_assert_not_null(a_, ...) test_compare_(true, !=, a_, NULL, __VA_ARGS__)
#define cr_expect_not_null(a_, ...) test_compare_(false, !=, a_, NULL, __VA_ARGS__)
#define cr_assert_str_eq(a_, b_, ...) test_text_(true, ==, a_, b_, __VA_ARGS__)
#define cr_expect_str_eq(a_, b_, ...) test_text_(false, ==, a_, b_, __VA_ARGS__)
#define cr_assert_str_neq(a_, b_, ...) test_text_(true, !=, a_, b_, __VA_ARGS__)
#define cr_expect_str_neq(a_, b_, ...) test_text_(false, !=, a_, b_, __VA_ARGS__)
#define cr_assert_str_empty(a_, ...) test_text_(true, ==, a_, "", __VA_ARGS__)
#define cr_expect_str_empty(a_, ...) test_text_(false, ==, a_, "", __VA_ARGS__)
#define cr_assert_str_not_empty(a_, ...) test_text_(true, !=, a_, "", __VA_ARGS__)
#define cr_expect_str_not_empty(a_, ...) test_text_(false, !=, a_, "", __VA_ARGS__)
#define cr_assert_arr_eq(a_, b_, size_, ...) test_bytes_(true, ==, a_, b_, size_, __VA_ARGS__)
#define cr_expect_arr_eq(a_, b_, size_, ...) test_bytes_(false, ==, a_, b_, size_, __VA_ARGS__)
#define cr_assert_arr_neq(a_, b_, size_, ...) test_bytes_(true, !=, a_, b_, size_, __VA_ARGS__)
#define cr_expect_arr_neq(a_, b_, size_, ...) test_bytes_(false, !=, a_, b_, size_, __VA_ARGS__)
#define cr_assert_float_eq(a_, b_, epsilon_, ...)                                                  \
    test_near_(true, <=, a_, b_, epsilon_, __VA_ARGS__)
#define cr_expect_float_eq(a_, b_, epsilon_, ...)                                                  \
    test_near_(false, <=, a_, b_, epsilon_, __VA_ARGS__)

#endif

#endif
