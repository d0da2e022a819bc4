/* SPDX-License-Identifier: MIT
 *
 * The file sink (rule J4): rotation by size and time, opening anew, and what fails there. Each line
 * is in one file, whole, and none is missing. */
#include "support/test.h"

#include "log/sink.h"
#include "log/stamp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { rotate_bytes = 8192, padding = 180 };

static char folder[] = "/tmp/log_file_XXXXXX";
static char path[64];

static void make_folder(void) {
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/app.log", folder);
}

static void remove_folder(void) {
    DIR *entries = opendir(folder);
    for (const struct dirent *entry; (entry = readdir(entries));)
        unlinkat(dirfd(entries), entry->d_name, 0);
    closedir(entries);
    rmdir(folder);
}

TestSuite(log_file, .init = make_folder, .fini = remove_folder);

static ati_log_sink *open_sink(int64_t bytes, at_duration interval, int64_t count) {
    ati_log_sink *sink = ati_log_sink_file_create(&(ati_log_file_options){
        .path = path, .rotate_bytes = bytes, .rotate_interval = interval, .rotate_count = count});
    cr_assert_not_null(sink);
    return sink;
}

static void close_sink(ati_log_sink *sink) {
    sink->kind->finish(sink);
    sink->kind->destroy(sink);
}

/* Writes lines first to last - 1, at most eight at a time. */
static void write_lines(ati_log_sink *sink, int writer, int first, int last) {
    char lines[8 * 256];
    while (first < last) {
        size_t size = 0;
        for (int i = 0; i < 8 && first < last; i++, first++)
            size += (size_t)sprintf(lines + size, "{\"writer\":%d,\"n\":%d,\"pad\":\"%0*d\"}\n",
                                    writer, first, padding - first % 50, 0);
        sink->kind->write(sink, lines, size);
    }
}

static const char *name_of_old(int number) {
    static char name[80];
    if (number == 0)
        return path;
    snprintf(name, sizeof name, "%s.%d", path, number);
    return name;
}

static bool exists(const char *name) {
    return access(name, F_OK) == 0;
}

static off_t size_of(const char *name) {
    struct stat status;
    return stat(name, &status) == 0 ? status.st_size : -1;
}

/* Looks that a file has the lines of one writer from *next on, all whole. */
static void read_lines(const char *name, int *next) {
    FILE *file = fopen(name, "r");
    cr_assert_not_null(file, "%s", name);
    for (char line[512]; fgets(line, sizeof line, file);) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        cr_assert(object && line[strlen(line) - 1] == '\n', "%s: %s", name, line);
        cr_assert_eq(json_integer_value(json_object_get(object, "n")), *next, "%s: %s", name, line);
        json_decref(object);
        (*next)++;
    }
    fclose(file);
}

/* The same for the old files from `oldest` on and the one that is open. */
static void read_all(int oldest, int first, int last) {
    for (int number = oldest; number >= 0; number--) {
        cr_expect_leq(size_of(name_of_old(number)), rotate_bytes);
        read_lines(name_of_old(number), &first);
    }
    cr_expect_eq(first, last);
}

