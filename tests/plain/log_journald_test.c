/* SPDX-License-Identifier: MIT
 *
 * The journal as a sink (rule J1), with the journal of systemd itself: what it stores of each line.
 * Where systemd is not installed, or may not be started, there is nothing to test. */
#include "plain/log_journal_support.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { burst = 500, skipped = 77 };

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    REQUIRE(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* One that leaves alone whatever is outside of our folder. */
static pid_t start_journald(void) {
    REQUIRE(mkdir("/run/log", 0755) == 0 && mkdir("/run/systemd/journald.conf.d", 0755) == 0);
    write_file("/run/systemd/journald.conf.d/test.conf",
               "[Journal]\nStorage=volatile\nAudit=no\nReadKMsg=no\n");
    write_file("/run/machine-id", "0af7651916cd43dd8448eb211c80319c\n");
    (void)mount("/run/machine-id", "/etc/machine-id", NULL, MS_BIND, NULL);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl("/lib/systemd/systemd-journald", "systemd-journald", NULL);
        execl("/usr/lib/systemd/systemd-journald", "systemd-journald", NULL);
        _exit(skipped);
    }
    return child;
}

/* Until it listens, lines are kept. False: it has ended. */
static bool wait_for(pid_t journald) {
    at_logger *logger = create_logger(&(at_logger_options){.use_journal = true});
    at_log_info(logger, "early");
    at_status status;
    do
        status = at_logger_flush(logger, at_after(AT_SECONDS(1)));
    while (status != AT_OK && waitpid(journald, NULL, WNOHANG) == 0);
    at_logger_destroy(logger);
    return status == AT_OK;
}

/* Fields, with an empty line behind those of an entry. */
static void read_journal(void) {
    enum { most = 4 * 1024 * 1024 };
    static char bytes[most];
    FILE *pipe = popen("journalctl -D /run/log/journal -o export SYSLOG_IDENTIFIER=shop", "r");
    REQUIRE(pipe != NULL);
    size_t size = fread(bytes, 1, most, pipe);
    REQUIRE(size < most && pclose(pipe) == 0);
    for (const char *at = bytes, *end = bytes + size; at < end; at++) {
        REQUIRE(entry_count < entry_max);
        json_t *entry = entries[entry_count++] = json_object();
        while (at < end && *at != '\n')
            at = read_field(entry, at, end);
    }
}

int main(void) {
    if (!make_folder()) {
        fprintf(stderr, "skipped: no file system may be mounted here: %s\n", strerror(errno));
        return skipped;
    }
    pid_t journald = start_journald();
    if (!wait_for(journald)) {
        fprintf(stderr, "skipped: there is no systemd-journald that starts\n");
        return skipped;
    }
    at_logger *logger = create_logger(
        &(at_logger_options){.name = "shop", .level = AT_LOG_TRACE, .use_journal = true});
    log_one_of_each(logger);
    for (int n = 0; n < burst; n++)
        at_log_info(logger, "burst", at_kv("n", n));
    at_logger_destroy(logger);
    REQUIRE(system("journalctl --sync") == 0); /* it has read what was sent */
    REQUIRE(kill(journald, SIGTERM) == 0 && waitpid(journald, NULL, 0) == journald);
    read_journal();
    REQUIRE(entry_count == 8 + burst);
    for (size_t n = 0; n < burst; n++) {
        char end[32];
        snprintf(end, sizeof end, "\"n\":%zu,", n);
        REQUIRE(strstr(field(entries[8 + n], "MESSAGE"), end));
        json_decref(entries[8 + n]);
    }
    entry_count = 8;
    expect_one_of_each();
    forget_entries();
    return 0;
}
