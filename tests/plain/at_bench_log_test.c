/* SPDX-License-Identifier: MIT
 *
 * at-bench log: what it says about lines that are none, what it lets through, and what it counts.
 * The lines that a logger writes are all valid to it. */
#include "at_bench.h"

#include <asynctools/asynctools.h>

#define TAIL "\"thread\":\"main/1\",\"source\":\"a.c:1\"}\n"
#define HEAD "{\"ts\":\"2026-11-23T10:00:00.000001Z\",\"level\":\"info\",\"event\":\"e\","

static int run_on(const char *text, const char *option, const char *value) {
    at_bench_write("log", text, strlen(text));
    return at_bench_run("log", at_bench_path("log"), option, value, NULL);
}

static bool holds(const char *name, const char *what) {
    char *text = at_bench_read(name);
    bool found = strstr(text, what) != NULL;
    if (!found)
        fprintf(stderr, "expected '%s' in: %s\n", what, text);
    free(text);
    return found;
}

/* -- Lines that are none -- */

static const struct {
    const char *line;
    const char *problem; /* NULL: it is valid */
} lines[] = {
    {HEAD TAIL, NULL},
    {HEAD "\"thread\":\"a/b/17\"}\n", NULL},
    {HEAD "\"logger\":\"shop\",\"operation\":\"o\",\"operation_id\":\"00000000000000aa\","
          "\"trace_id\":\"000000000000000000000000000000bb\",\"x\":[{\"a\":1}],"
          "\"big\":18446744073709551615," TAIL,
     NULL},
    {HEAD "\"x\":1,\"thread\":\"m/1\",\"_cut\":[\"x\"],\"_cut_count\":2}\n", NULL},
    {"\n", ":1: no JSON object"},
    {"{\"ts\":\n", ":1: no JSON object"},
    {"[1]\n", ":1: no JSON object"},
    {HEAD "\"x\":\"\xff\"," TAIL, "decode byte 0xff"},
    {HEAD "\"x\":\"\x01\"," TAIL, "control character"},
    {HEAD "\"x\":1,\"x\":2," TAIL, "duplicate"},
    {HEAD "\"x\":{\"y\":1,\"y\":2}," TAIL, "duplicate"},
    {HEAD TAIL HEAD "\"thread\":\"main/1\"}", ":2: ends without a newline"},
    {HEAD "\"x\":1}\n", "`thread` is missing"},
    {HEAD "\"thread\":\"main\"}\n", "`thread` is not"},
    {HEAD "\"source\":\"a.c:1\",\"thread\":\"m/1\"}\n", "`thread` is missing"},
    {HEAD "\"thread\":\"m/1\",\"x\":1}\n", "`x` stands behind its place"},
    {HEAD "\"x\":1,\"logger\":\"shop\"," TAIL, "`logger` stands behind its place"},
    {HEAD "\"operation\":\"o\"," TAIL, "without `operation_id`"},
    {HEAD "\"operation_id\":\"00000000000000aa\"," TAIL, "only one of"},
    {HEAD "\"operation_id\":\"00000000000000AA\"," TAIL, "`operation_id` is not"},
    {HEAD "\"logger\":7," TAIL, "`logger` is not a string"},
    {HEAD "\"thread\":\"m/1\",\"_cut\":\"x\"}\n", "`_cut` is not an array"},
    {HEAD "\"thread\":\"m/1\",\"_cut\":[1]}\n", "`_cut` has an element"},
    {HEAD "\"thread\":\"m/1\",\"_cut\":[\"x\"],\"_cut_count\":1}\n", "`_cut_count` is not"},
    {HEAD "\"thread\":\"m/1\",\"_cut_count\":1}\n", "without `_cut`"},
    {"{\"level\":\"info\",\"ts\":\"2026-11-23T10:00:00.000001Z\",\"event\":\"e\"," TAIL,
     "`ts` is missing or not in its place"},
    {"{\"ts\":\"2026-11-23T10:00:00.000001Z\",\"level\":\"loud\",\"event\":\"e\"," TAIL,
     "\"loud\", which is none"},
    {"{\"ts\":\"2026-02-29T10:00:00.000001Z\",\"level\":\"info\",\"event\":\"e\"," TAIL, "no time"},
    {"{\"ts\":\"2026-11-23T24:00:00.000001Z\",\"level\":\"info\",\"event\":\"e\"," TAIL, "no time"},
    {"{\"ts\":\"2026-11-23T10:00:00.0001Z\",\"level\":\"info\",\"event\":\"e\"," TAIL, "no time"},
    {"{\"ts\":\"2026-11-23T10:00:00.000001Z\",\"level\":\"info\"," TAIL, "`event` is missing"},
    {"{\"ts\":\"2026-11-23T10:00:00.000001Z\"}\n", "`level` is missing"},
};

