/* SPDX-License-Identifier: MIT
 *
 * A disk that is full (rule J3): nothing ends or waits, it is counted and reported, and when there
 * is space again no line is torn. */
#include "plain/log_support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* /dev/full never has space. */
static void write_to_dev_full(void) {
    at_logger *logger =
        create_logger(&(at_logger_options){.path = "/dev/full", .memory_bytes = 1 << 20});
    for (int i = 0; i < 1000; i++)
        at_log_info(logger, "line", at_kv("line", i));
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_ERROR_IO);
    at_log_fatal(logger, "fatal.line");
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    REQUIRE(statistics.write_errors > 0);
    at_logger_destroy(logger);
}

static size_t size_of(const char *path) {
    FILE *file = fopen(path, "r");
    REQUIRE(file != NULL);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    fclose(file);
    return size;
}

static void limit_files(rlim_t size) {
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = size;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* A limit on the size of files stands for a small disk: a write stops in the middle of a line, and
 * goes on when the limit is raised. The signal of that limit ends nobody. */
static void run_out_of_space_and_recover(const char *path) {
    enum { limit = 10001 };
    limit_files(limit);
    at_logger *logger = create_logger(&(at_logger_options){.path = path, .memory_bytes = 1 << 20});
    size_t sent = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 10; i++, sent++)
            at_log_info(logger, "line", at_kv("line", sent), at_kv("text", "and some more"));
        at_status status = at_logger_flush(logger, at_after(AT_SECONDS(20)));
        REQUIRE(status == AT_OK || status == AT_ERROR_IO);
        REQUIRE(status == AT_ERROR_IO || size_of(path) < limit);
        REQUIRE(count_events(path, NULL) <= sent);
    }
    REQUIRE(size_of(path) <= limit);
    limit_files(RLIM_INFINITY);
    for (int i = 0; i < 10; i++, sent++)
        at_log_info(logger, "line", at_kv("line", sent));
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_OK);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    REQUIRE(statistics.lost == 0);
    REQUIRE(statistics.written == sent);
    REQUIRE(statistics.write_errors > 0);
    at_logger_destroy(logger);
    REQUIRE(count_events(path, "line") == sent);
    REQUIRE(count_events(path, "log.write_recovered") == 1);
}

/* More lines than can be kept: whole lines are given up and counted. */
static void give_up_lines(const char *path) {
    REQUIRE(truncate(path, 0) == 0);
    limit_files(5000);
    at_logger *logger = create_logger(&(at_logger_options){.path = path});
    uint64_t sent = 0;
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 100; i++, sent++)
            at_log_info(logger, "line", at_kv("text", "some text to make the line longer"));
        REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) != AT_ERROR_TIMED_OUT);
    }
    limit_files(RLIM_INFINITY);
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_OK);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    REQUIRE(statistics.lost > 0);
    REQUIRE(statistics.written + statistics.dropped[AT_LOG_INFO] == sent);
    at_logger_destroy(logger);
    REQUIRE(count_events(path, "line") == statistics.written - statistics.lost);
}

/* The end of a logger, and a forked child, write on threads of the program. */
static void end_at_the_limit(const char *path) {
    REQUIRE(truncate(path, 0) == 0);
    limit_files(5000);
    at_logger *logger = create_logger(&(at_logger_options){.path = path});
    for (int i = 0; i < 100; i++)
        at_log_info(logger, "line", at_kv("text", "some text to make the line longer"));
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_ERROR_IO);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        at_log_info(logger, "child");
        _exit(0);
    }
    int status;
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    at_logger_destroy(logger);
    sigset_t pending;
    REQUIRE(sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 0);
    limit_files(RLIM_INFINITY);
    REQUIRE(count_events(path, "line") > 0);
}

/* A file that ends in the middle of a line, as a crash leaves it: our lines stand alone. */
static void begin_behind_a_torn_line(const char *path) {
    FILE *file = fopen(path, "w");
    REQUIRE(file != NULL);
    fputs("{\"event\":\"who", file);
    fclose(file);
    at_logger *logger = create_logger(&(at_logger_options){.path = path});
    at_log_info(logger, "line");
    at_logger_destroy(logger);
    file = fopen(path, "r");
    char text[1000];
    size_t size = fread(text, 1, sizeof text - 1, file);
    text[size] = '\0';
    fclose(file);
    REQUIRE(strstr(text, "{\"event\":\"who\n{\"ts\":") == text);
}

int main(void) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    REQUIRE(dup2(null, 2) == 2); /* what is said about lost lines */
    write_to_dev_full();
    char path[] = "/tmp/log_full_disk_XXXXXX";
    close(mkstemp(path));
    run_out_of_space_and_recover(path);
    give_up_lines(path);
    end_at_the_limit(path);
    begin_behind_a_torn_line(path);
    unlink(path);
    return 0;
}