static void put_file(const char *name, const char *text) {
    FILE *file = fopen(name, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static int find_oldest(void) {
    int number = 0;
    while (exists(name_of_old(number + 1)))
        number++;
    return number;
}

Test(log_file, a_full_file_becomes_the_newest_old_one) {
    ati_log_sink *sink = open_sink(rotate_bytes, 0, AT_UNLIMITED);
    write_lines(sink, 0, 0, 1000);
    int oldest = find_oldest();
    cr_expect_gt(oldest, 10);
    cr_expect_eq(ati_counter_read(&sink->rotations), (uint64_t)oldest);
    close_sink(sink);
    read_all(oldest, 0, 1000);
    for (int number = 1; number <= oldest; number++)
        cr_expect_gt(size_of(name_of_old(number)), rotate_bytes - 300);
}

Test(log_file, the_oldest_are_removed) {
    ati_log_sink *sink = open_sink(rotate_bytes, 0, 3);
    write_lines(sink, 0, 0, 1000);
    close_sink(sink);
    cr_expect_eq(find_oldest(), 3);
    int first = 0;
    FILE *file = fopen(name_of_old(3), "r");
    cr_assert_eq(fscanf(file, "{\"writer\":0,\"n\":%d", &first), 1);
    fclose(file);
    read_all(3, first, 1000);
}

Test(log_file, what_is_no_file_is_not_removed) {
    cr_assert_eq(mkdir(name_of_old(9), 0755), 0);
    ati_log_sink *sink = open_sink(rotate_bytes, 0, 2);
    write_lines(sink, 0, 0, 1000);
    cr_expect_eq(ati_counter_read(&sink->move_errors), 0);
    cr_expect_gt(ati_counter_read(&sink->rotations), 10);
    close_sink(sink);
    cr_expect_eq(find_oldest(), 2);
    cr_expect_eq(rmdir(name_of_old(9)), 0);
}

/* Root's, in a folder where nobody may remove files of others. */
Test(log_file, one_that_cannot_be_removed_stays) {
    if (geteuid() != 0)
        return;
    put_file(name_of_old(9), "root's\n");
    cr_assert(chmod(folder, 01777) == 0 && seteuid(65534) == 0);
    ati_log_sink *sink = open_sink(rotate_bytes, 0, 2);
    write_lines(sink, 0, 0, 1000);
    cr_expect_gt(ati_counter_read(&sink->rotations), 10);
    cr_expect_eq(ati_counter_read(&sink->move_errors), 0);
    cr_expect_eq(sink->remove_error_number, EPERM);
    close_sink(sink);
    cr_expect_eq(find_oldest(), 2);
    cr_assert_eq(seteuid(0), 0);
    cr_expect(exists(name_of_old(9)));
}

Test(log_file, none_is_kept) {
    ati_log_sink *sink = open_sink(rotate_bytes, 0, 0);
    write_lines(sink, 0, 0, 100);
    close_sink(sink);
    cr_expect_eq(find_oldest(), 0);
    cr_expect_gt(size_of(path), 0);
}

Test(log_file, a_restart_finds_all_old_files) {
    int written = 0;
    for (int run = 0; run < 5; run++) {
        ati_log_sink *sink = open_sink(rotate_bytes, 0, AT_UNLIMITED);
        write_lines(sink, 0, written, written + 100);
        written += 100;
        close_sink(sink);
    }
    int oldest = find_oldest();
    read_all(oldest, 0, written);
    cr_assert_gt(oldest, 8);

    char others[3][80];
    snprintf(others[0], sizeof others[0], "%s.20261123", path);
    snprintf(others[1], sizeof others[1], "%s.07", path);
    snprintf(others[2], sizeof others[2], "%s.9.gz", path);
    for (int i = 0; i < 3; i++)
        put_file(others[i], "not ours\n");
    unlink(name_of_old(6)); /* a gap hides nothing behind it */
    ati_log_sink *sink = open_sink(rotate_bytes, 0, 4);
    write_lines(sink, 0, written, written + 50);
    close_sink(sink);
    cr_expect_eq(find_oldest(), 4);
    for (int number = 5; number <= oldest + 3; number++)
        cr_expect_not(exists(name_of_old(number)));
    for (int i = 0; i < 3; i++)
        cr_expect(exists(others[i]));
}

/* A gap takes the file before it; what is behind it stays. */
Test(log_file, a_gap_is_filled) {
    put_file(name_of_old(1), "{\"was\":1}\n");
    put_file(name_of_old(3), "{\"was\":3}\n");
    ati_log_sink *sink = open_sink(rotate_bytes, 0, 5);
    write_lines(sink, 0, 0, 60);
    cr_expect_eq(ati_counter_read(&sink->rotations), 1);
    close_sink(sink);
    cr_expect_eq(size_of(name_of_old(2)), 10);
    cr_expect_eq(size_of(name_of_old(3)), 10);
    read_all(1, 0, 60);
    cr_expect_not(exists(name_of_old(4)));
}

static void set_age(const char *name, at_duration age) {
    int64_t second = (ati_stamp_now() - age) / AT_SECONDS(1);
    const struct timespec times[2] = {{.tv_sec = second}, {.tv_sec = second}};
    cr_assert_eq(utimensat(AT_FDCWD, name, times, 0), 0);
}

Test(log_file, a_new_interval_begins_a_new_file) {
    ati_log_sink *sink = open_sink(0, AT_HOURS(24), 5);
    write_lines(sink, 0, 0, 10);
    close_sink(sink);
    sink =
        open_sink(0, AT_HOURS(24), 5); /* the same day, or midnight: no line is lost either way */
    write_lines(sink, 0, 10, 20);
    close_sink(sink);
    int before = find_oldest();
    cr_expect_leq(before, 1);
    set_age(path, AT_HOURS(24));
    sink = open_sink(0, AT_HOURS(24), 5);
    cr_expect_eq(find_oldest(), before); /* not before there is a line */
    write_lines(sink, 0, 20, 30);
    cr_expect_eq(ati_counter_read(&sink->rotations), 1);
    close_sink(sink);
    cr_expect_eq(find_oldest(), before + 1);
    read_all(before + 1, 0, 30);
}

Test(log_file, a_file_without_lines_is_not_rotated) {
    put_file(path, "");
    set_age(path, AT_HOURS(1000));
    ati_log_sink *sink = open_sink(rotate_bytes, AT_HOURS(1), 5);
    write_lines(sink, 0, 0, 1);
    close_sink(sink);
    cr_expect_eq(find_oldest(), 0);
}

Test(log_file, what_is_no_regular_file_is_not_rotated) {
    snprintf(path, sizeof path, "/dev/null");
    ati_log_sink *sink = open_sink(rotate_bytes, AT_HOURS(1), 5);
    write_lines(sink, 0, 0, 1000);
    cr_expect_eq(ati_counter_read(&sink->rotations), 0);
    cr_expect_eq(ati_counter_read(&sink->errors), 0);
    close_sink(sink);
}

Test(log_file, where_a_symbolic_link_leads_is_rotated) {
    char target[80];
    snprintf(target, sizeof target, "%s/target.log", folder);
    cr_assert_eq(symlink("target.log", path), 0);
    ati_log_sink *sink = open_sink(rotate_bytes, 0, 5);
    write_lines(sink, 0, 0, 60);
    close_sink(sink);
    struct stat status;
    cr_expect_eq(lstat(path, &status), 0);
    cr_expect(S_ISLNK(status.st_mode));
    strcat(target, ".1");
    cr_expect(exists(target));
}

/* The name has no room for .1 behind it. */
Test(log_file, a_rotation_that_fails_goes_on_in_the_old_file) {
    char name[NAME_MAX + 1];
    char long_path[sizeof folder + sizeof name];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(long_path, sizeof long_path, "%s/%s", folder, name);
    ati_log_sink *sink = ati_log_sink_file_create(&(ati_log_file_options){
        .path = long_path, .rotate_bytes = rotate_bytes, .rotate_count = 5});
    cr_assert_not_null(sink);
    write_lines(sink, 0, 0, 200);
    cr_expect_eq(sink->move_error_number, ENAMETOOLONG);
    cr_expect_geq(ati_counter_read(&sink->move_errors), 1);
    cr_expect_eq(ati_counter_read(&sink->rotations), 0);
    cr_expect_eq(ati_counter_read(&sink->lost), 0);
    close_sink(sink);
    int next = 0;
    read_lines(long_path, &next);
    cr_expect_eq(next, 200);
}

static void limit_descriptors(bool limited) {
    static struct rlimit before;
    struct rlimit limit;
    if (limited) {
        getrlimit(RLIMIT_NOFILE, &before);
        limit = before;
        limit.rlim_cur = 3;
    } else {
        limit = before;
    }
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* The new file cannot be opened when the old one has its new name already. */
Test(log_file, a_file_that_cannot_be_begun_leaves_the_old_one_where_it_was) {
    ati_log_sink *sink = open_sink(rotate_bytes, 0, 5);
    limit_descriptors(true);
    write_lines(sink, 0, 0, 100);
    cr_expect_eq(sink->move_error_number, EMFILE);
    cr_expect_eq(find_oldest(), 0);
    limit_descriptors(false);
    int next = 0;
    read_lines(path, &next);
    cr_expect_eq(next, 100);
    sink->kind->reopen(sink); /* tries at once */
    cr_expect_eq(sink->move_error_number, 0);
    write_lines(sink, 0, 100, 101);
    close_sink(sink);
    cr_expect_eq(find_oldest(), 1);
    read_lines(path, &next);
    cr_expect_eq(next, 101);
}

Test(log_file, a_file_that_was_moved_is_left_by_opening_anew) {
    ati_log_sink *sink = open_sink(0, 0, 0);
    write_lines(sink, 0, 0, 10);
    cr_assert_eq(rename(path, name_of_old(1)), 0);
    write_lines(sink, 0, 10, 20); /* still there */
    sink->kind->reopen(sink);
    write_lines(sink, 0, 20, 30);
    close_sink(sink);
    int next = 0;
    read_lines(name_of_old(1), &next);
    cr_expect_eq(next, 20);
    read_lines(path, &next);
    cr_expect_eq(next, 30);
}

Test(log_file, opening_anew_that_fails_keeps_the_file_and_tries_again) {
    ati_log_sink *sink = open_sink(0, 0, 0);
    cr_assert_eq(rename(path, name_of_old(1)), 0);
    cr_assert_eq(mkdir(path, 0700), 0);
    sink->kind->reopen(sink);
    cr_expect_eq(sink->move_error_number, EISDIR);
    write_lines(sink, 0, 0, 10);
    cr_expect_eq(ati_counter_read(&sink->move_errors), 1);
    cr_assert_eq(rmdir(path), 0);
    sink->kind->reopen(sink);
    cr_expect_eq(sink->move_error_number, 0);
    write_lines(sink, 0, 10, 20);
    close_sink(sink);
    int next = 0;
    read_lines(name_of_old(1), &next);
    cr_expect_eq(next, 10);
    read_lines(path, &next);
    cr_expect_eq(next, 20);
}

Test(log_file, a_file_that_was_removed_is_begun_anew) {
    ati_log_sink *sink = open_sink(0, 0, 0);
    write_lines(sink, 0, 0, 10);
    unlink(path);
    write_lines(sink, 0, 10, 20);
    close_sink(sink);
    int next = 10;
    read_lines(path, &next);
    cr_expect_eq(next, 20);
}

Test(log_file, a_file_that_somebody_else_rotated_is_opened_anew) {
    ati_log_sink *sink = open_sink(rotate_bytes, 0, 5);
    write_lines(sink, 0, 0, 10);
    cr_assert_eq(rename(path, name_of_old(1)), 0);
    write_lines(sink, 0, 10, 60);
    close_sink(sink);
    int oldest = find_oldest();
    read_all(oldest, 0, 60);
    cr_expect_eq(oldest, 1);
}

Test(log_file, a_relative_path_stays_where_it_was) {
    cr_assert_eq(chdir(folder), 0);
    ati_log_sink *sink = ati_log_sink_file_create(&(ati_log_file_options){
        .path = "app.log", .rotate_bytes = rotate_bytes, .rotate_count = 5});
    cr_assert_not_null(sink);
    cr_assert_eq(chdir("/"), 0);
    write_lines(sink, 0, 0, 60);
    close_sink(sink);
    read_all(1, 0, 60);
}

enum { line_count = 4000, writer_count = 3 };

static void *write_beside_others(void *argument) {
    ati_log_sink *sink = open_sink(rotate_bytes, 0, AT_UNLIMITED);
    write_lines(sink, (int)(intptr_t)argument, 0, line_count);
    uint64_t lost = ati_counter_read(&sink->lost);
    close_sink(sink);
    return (void *)(uintptr_t)lost;
}

/* Several append to one file and rotate it, as processes might: no line is torn or missing. */
Test(log_file, several_writers_of_one_file) {
    pthread_t threads[writer_count];
    for (intptr_t i = 0; i < writer_count; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, write_beside_others, (void *)i), 0);
    for (int i = 0; i < writer_count; i++) {
        void *lost;
        pthread_join(threads[i], &lost);
        cr_expect_null(lost);
    }
    int found[writer_count] = {0};
    for (int number = find_oldest(); number >= 0; number--) {
        FILE *file = fopen(name_of_old(number), "r");
        cr_assert_not_null(file);
        for (char line[512]; fgets(line, sizeof line, file);) {
            json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
            cr_assert_not_null(object, "%s", line);
            found[json_integer_value(json_object_get(object, "writer"))]++;
            json_decref(object);
        }
        fclose(file);
    }
    for (int i = 0; i < writer_count; i++)
        cr_expect_eq(found[i], line_count);
}
