/* SPDX-License-Identifier: MIT
 *
 * A file that is rotated (rule J3) by two processes at once, by one that is killed, and by one that
 * crashes: no line is lost that the process answers for, none is there twice, and none is torn but
 * the one that SIGKILL cut off. */
#include "plain/log_support.h"

#include <asynctools/clock.h>
#include <asynctools/crash.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    writer_max = 3,
    line_max = 20000, /* of each writer */
    line_count = 3000,
    rotate_bytes = 16 * 1024,
    file_max = 1000,
    quick_ms = 100, /* the handler waits so long for whatever it waits for */
};

static char folder[] = "/tmp/log_rotation_XXXXXX";
static char path[64];
static at_logger *logger;

/* What the children tell, in memory of all. */
static struct shared {
    atomic_int written[writer_max]; /* lines whose calls have returned */
    int before_crash[writer_max];   /* the same, when the crash began */
    struct timespec crash;          /* CLOCK_MONOTONIC */
} * shared;

/* -- Writers -- */

static void open_log(void) {
    logger = create_logger(&(at_logger_options){.path = path,
                                                .rotate_bytes = rotate_bytes,
                                                .rotate_count = AT_UNLIMITED,
                                                .ring_bytes = 1 << 20});
}

static void write_lines(int writer, int count) {
    for (int i = 0; i < count; i++) {
        at_log_warn(logger, "line", at_kv("writer", writer), at_kv("number", i));
        atomic_store(&shared->written[writer], i + 1);
        if (i % 500 == 499) /* no ring runs over */
            REQUIRE(at_logger_flush(logger, at_after(AT_SECONDS(20))) == AT_OK);
    }
}

static pid_t start_process(void (*run)(int), int writer) {
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child > 0)
        return child;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    run(writer);
    _exit(0);
}

static int end_of(pid_t child) {
    int status;
    REQUIRE(waitpid(child, &status, 0) == child);
    return status;
}

/* -- What is in the files -- */

static struct findings {
    int torn;
    int lines[writer_max][line_max]; /* how often each is there */
    int first[writer_max]; /* number of lines of a writer, up to the first that is missing */
} found;

static void read_line(const char *line) {
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    json_t *writer = json_object_get(object, "writer");
    if (!object || line[strlen(line) - 1] != '\n') {
        fprintf(stderr, "torn: %s\n", line);
        found.torn++;
    } else if (writer) {
        found.lines[json_integer_value(writer)]
                   [json_integer_value(json_object_get(object, "number"))]++;
    }
    json_decref(object);
}

static bool read_file(const char *name) {
    char line[8194];
    FILE *file = fopen(name, "r");
    if (!file)
        return false;
    while (fgets(line, sizeof line, file))
        read_line(line);
    fclose(file);
    unlink(name);
    return true;
}

/* Gives the number of files. */
static int read_all(void) {
    int count = 1;
    char name[80];
    memset(&found, 0, sizeof found);
    REQUIRE(read_file(path));
    for (int number = 1; number < file_max; number++) { /* there may be gaps */
        snprintf(name, sizeof name, "%s.%d", path, number);
        count += read_file(name);
    }
    for (int writer = 0; writer < writer_max; writer++)
        while (found.first[writer] < line_max && found.lines[writer][found.first[writer]] > 0)
            found.first[writer]++;
    return count;
}

/* How often lines of a writer are there beyond the first time. */
static int repeated(int writer) {
    int sum = 0;
    for (int i = 0; i < line_max; i++)
        sum += found.lines[writer][i] > 1 ? found.lines[writer][i] - 1 : 0;
    return sum;
}

/* What a failure is understood by. */
static void print_findings(void) {
    fprintf(stderr, "torn %d\n", found.torn);
    for (int writer = 0; writer < writer_max; writer++)
        fprintf(stderr, "writer %d: first missing %d, repeated %d, written %d, before crash %d\n",
                writer, found.first[writer], repeated(writer),
                atomic_load(&shared->written[writer]), shared->before_crash[writer]);
}

#define REQUIRE_FOUND(condition)                                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            print_findings();                                                                      \
        REQUIRE(condition);                                                                        \
    } while (0)

/* -- Cases -- */

static void write_and_leave(int writer) {
    open_log();
    write_lines(writer, line_count);
    at_logger_destroy(logger);
}

static void two_processes_rotate_one_file(void) {
    pid_t children[2];
    for (int i = 0; i < 2; i++)
        children[i] = start_process(write_and_leave, i);
    for (int i = 0; i < 2; i++)
        REQUIRE(end_of(children[i]) == 0);
    int file_count = read_all();
    REQUIRE_FOUND(file_count > 10 && found.torn == 0);
    for (int i = 0; i < 2; i++)
        REQUIRE_FOUND(found.first[i] == line_count && repeated(i) == 0);
}

static void write_until_killed(int writer) {
    open_log();
    write_lines(writer, line_max);
    for (;;)
        pause();
}

/* The next process goes on behind what the killed one has left. */
static void a_process_that_is_killed(void) {
    for (int files = 1; files <= 5; files++) {
        char name[80];
        struct stat status;
        snprintf(name, sizeof name, "%s.%d", path, files);
        pid_t child = start_process(write_until_killed, 0);
        while (stat(name, &status) != 0)
            sched_yield();
        kill(child, SIGKILL);
        REQUIRE(WIFSIGNALED(end_of(child)));
        REQUIRE(end_of(start_process(write_and_leave, 1)) == 0);
        int file_count = read_all();
        REQUIRE_FOUND(file_count > files && found.torn <= 1);
        REQUIRE_FOUND(found.first[0] > 0 && repeated(0) == 0);
        for (int i = found.first[0]; i < line_max; i++)
            REQUIRE_FOUND(found.lines[0][i] == 0); /* what is missing are the last ones */
        REQUIRE_FOUND(found.first[1] == line_count && repeated(1) == 0);
    }
}

static void *write_on(void *writer) {
    write_lines((int)(intptr_t)writer, line_max);
    return NULL;
}

static void crash(int writer) {
    pthread_t thread;
    open_log();
    REQUIRE(at_crash_handler_install() == AT_OK);
    for (intptr_t i = 1; i < writer_max; i++)
        REQUIRE(pthread_create(&thread, NULL, write_on, (void *)i) == 0);
    write_lines(writer, line_count);
    for (int i = 0; i < writer_max; i++)
        shared->before_crash[i] = atomic_load(&shared->written[i]);
    clock_gettime(CLOCK_MONOTONIC, &shared->crash);
    abort();
}

static int64_t ms_since_crash(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - shared->crash.tv_sec) * 1000 +
           (now.tv_nsec - shared->crash.tv_nsec) / 1000000;
}

/* Lines are written twice only where the handler has not waited long enough for the backend. */
static void a_process_that_crashes(void) {
    memset(shared, 0, sizeof *shared);
    int status = end_of(start_process(crash, 0));
    bool was_quick = ms_since_crash() < quick_ms;
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    int file_count = read_all();
    REQUIRE_FOUND(file_count > 10 && found.torn == 0);
    for (int i = 0; i < writer_max; i++)
        REQUIRE_FOUND(found.first[i] >= shared->before_crash[i] &&
                      (repeated(i) == 0 || !was_quick));
}

int main(void) {
    REQUIRE(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/app.log", folder);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    two_processes_rotate_one_file();
    a_process_that_is_killed();
    a_process_that_crashes();
    REQUIRE(rmdir(folder) == 0);
    return 0;
}
