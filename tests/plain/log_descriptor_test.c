/* SPDX-License-Identifier: MIT
 *
 * A descriptor of the program's own (rules J3, J4): it stays open; a reader that went away and one
 * that is closed are counted errors; a full pipe that does not block keeps lines, none of which is
 * torn. */
#include "plain/log_support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

static at_logger_statistics statistics_of(at_logger *logger) {
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    return statistics;
}

/* Copies what comes through a pipe to a file. */
static void *copy_to_file(void *argument) {
    const int *ends = argument;
    char bytes[1000];
    ssize_t size;
    while ((size = read(ends[0], bytes, sizeof bytes)) > 0)
        REQUIRE(write(ends[1], bytes, (size_t)size) == size);
    return NULL;
}

/* More than the pipe holds, and less than the sink keeps besides; then a reader comes. */
static void fill_a_pipe(void) {
    enum { line_count = 2000 };
    char path[] = "/tmp/log_descriptor_XXXXXX";
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    REQUIRE(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    at_logger *logger =
        create_logger(&(at_logger_options){.descriptor = ends[1], .ring_bytes = 1 << 20});
    for (int i = 0; i < line_count; i++)
        at_log_info(logger, "line", at_kv("line", i));
    REQUIRE(at_logger_flush(logger, at_after(AT_MILLISECONDS(50))) == AT_ERROR_TIMED_OUT);
    int copied[2] = {ends[0], mkstemp(path)};
    pthread_t reader;
    REQUIRE(pthread_create(&reader, NULL, copy_to_file, copied) == 0);
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_OK);
    at_logger_statistics statistics = statistics_of(logger);
    at_logger_destroy(logger);
    REQUIRE(fcntl(ends[1], F_GETFD) >= 0); /* it is ours */
    close(ends[1]);
    pthread_join(reader, NULL);
    close(ends[0]);
    close(copied[1]);
    REQUIRE(count_events(path, "line") == line_count - statistics.lost);
    REQUIRE(statistics.write_errors == 0);
    unlink(path);
}

static void write_without_a_reader(void) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    at_logger *logger =
        create_logger(&(at_logger_options){.descriptor = ends[1], .memory_bytes = 1 << 20});
    close(ends[0]);
    at_log_info(logger, "line");
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_ERROR_IO);
    REQUIRE(statistics_of(logger).write_errors > 0);
    at_logger_destroy(logger);
    close(ends[1]);
}

static void close_too_early(void) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    at_logger *logger =
        create_logger(&(at_logger_options){.descriptor = ends[1], .memory_bytes = 1 << 20});
    close(ends[1]);
    at_log_info(logger, "line");
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_ERROR_IO);
    at_log_fatal(logger, "line");
    at_logger_statistics statistics = statistics_of(logger);
    REQUIRE(statistics.write_errors > 0);
    REQUIRE(statistics.written == 2);
    at_logger_destroy(logger);
    close(ends[0]);
}

/* The descriptor that leads to the file. */
static int find_descriptor(const char *path) {
    struct stat wanted, status;
    REQUIRE(stat(path, &wanted) == 0);
    for (int descriptor = 3; descriptor < 1000; descriptor++)
        if (fstat(descriptor, &status) == 0 && status.st_ino == wanted.st_ino &&
            status.st_dev == wanted.st_dev)
            return descriptor;
    return -1;
}

/* As daemons do that close what they have inherited. Opened anew, the file gets all lines. */
static void close_a_file_of_the_logger(void) {
    char path[] = "/tmp/log_descriptor_XXXXXX";
    close(mkstemp(path));
    at_logger *logger = create_logger(&(at_logger_options){.path = path, .memory_bytes = 1 << 20});
    at_log_info(logger, "before");
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_OK);
    REQUIRE(close(find_descriptor(path)) == 0);
    at_log_info(logger, "between");
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_ERROR_IO);
    REQUIRE(statistics_of(logger).write_errors > 0);
    at_logger_reopen(logger);
    at_log_info(logger, "behind");
    REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_OK);
    REQUIRE(statistics_of(logger).lost == 0);
    at_logger_destroy(logger);
    REQUIRE(count_events(path, "before") == 1 && count_events(path, "between") == 1 &&
            count_events(path, "behind") == 1);
    unlink(path);
}

static void read_only_is_refused(void) {
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    at_logger *logger = NULL;
    REQUIRE(at_logger_create(&logger, &(at_logger_options){.descriptor = null}) ==
            AT_ERROR_INVALID);
    REQUIRE(!logger && strstr(at_error_message(at_error_last()), "`descriptor`"));
    close(null);
}

int main(void) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    REQUIRE(dup2(null, 2) == 2); /* what is said about lost lines */
    fill_a_pipe();
    write_without_a_reader();
    close_too_early();
    close_a_file_of_the_logger();
    read_only_is_refused();
    return 0;
}
