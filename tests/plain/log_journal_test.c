/* SPDX-License-Identifier: MIT
 *
 * The journal as a sink (rules J1 to J3), with a socket of our own where it listens: the fields of
 * each entry, a journal that is not there, starts anew, reads nothing or slowly, a forked child and
 * a crash. */
#include "plain/log_journal_support.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { line_max = 8192, deadline_s = 20 };

/* -- The journal -- */

static int journal = -1;
static pthread_t reader;
static json_t *read_entry(const char *bytes, size_t size) {
    json_t *entry = json_object();
    for (const char *at = bytes; at < bytes + size;)
        at = read_field(entry, at, bytes + size);
    json_t *line = json_loads(field(entry, "MESSAGE"), JSON_REJECT_DUPLICATES, NULL);
    REQUIRE(line != NULL);
    json_decref(line);
    return entry;
}

/* Until a datagram without bytes. */
static void *read_entries(void *unused) {
    static char bytes[2 * line_max];
    ssize_t size;
    while ((size = recv(journal, bytes, sizeof bytes, 0)) > 0) {
        REQUIRE(entry_count < entry_max && size < (ssize_t)sizeof bytes);
        entries[entry_count++] = read_entry(bytes, (size_t)size);
    }
    REQUIRE(size == 0);
    return unused;
}

static void listen_only(void) {
    journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    unlink(address.sun_path);
    REQUIRE(bind(journal, (const struct sockaddr *)&address, sizeof address) == 0);
}

static void start_reader(void) {
    REQUIRE(pthread_create(&reader, NULL, read_entries, NULL) == 0);
}

static void start_journal(void) {
    listen_only();
    start_reader();
}

/* What was sent before is in `entries` afterwards. */
static void stop_journal(void) {
    int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    REQUIRE(sendto(sender, "", 0, 0, (const struct sockaddr *)&address, sizeof address) == 0);
    close(sender);
    pthread_join(reader, NULL);
    close(journal);
}

static size_t count(const char *event) {
    size_t result = 0;
    for (size_t i = 0; i < entry_count; i++)
        result += strcmp(field(entries[i], "AT_EVENT"), event) == 0;
    return result;
}

static at_status flush(at_logger *logger) {
    return at_logger_flush(logger, at_after(AT_SECONDS(deadline_s)));
}

/* -- Cases -- */

static void each_line_is_an_entry(void) {
    start_journal();
    at_logger *logger = create_logger(
        &(at_logger_options){.name = "shop", .level = AT_LOG_TRACE, .use_journal = true});
    log_one_of_each(logger);
    at_logger_destroy(logger);
    stop_journal();
    expect_one_of_each();
    forget_entries();
}

static at_logger *create_from_file(void) {
    static const char path[] = "/run/log.json";
    FILE *file = fopen(path, "w");
    REQUIRE(file && fputs("{\"use_journal\": true}", file) >= 0 && fclose(file) == 0);
    at_logger *logger;
    REQUIRE(at_logger_create_from_file(&logger, path) == AT_OK);
    return logger;
}

static void a_journal_that_comes_late(void) {
    unlink(address.sun_path);
    at_logger *logger = create_from_file();
    for (int i = 0; i < 100; i++)
        at_log_info(logger, "early");
    REQUIRE(flush(logger) == AT_ERROR_IO);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    REQUIRE(statistics.written == 100 && statistics.lost == 0 && statistics.write_errors > 0);
    start_journal();
    REQUIRE(flush(logger) == AT_OK);
    stop_journal();
    REQUIRE(count("early") == 100);
    expect_field(0, "SYSLOG_IDENTIFIER", program_invocation_short_name);
    expect_field(0, "AT_LOGGER", NULL);
    forget_entries();
    start_journal(); /* another one */
    for (int i = 0; i < 100; i++)
        at_log_info(logger, "late");
    at_logger_destroy(logger);
    stop_journal();
    REQUIRE(count("late") == 100);
    forget_entries();
}

static void no_journal_at_all(void) {
    unlink(address.sun_path);
    at_logger *logger = create_logger(
        &(at_logger_options){.use_journal = true, .memory_bytes = 1 << 20, .ring_bytes = 1 << 20});
    for (int i = 0; i < 3000; i++)
        at_log_info(logger, "line", at_kv("text", "some text to make the line longer"));
    REQUIRE(flush(logger) == AT_ERROR_IO);
    at_logger_statistics statistics;
    at_logger_get_statistics(logger, &statistics);
    REQUIRE(statistics.written == 3000 && statistics.lost > 0 && statistics.lost < 3000);
    at_logger_destroy(logger);
}

