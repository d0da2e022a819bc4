/* SPDX-License-Identifier: MIT
 *
 * The end of a file that is opened for a log (rule J3): a torn line is ended by one newline, also
 * when several processes open the file at once; a line that another process is writing at this
 * moment is none. */
#include "plain/log_support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    round_count = 40,
    process_count = 4,
    file_count = 40,
    write_bytes = 256 * 1024, /* many pages, so that a part of it may be seen */
    file_bytes = 16 * 1024 * 1024,
};

/* In memory where there is such a file system: it shows a write page by page. */
static char path[] = "/dev/shm/log_torn_end_XXXXXX";
static int descriptor;

static pid_t start_process(void (*run)(void)) {
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run();
        _exit(0);
    }
    return child;
}

/* Gives the number of empty lines. */
static int count_empty(void) {
    static char bytes[write_bytes];
    int count = 0;
    char before = '\n';
    ssize_t size;
    for (off_t offset = 0; (size = pread(descriptor, bytes, sizeof bytes, offset)) > 0;
         offset += size, before = bytes[size - 1])
        for (const char *at = bytes; (at = memchr(at, '\n', (size_t)(bytes + size - at))); at++)
            count += (at == bytes ? before : at[-1]) == '\n';
    return count;
}

static void open_once(void) {
    at_logger *logger = create_logger(&(at_logger_options){.path = path});
    at_log_error(logger, "opened");
    at_logger_destroy(logger);
}

static void torn_line_is_ended_once(void) {
    for (int round = 0; round < round_count; round++) {
        pid_t children[process_count];
        REQUIRE(ftruncate(descriptor, 0) == 0);
        REQUIRE(write(descriptor, "{\"torn", 6) == 6);
        for (int i = 0; i < process_count; i++)
            children[i] = start_process(open_once);
        for (int i = 0; i < process_count; i++) {
            int status;
            REQUIRE(waitpid(children[i], &status, 0) == children[i] && status == 0);
        }
        REQUIRE(count_empty() == 0);
        char begin[8];
        REQUIRE(pread(descriptor, begin, 8, 0) == 8 && memcmp(begin, "{\"torn\n{", 8) == 0);
    }
}

static void write_for_ever(void) {
    static char bytes[write_bytes];
    memset(bytes, 'x', sizeof bytes);
    bytes[sizeof bytes - 1] = '\n';
    struct stat status;
    for (;;)
        if (write(descriptor, bytes, sizeof bytes) < 0 ||
            (fstat(descriptor, &status) == 0 && status.st_size > file_bytes))
            pause();
}

static void a_line_that_is_being_written(void) {
    for (int file = 0; file < file_count; file++) {
        struct stat status;
        REQUIRE(ftruncate(descriptor, 0) == 0);
        pid_t writer = start_process(write_for_ever);
        do {
            at_logger_destroy(create_logger(&(at_logger_options){.path = path}));
            REQUIRE(fstat(descriptor, &status) == 0);
        } while (status.st_size < file_bytes);
        kill(writer, SIGKILL);
        waitpid(writer, NULL, 0);
        REQUIRE(count_empty() == 0);
    }
}

int main(void) {
    if (access("/dev/shm", W_OK) != 0)
        memcpy(path, "/tmp/////", 9);
    REQUIRE((descriptor = mkostemp(path, O_APPEND | O_CLOEXEC)) >= 0);
    torn_line_is_ended_once();
    a_line_that_is_being_written();
    REQUIRE(unlink(path) == 0);
    return 0;
}
