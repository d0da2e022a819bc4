/* SPDX-License-Identifier: MIT
 *
 * at-bench index on a tree with everything in it that a tree can have, by all three programs, with
 * 1, 2 and 8 threads: the totals are those of a simple count, byte by byte, made here. */
#include "at_bench.h"

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* What the tree holds, as this test counts it. */
static struct { json_int_t files, bytes, lines, words, empty, directories; } expected;

static bool is_space(unsigned char byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static void add_file(const char *name, const char *bytes, size_t length) {
    bool in_word = false;
    at_bench_write(name, bytes, length);
    for (size_t i = 0; i < length; i++) {
        expected.lines += bytes[i] == '\n';
        expected.words += !in_word && !is_space((unsigned char)bytes[i]);
        in_word = !is_space((unsigned char)bytes[i]);
    }
    expected.files++;
    expected.bytes += (json_int_t)length;
    expected.empty += length == 0;
}

static void add_directory(const char *name) {
    plain_check(mkdir(at_bench_path(name), 0755) == 0);
    expected.directories++;
}

/* Pseudo-random text of spaces, newlines and letters, or of any bytes. */
static void fill(char *bytes, size_t length, uint32_t seed, bool binary) {
    for (size_t i = 0; i < length; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = binary ? (char)(seed >> 24) : "ab c\nd\te "[(seed >> 24) % 9];
    }
}

static void add_odd_lengths(void) {
    static char bytes[700000];
    char name[64];
    const size_t lengths[] = {0,     1,      15,     16,     17,     255 * 16, 255 * 16 + 1,
                              65536, 262143, 262144, 262145, 262160, 524288,   600001};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        snprintf(name, sizeof(name), "tree/length %zu", lengths[i]);
        fill(bytes, lengths[i], (uint32_t)i + 1, i % 3 == 2);
        add_file(name, bytes, lengths[i]);
    }
    /* A word that crosses the end of the buffer, and one that ends there. */
    memset(bytes, 'w', 300000);
    add_file("tree/one word", bytes, 300000);
    bytes[262143] = ' ';
    add_file("tree/two words", bytes, 300000);
    memset(bytes, ' ', 20000);
    add_file("tree/no words", bytes, 20000);
}

static void add_duplicates(void) {
    static char large[400000];
    fill(large, sizeof(large), 99, true);
    add_file("tree/copy 1", large, sizeof(large));
    add_file("tree/sub/copy 2", large, sizeof(large));
    add_file("tree/sub/copy 3", large, sizeof(large));
    large[399999] ^= 1;
    add_file("tree/no copy", large, sizeof(large));
    add_file("tree/small 1", "same\n", 5);
    add_file("tree/sub/small 2", "same\n", 5);
    /* Another name of a file is read, but it is not another file. */
    plain_check(link(at_bench_path("tree/small 1"), at_bench_path("tree/hard link")) == 0);
    expected.files++;
    expected.bytes += 5;
    expected.lines++;
    expected.words++;
}

static void add_many(void) {
    char name[600];
    add_directory("tree/many");
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "tree/many/%d", i);
        add_file(name, name, strlen(name));
    }
    char path[300] = "tree/deep";
    add_directory(path);
    for (int i = 0; i < 60; i++) {
        strcat(path, "/d");
        add_directory(path);
        snprintf(name, sizeof(name), "%s/f", path);
        add_file(name, name, strlen(name));
    }
    add_file("tree/a\nname", "1 2\n", 4);
    add_file("tree/not \xff utf-8", "3 4 5\n", 6);
}

