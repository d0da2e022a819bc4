/* SPDX-License-Identifier: MIT
 *
 * A small file system that fills and gets space again (rule J3), with and without rotation and in a
 * forked child: each line is whole, those that are lost are counted. */
#include "plain/log_support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { disk_bytes = 512 * 1024, rotate_bytes = 32 * 1024, rotate_count = 20, round_count = 30 };

static char folder[] = "/tmp/log_small_disk_XXXXXX";
static char path[64];
static char ballast[64];

/* In a mount space of our own; as nobody's root where we are not root. */
static bool mount_small_disk(void) {
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    char size[32];
    snprintf(size, sizeof size, "size=%d", disk_bytes);
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", folder, "tmpfs", 0, size) == 0;
}

/* Fills what is free. */
static void fill_disk(void) {
    char bytes[4096] = {0};
    int file = open(ballast, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    REQUIRE(file >= 0);
    while (write(file, bytes, sizeof bytes) > 0)
        ;
    REQUIRE(errno == ENOSPC);
    close(file);
}

static at_logger *log_on_a_full_disk(const at_logger_options *options, uint64_t *sent) {
    at_logger *logger = create_logger(options);
    for (int round = 0; round < round_count; round++) {
        if (round == 2)
            fill_disk();
        for (int i = 0; i < 50; i++, (*sent)++)
            at_log_info(logger, "line", at_kv("text", "some text to make the line longer"));
        at_status status = at_logger_flush(logger, at_after(AT_SECONDS(20)));
        REQUIRE(status == AT_OK || status == AT_ERROR_IO);
        REQUIRE(count_events(path, NULL) <= *sent);
    }
    return logger;
}

/* Gives how many lines were not given up. */
static uint64_t fill_and_free(const at_logger_options *options) {
    uint64_t sent = 0;
    at_logger *logger = log_on_a_full_disk(options, &sent);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    REQUIRE(statistics.write_errors > 0);
    unlink(ballast);
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_OK);
    at_log_info(logger, "line");
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_OK);
    at_logger_get_statistics(logger, &statistics);
    REQUIRE(statistics.written == sent + 1);
    at_logger_destroy(logger);
    return statistics.written - statistics.lost;
}

/* Counts the lines of the file and of what it was before, and removes them. */
static size_t count_all(void) {
    size_t count = count_events(path, "line");
    unlink(path);
    for (int number = 1; number <= rotate_count; number++) {
        char name[80];
        struct stat status;
        snprintf(name, sizeof name, "%s.%d", path, number);
        if (stat(name, &status) != 0)
            continue;
        REQUIRE(status.st_size <= rotate_bytes);
        count += count_events(name, "line");
        unlink(name);
    }
    return count;
}

static void without_rotation(void) {
    uint64_t kept = fill_and_free(&(at_logger_options){.path = path, .memory_bytes = 1 << 20});
    REQUIRE(count_all() == kept);
}

/* Old files go by their number only. */
static void with_rotation(void) {
    uint64_t kept = fill_and_free(&(at_logger_options){
        .path = path, .rotate_bytes = rotate_bytes, .rotate_count = rotate_count});
    REQUIRE(count_all() == kept);
}

/* A child whose disk is full ends with lines that it could not write: no part of one stays. */
static void in_a_forked_child(void) {
    at_logger *logger = create_logger(&(at_logger_options){.path = path});
    at_log_info(logger, "parent");
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_OK);
    fill_disk();
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        for (int i = 0; i < 100; i++)
            at_log_info(logger, "child", at_kv("text", "some text to make the line longer"));
        _exit(0);
    }
    int status;
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    REQUIRE(count_events(path, "child") > 0 && count_events(path, "child") < 100);
    unlink(ballast);
    at_log_info(logger, "parent");
    at_logger_destroy(logger);
    REQUIRE(count_events(path, "parent") == 2);
    unlink(path);
}

int main(void) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    REQUIRE(mkdtemp(folder));
    if (!mount_small_disk()) {
        fprintf(stderr, "skipped: no file system may be mounted here: %s\n", strerror(errno));
        rmdir(folder);
        return 77;
    }
    snprintf(path, sizeof path, "%s/app.log", folder);
    snprintf(ballast, sizeof ballast, "%s/ballast", folder);
    REQUIRE(dup2(null, 2) == 2); /* what is said about lost lines */
    without_rotation();
    with_rotation();
    in_a_forked_child();
    umount(folder);
    rmdir(folder);
    return 0;
}