/* Kept up to the bound, then given up and counted; the other sink has all; the end comes. */
static void a_journal_that_reads_nothing(void) {
    listen_only();
    at_logger *logger = create_logger(
        &(at_logger_options){.use_journal = true, .memory_bytes = 1 << 20, .ring_bytes = 1 << 20});
    for (int i = 0; i < 3000; i++)
        at_log_info(logger, "line", at_kv("text", "some text to make the line longer"));
    at_logger_statistics statistics = {0};
    while (statistics.lost == 0 || statistics.written < 3000) {
        REQUIRE(at_logger_flush(logger, at_after(AT_MILLISECONDS(50))) == AT_ERROR_TIMED_OUT);
        at_logger_get_statistics(logger, &statistics);
    }
    REQUIRE(statistics.written == 3000 && statistics.write_errors == 0);
    at_logger_destroy(logger);
    close(journal);
}

static atomic_bool is_slow;
static atomic_size_t read_count;

static void *read_slowly(void *unused) {
    char bytes[line_max];
    for (; recv(journal, bytes, sizeof bytes, 0) > 0; read_count++)
        if (is_slow)
            poll(NULL, 0, 10);
    return unused;
}

/* It may be in the middle of a line. */
static size_t count_newlines(const char *path) {
    FILE *file = fopen(path, "r");
    REQUIRE(file != NULL);
    size_t result = 0;
    for (int byte; (byte = getc(file)) != EOF;)
        result += byte == '\n';
    fclose(file);
    return result;
}

/* It reads on, so each line could be waited for: the file would get no more than the journal. */
static void a_journal_that_is_slow(void) {
    static const char path[] = "/run/slow.log";
    listen_only();
    is_slow = true;
    REQUIRE(pthread_create(&reader, NULL, read_slowly, NULL) == 0);
    at_logger *logger = create_logger(
        &(at_logger_options){.path = path, .use_journal = true, .ring_bytes = 1 << 20});
    for (int i = 0; i < 3000; i++)
        at_log_info(logger, "line", at_kv("text", "some text to make the line longer"));
    while (count_newlines(path) < 3000)
        REQUIRE(at_logger_flush(logger, at_after(AT_MILLISECONDS(50))) == AT_ERROR_TIMED_OUT);
    REQUIRE(read_count < 3000 / 2);
    REQUIRE(count_events(path, "line") == 3000);
    is_slow = false;
    REQUIRE(flush(logger) == AT_OK);
    at_logger_destroy(logger);
    stop_journal();
}

static void a_forked_child(void) {
    start_journal();
    at_logger *logger = create_logger(&(at_logger_options){.name = "shop", .use_journal = true});
    for (int i = 0; i < 20; i++) {
        at_log_info(logger, "parent");
        pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            at_log_info(logger, "child");
            _exit(0);
        }
        int status;
        REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    }
    at_logger_destroy(logger);
    stop_journal();
    REQUIRE(count("parent") == 20 && count("child") == 20 && entry_count == 40);
    forget_entries();
}

static void crash(void) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    at_logger *logger = create_logger(&(at_logger_options){.name = "shop", .use_journal = true});
    REQUIRE(at_crash_handler_install() == AT_OK);
    for (int i = 0; i < 50; i++)
        at_log_info(logger, "before");
    raise(SIGSEGV);
}

static void a_crash(void) {
    listen_only();
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0)
        crash();
    start_reader();
    int status;
    REQUIRE(waitpid(child, &status, 0) == child && status != 0);
    stop_journal();
    REQUIRE(count("before") == 50);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* whose handlers end it */
    REQUIRE(WIFSIGNALED(status) && entry_count == 51);
    expect_field(50, "AT_EVENT", "process.crashed");
    expect_field(50, "PRIORITY", "2");
#endif
    forget_entries();
}

#if defined(__SANITIZE_THREAD__)
static const bool is_slowed_down = true;
#else
static const bool is_slowed_down = false;
#endif

int main(void) {
    if (!make_folder()) {
        fprintf(stderr, "skipped: no file system may be mounted here: %s\n", strerror(errno));
        return 77;
    }
    each_line_is_an_entry();
    a_journal_that_comes_late();
    no_journal_at_all();
    a_journal_that_reads_nothing();
    if (!is_slowed_down) /* it is about time */
        a_journal_that_is_slow();
    a_forked_child();
    a_crash();
    return 0;
}