static void check_lines(void) {
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        int status = run_on(lines[i].line, "--json", NULL);
        if (status != (lines[i].problem ? 1 : 0))
            fprintf(stderr, "status %d: %s", status, lines[i].line);
        plain_check(status == (lines[i].problem ? 1 : 0));
        plain_check(!lines[i].problem || holds("err", lines[i].problem));
        plain_check(lines[i].problem || holds("out", lines[i].line));
    }
}

/* A line of `length` bytes, its newline included. */
static void add_line(char **to, size_t length) {
    static const char begin[] = HEAD "\"x\":\"", end[] = "\"," TAIL;
    memset(*to, 'x', length);
    memcpy(*to, begin, sizeof(begin) - 1);
    memcpy(*to + length - (sizeof(end) - 1), end, sizeof(end) - 1);
    *to += length;
}

static void check_long_lines(void) {
    static char text[2 * 1024 * 1024];
    char *to = text;
    add_line(&to, 8192);
    add_line(&to, 8193);
    add_line(&to, 1000000); /* longer than what is read at once */
    add_line(&to, 200);
    *to = '\0';
    plain_check(run_on(text, "--summary", NULL) == 1);
    plain_check(holds("err", ":2: has more than 8192 bytes") &&
                holds("err", ":3: has more than 8192 bytes") && holds("out", "2 lines, 8392"));
    plain_check(run_on(text, "--problems", "1") == 1);
    plain_check(holds("err", "2 lines are invalid"));
    char *said = at_bench_read("err");
    plain_check(!strstr(said, ":3:"));
    free(said);
}

/* -- Filters -- */

#define LINE(time, level, event, more)                                                             \
    "{\"ts\":\"2026-11-23T" time "Z\",\"level\":\"" level "\",\"event\":\"" event "\"," more TAIL
#define IN(name, id)                                                                               \
    "\"operation\":\"" name "\",\"operation_id\":\"00000000000000" id                              \
    "\",\"trace_id\":\"000000000000000000000000000000" id "\","

static const char five[] = LINE("10:00:00.000000", "debug", "http.started", "\"logger\":\"shop\",")
    LINE("10:00:01.500000", "info", "http.completed",
         "\"logger\":\"shop.http\"," IN("get", "01") "\"outcome\":\"ok\",\"duration_ms\":1500.5,")
        LINE("10:00:02.000000", "error", "job.failed",
             "\"logger\":\"shopping\"," IN("work", "02") "\"duration_ms\":7,\"outcome\":\"error\",")
            LINE("10:00:03.000000", "warn", "log.dropped", "\"dropped\":12,\"info\":12,") LINE(
                "10:01:00.000000", "info", "httpd", "\"text\":\"a \\u001b[31m\x7f\xc2\x9b b\",");

/* Which of the five lines pass. */
static void check_filter(const char *option, const char *value, const char *expected) {
    plain_check(run_on(five, option, value) == 0);
    static const char *const names[] = {"http.started", "http.completed", "job.failed",
                                        "log.dropped", "httpd"};
    char *text = at_bench_read("out");
    for (size_t i = 0; i < 5; i++) {
        char event[32];
        snprintf(event, sizeof(event), " %s ", names[i]);
        if ((strstr(text, event) != NULL) != (expected[i] == 'x'))
            fprintf(stderr, "%s %s:\n%s", option, value, text);
        plain_check((strstr(text, event) != NULL) == (expected[i] == 'x'));
    }
    free(text);
}

