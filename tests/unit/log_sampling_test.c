/* SPDX-License-Identifier: MIT
 *
 * Lines that are left out because their event comes too often (rule J4). */
#include "support/test.h"

#include "log/logger.h"

#include <asynctools/log.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ati_sampling *sampling;

static void begin(int64_t first, int64_t every, int64_t start) {
    const ati_sampling_rule rule = {first, every, AT_SECONDS(1)};
    sampling = ati_sampling_create(&rule, start);
    cr_assert_not_null(sampling);
}

static void end(void) {
    ati_sampling_destroy(sampling);
}

/* How many of `count` lines at `now` are written. */
static int take(const char *event, int count, int64_t now) {
    int taken = 0;
    for (int i = 0; i < count; i++)
        taken += ati_sampling_take(sampling, event, AT_LOG_INFO, now);
    return taken;
}

Test(log_sampling, the_first_and_then_some) {
    begin(3, 10, 0);
    for (int number = 1; number <= 100; number++) {
        bool taken = ati_sampling_take(sampling, "event", AT_LOG_INFO, 5);
        cr_expect_eq(taken, number <= 3 || (number - 3) % 10 == 0, "%d", number);
    }
    end();
    begin(5, 0, 0);
    cr_expect_eq(take("event", 1000, 0), 5);
    end();
    begin(0, 0, 0);
    cr_expect_eq(take("event", 1000, 0), 1000);
    end();
}

Test(log_sampling, each_interval_anew) {
    int64_t start = 123456789012345;
    begin(2, 100, start);
    cr_expect_eq(take("event", 50, start), 2);
    cr_expect_eq(take("event", 50, start + AT_SECONDS(1) - 1), 0);
    cr_expect_eq(take("event", 50, start + AT_SECONDS(1)), 2);
    cr_expect_eq(take("event", 52, start + AT_SECONDS(1)), 1);
    cr_expect_eq(take("event", 50, start + AT_SECONDS(1000000)), 2);
    /* A thread that is late, and a clock that was ahead of the creation. */
    cr_expect_eq(take("event", 50, start + AT_SECONDS(2)), 0);
    cr_expect_eq(take("other", 50, start - 1), 2);
    end();
}

Test(log_sampling, events_and_levels_are_told_apart) {
    begin(1, 0, 0);
    cr_expect_eq(take("a", 9, 0), 1);
    cr_expect_eq(take("b", 9, 0), 1);
    cr_expect_eq(take("", 9, 0), 1);
    cr_expect(ati_sampling_take(sampling, "a", AT_LOG_DEBUG, 0));
    cr_expect_not(ati_sampling_take(sampling, "a", AT_LOG_DEBUG, 0));
    end();
}

/* More events than slots: too many lines are written rather than too few; and slots that nobody
 * needs any more are used again. */
Test(log_sampling, more_events_than_slots) {
    enum { events = 20 * ATI_SAMPLING_EVENTS };
    begin(1, 0, 0);
    for (int interval = 0; interval < 3; interval++) {
        int sampled = 0;
        for (int i = 0; i < events; i++) {
            char name[24];
            snprintf(name, sizeof name, "event %d", interval * events + i);
            int taken = take(name, 3, AT_SECONDS(interval));
            cr_expect(taken == 1 || taken == 3);
            sampled += taken == 1;
        }
        cr_expect_geq(sampled, ATI_SAMPLING_EVENTS * 9 / 10);
        cr_expect_leq(sampled, ATI_SAMPLING_EVENTS);
    }
    end();
}

Test(log_sampling, many_lines) {
    begin(1, 1, 0);
    cr_expect_eq(take("event", 100, 0), 100);
    end();
    begin(1, 1000000, 0);
    long taken = 0;
    for (long i = 0; i < 3000001; i++)
        taken += ati_sampling_take(sampling, "event", AT_LOG_INFO, 0);
    cr_expect_eq(taken, 4);
    end();
}

Test(log_sampling, options_that_are_wrong) {
    static const struct {
        at_logger_options options;
        const char *name;
    } wrong[] = {
        {{.sample_first = -1}, "`sample_first`"},
        {{.sample_first = 1000001}, "`sample_first`"},
        {{.sample_first = 1, .sample_every = -1}, "`sample_every`"},
        {{.sample_first = 1, .sample_every = INT64_MAX}, "`sample_every`"},
        {{.sample_every = 1}, "`sample_every`"},
        {{.sample_first = 1, .sample_interval = -1}, "`sample_interval`"},
        {{.sample_first = 1, .sample_interval = 1}, "`sample_interval`"},
        {{.sample_first = 1, .sample_interval = AT_FOREVER}, "`sample_interval`"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        at_logger *logger = NULL;
        cr_expect_eq(at_logger_create(&logger, &wrong[i].options), AT_ERROR_INVALID);
        cr_expect_null(logger);
        cr_expect_not_null(strstr(at_error_text(at_error_last()), wrong[i].name), "%s",
                           at_error_text(at_error_last()));
    }
}

static int count_events(const char *lines, const char *event) {
    int count = 0;
    while ((lines = strstr(lines, event))) {
        count++;
        lines++;
    }
    return count;
}

/* Every line that was logged is somewhere, and the log says how many are not in it. */
Test(log_sampling, lines_are_counted_and_told) {
    char path[] = "/tmp/asynctools_sampling_XXXXXX";
    int descriptor = mkstemp(path);
    cr_assert_geq(descriptor, 0);
    const at_logger_options options = {.path = path,
                                       .level = AT_LOG_DEBUG,
                                       .sample_first = 3,
                                       .sample_every = 50,
                                       .sample_interval = AT_SECONDS(3600)};
    at_logger *logger;
    cr_assert_eq(at_logger_create(&logger, &options), AT_OK);
    for (int i = 0; i < 103; i++) {
        at_log_debug(logger, "seldom", at_kv("number", i));
        at_log_info(logger, "often", at_kv("number", i));
        at_log_warn(logger, "always", at_kv("number", i));
    }
    at_log_info(logger, "once");
    cr_assert_eq(at_logger_flush(logger, AT_FOREVER), AT_OK);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    cr_expect_eq(statistics.written, 5 + 5 + 103 + 1);
    cr_expect_eq(statistics.sampled, 98 + 98);
    const ati_sampling_rule all = {0, 0, 0};
    cr_assert_eq(ati_log_core_sample(logger->core, "test", &all), AT_OK);
    for (int i = 0; i < 10; i++)
        at_log_info(logger, "often", at_kv("number", i));
    at_logger_destroy(logger); /* what is not told yet is told at the end */
    static char lines[65536];
    ssize_t size = pread(descriptor, lines, sizeof lines - 1, 0);
    cr_assert_gt(size, 0);
    cr_expect_eq(count_events(lines, "\"event\":\"always\""), 103);
    cr_expect_eq(count_events(lines, "\"event\":\"often\""), 15);
    cr_expect_eq(count_events(lines, "\"event\":\"seldom\""), 5);
    /* In one report, unless a second went by in between. */
    int told = 0;
    for (char *line = strtok(lines, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        cr_assert_not_null(object, "%s", line);
        if (strstr(line, "\"event\":\"log.sampled\"")) {
            json_int_t debug = json_integer_value(json_object_get(object, "debug"));
            json_int_t info = json_integer_value(json_object_get(object, "info"));
            cr_expect_eq(json_integer_value(json_object_get(object, "sampled")), debug + info);
            told += (int)(debug + info);
        }
        json_decref(object);
    }
    cr_expect_eq(told, 98 + 98);
    close(descriptor);
    unlink(path);
}