static void add_specials(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", at_bench_path("tree/socket"));
    plain_check(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    close(listener);
    plain_check(mkfifo(at_bench_path("tree/fifo"), 0644) == 0);
    plain_check(symlink("loop b", at_bench_path("tree/loop a")) == 0);
    plain_check(symlink("loop a", at_bench_path("tree/loop b")) == 0);
    plain_check(symlink("..", at_bench_path("tree/sub/up")) == 0);
    plain_check(symlink(".", at_bench_path("tree/sub/here")) == 0);
    plain_check(symlink("nowhere", at_bench_path("tree/dangling")) == 0);
    plain_check(symlink("one word", at_bench_path("tree/link")) == 0);
    plain_check(symlink("many", at_bench_path("tree/link to a directory")) == 0);
}

static void check_totals(const json_t *result) {
    const json_t *problems = json_object_get(result, "problems");
    const json_t *duplicates = json_object_get(result, "duplicates");
    plain_check(at_bench_count(result, "files") == expected.files);
    plain_check(at_bench_count(result, "bytes") == expected.bytes);
    plain_check(at_bench_count(result, "lines") == expected.lines);
    plain_check(at_bench_count(result, "words") == expected.words);
    plain_check(at_bench_count(result, "empty_files") == expected.empty);
    plain_check(at_bench_count(result, "directories") == expected.directories);
    plain_check(at_bench_count(result, "links") == 7);
    plain_check(at_bench_count(problems, "special") == 2);
    plain_check(at_bench_count(problems, "link_loop") == 4);
    plain_check(at_bench_count(problems, "dangling_link") == 1);
    plain_check(at_bench_count(problems, "unreadable") == 0);
    plain_check(at_bench_count(problems, "vanished") == 0);
    plain_check(at_bench_count(problems, "failed") == 0);
    plain_check(json_is_true(json_object_get(result, "complete")));
    plain_check(at_bench_count(duplicates, "groups") == 2);
    plain_check(at_bench_count(duplicates, "files") == 5);
    plain_check(at_bench_count(duplicates, "wasted_bytes") == 800005);
    const json_t *largest = json_array_get(json_object_get(duplicates, "largest"), 0);
    plain_check(at_bench_count(largest, "bytes") == 400000);
    plain_check(at_bench_count(largest, "count") == 3);
    plain_check(json_array_size(json_object_get(largest, "files")) == 3);
}

/* Each line of the log is an object; each problem has one. The map of the library tells of its end.
 */
static void check_log(bool has_map) {
    int special = 0, loops = 0, dangling = 0, ended = 0, maps_ended = 0;
    char *text = at_bench_read("log");
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *object = json_loads(line, 0, NULL);
        plain_check(json_is_object(object));
        const char *event = json_string_value(json_object_get(object, "event"));
        plain_check(event && json_is_string(json_object_get(object, "ts")));
        special += strcmp(event, "index.special") == 0;
        loops += strcmp(event, "index.link_loop") == 0;
        dangling += strcmp(event, "index.dangling_link") == 0;
        ended += strcmp(event, "index.ended") == 0;
        if (strcmp(event, "batch_progress") == 0)
            maps_ended += at_bench_count(object, "completed") == at_bench_count(object, "total");
        json_decref(object);
    }
    plain_check(special == 2 && loops == 4 && dangling == 1 && ended == 1);
    plain_check(maps_ended == has_map);
    free(text);
}

int main(void) {
    static const char *const programs[] = {"sequential", "plain", "library"};
    static const char *const threads[] = {"1", "2", "8"};
    at_bench_begin();
    add_directory("tree");
    add_directory("tree/sub");
    add_odd_lengths();
    add_duplicates();
    add_many();
    add_specials();
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            unlink(at_bench_path("log"));
            plain_check(at_bench_run("index", "--json", "--verify", "--no-compare", "--program",
                                     programs[i], "--threads", threads[k], "--log",
                                     at_bench_path("log"), at_bench_path("tree"), NULL) == 0);
            json_t *result = at_bench_read_json("out");
            check_totals(result);
            json_decref(result);
            check_log(strcmp(programs[i], "library") == 0);
        }
    /* The comparison runs and is told. */
    plain_check(at_bench_run("index", "--json", "--repeat", "1", "--limits", "--threads", "2",
                             at_bench_path("tree"), NULL) == 0);
    json_t *result = at_bench_read_json("out");
    plain_check(json_is_real(json_object_get(json_object_get(result, "comparison"), "speedup")));
    json_decref(result);
    at_bench_end();
    return 0;
}