static void check_filters(void) {
    check_filter("--level", "trace", "xxxxx");
    check_filter("--level", "info", "-xxxx");
    check_filter("--level", "warn", "--xx-");
    check_filter("--event", "http", "xx---");
    check_filter("--event", "httpd", "----x");
    check_filter("--logger", "shop", "xx---");
    check_filter("--logger", "shop.http", "-x---");
    check_filter("--operation", "get", "-x---");
    check_filter("--operation", "0000000000000002", "--x--");
    check_filter("--trace", "00000000000000000000000000000001", "-x---");
    check_filter("--since", "2026-11-23T10:00:02Z", "--xxx");
    check_filter("--since", "2026-11-23T10:01", "----x");
    check_filter("--until", "2026-11-23T10:00:02", "xx---");
    check_filter("--until", "2026-11-23T10:01", "xxxx-");
    check_filter("--until", "2026-11-24", "xxxxx");
}

/* -- What is printed -- */

static void check_text(void) {
    plain_check(run_on(five, "--event", "job") == 0);
    plain_check(holds("out", "2026-11-23 10:00:02.000 ERROR job.failed logger=shopping "
                             "operation=work operation_id=0000000000000002 "
                             "trace_id=00000000000000000000000000000002 duration_ms=7 "
                             "outcome=error (main/1 a.c:1)\n"));
    plain_check(run_on(five, "--event", "httpd") == 0);
    plain_check(holds("out", "text=\"a \\u001b[31m\\u007f\\u009b b\" (main/1 a.c:1)\n"));
}

static void check_summary(void) {
    at_bench_write("log", five, sizeof(five) - 1);
    plain_check(at_bench_run("log", "--summary", at_bench_path("log"), NULL) == 0);
    plain_check(holds("out", "5 lines") && holds("out", "2 operations ended: ok 1, error 1") &&
                holds("out", "12 lines dropped"));
    plain_check(at_bench_run("log", "--summary", "--json", at_bench_path("log"),
                             at_bench_path("log"), NULL) == 0);
    json_t *root = at_bench_read_json("out");
    plain_check(at_bench_count(root, "lines") == 10 && at_bench_count(root, "invalid") == 0 &&
                at_bench_count(root, "operations") == 4 && at_bench_count(root, "dropped") == 24);
    plain_check(at_bench_count(json_object_get(root, "levels"), "info") == 4);
    const json_t *events = json_object_get(root, "events");
    plain_check(at_bench_count(json_object_get(events, "job.failed"), "error") == 2);
    const json_t *slowest = json_array_get(json_object_get(root, "slowest"), 0);
    plain_check(json_number_value(json_object_get(slowest, "duration_ms")) == 1500.5);
    plain_check(strcmp(json_string_value(json_object_get(slowest, "operation_id")),
                       "0000000000000001") == 0);
    json_decref(root);
}

/* More names than are counted apart. */
static void check_many_events(void) {
    FILE *file = fopen(at_bench_path("log"), "w");
    plain_check(file);
    for (int i = 0; i < 3000; i++)
        fprintf(file, LINE("10:00:00.000000", "info", "event.%d", ""), i % 1500);
    fclose(file);
    plain_check(at_bench_run("log", "--summary", "--json", at_bench_path("log"), NULL) == 0);
    json_t *root = at_bench_read_json("out");
    plain_check(json_object_size(json_object_get(root, "events")) == 1024);
    plain_check(at_bench_count(json_object_get(root, "other_events"), "info") == 2 * (1500 - 1024));
    json_decref(root);
}

/* A name that is kept in part ends with a whole character, whatever byte the end comes to. */
static void check_long_names(void) {
    FILE *file = fopen(at_bench_path("log"), "w");
    plain_check(file);
    for (int length = 1; length <= 4; length++) {
        fprintf(file, "{\"ts\":\"2026-11-23T10:00:00.000000Z\",\"level\":\"info\",\"event\":\"%.*s",
                length, "name");
        for (int i = 0; i < 60; i++)
            fputs("\xf0\x9f\x90\x9f", file);
        fputs("\"," TAIL, file);
    }
    fclose(file);
    plain_check(at_bench_run("log", "--summary", "--json", at_bench_path("log"), NULL) == 0);
    json_t *root = at_bench_read_json("out");
    plain_check(json_object_size(json_object_get(root, "events")) == 4);
    json_decref(root);
}

/* Sinks that are slow say what is new, those that fail how many there are in all. */
static void check_lost_lines(void) {
    static const char text[] = LINE("10:00:00.000000", "warn", "log.lines_lost",
                                    "\"sink\":\"descriptor\",\"lost\":20,")
        LINE("10:00:01.000000", "warn", "log.lines_lost", "\"sink\":\"descriptor\",\"lost\":30,")
            LINE("10:00:02.000000", "error", "log.write_failed", "\"lost\":10,")
                LINE("10:00:03.000000", "warn", "log.write_recovered", "\"lost\":40,");
    at_bench_write("log", text, sizeof(text) - 1);
    plain_check(at_bench_run("log", "--summary", "--json", at_bench_path("log"), NULL) == 0);
    json_t *root = at_bench_read_json("out");
    plain_check(at_bench_count(root, "lost") == 50);
    json_decref(root);
}

/* -- The rest -- */

/* What a logger makes of hard cases. */
static void check_real_lines(void) {
    static const char *const paths[] = {"/tmp/a b", "\xff\x80", "quote \" and \\", "\x7f\xc2\x85",
                                        ""};
    at_logger *logger;
    plain_check(at_logger_create(&logger, &(at_logger_options){.name = "real",
                                                               .level = AT_LOG_TRACE,
                                                               .path = at_bench_path("real")}) ==
                AT_OK);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        at_log_trace(logger, paths[i], at_kv(paths[i], paths[i]), at_kv("most", UINT64_MAX),
                     at_kv("ts", i), at_kv("ratio", 1e300), at_kv_null("none"));
    static char large[100000];
    memset(large, '"', sizeof(large));
    at_log_error(logger, "large", at_kv_text("large", large, sizeof(large)),
                 at_kv_text("zeros", (char[4]){0}, 4));
    at_logger_destroy(logger);
    plain_check(at_bench_run("log", at_bench_path("real"), NULL) == 0);
    plain_check(holds("out", "most=18446744073709551615"));
}

static void check_arguments(void) {
    at_bench_write("log", five, sizeof(five) - 1);
    plain_check(at_bench_run("log", NULL) == 2 && holds("err", "FILE... is missing"));
    plain_check(at_bench_run("log", "--level", "loud", "-", NULL) == 2 && holds("err", "'loud'"));
    plain_check(at_bench_run("log", "--since", "yesterday", "-", NULL) == 2 &&
                holds("err", "'yesterday'"));
    plain_check(at_bench_run("log", "--until", "2026-13-01", "-", NULL) == 2 &&
                holds("err", "'2026-13-01'"));
    plain_check(at_bench_run("log", at_bench_path("missing"), at_bench_path("log"), NULL) == 1 &&
                holds("err", "No such file") && holds("out", "httpd"));
    plain_check(at_bench_run("log", at_bench_folder, NULL) == 1 && holds("err", "directory"));
    plain_check(at_bench_run("log", "/dev/null", NULL) == 0);
    plain_check(at_bench_run("log", "--help", NULL) == 0 && holds("out", "--operation"));
}

int main(void) {
    at_bench_begin();
    check_lines();
    check_long_lines();
    check_filters();
    check_text();
    check_summary();
    check_many_events();
    check_long_names();
    check_lost_lines();
    check_real_lines();
    check_arguments();
    at_bench_end();
    return 0;
}
