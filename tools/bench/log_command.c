/* SPDX-License-Identifier: MIT */
#include "arguments.h"
#include "commands.h"
#include "log_filter.h"
#include "log_input.h"
#include "log_print.h"
#include "log_summary.h"
#include "messages.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct log_reading {
    struct log_filter filter;
    bool as_json;
    bool with_summary;
    bool with_colours;
    long most_problems; /* that are said */
    uint64_t invalid;
    struct log_input input;
    struct log_summary summary;
};

/* -- The lines -- */

static void say_problem(struct log_reading *it, const char *path, const char *problem) {
    it->invalid++;
    if (it->invalid > (uint64_t)it->most_problems)
        return;
    fflush(stdout);
    fprintf(stderr, "%s:%" PRIu64 ": ", path, it->input.number);
    log_print_text(stderr, problem, strlen(problem));
    fputc('\n', stderr);
}

static void take_line(struct log_reading *it, const struct log_line *line) {
    if (!log_filter_takes(&it->filter, line))
        return;
    if (it->with_summary)
        log_summary_add(&it->summary, line);
    else if (it->as_json)
        fwrite(line->bytes, 1, line->length, stdout);
    else
        log_print_line(stdout, line, it->with_colours);
}

/* False: it cannot be read. */
static bool read_file(struct log_reading *it, const char *path) {
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    const char *bytes;
    size_t length;
    char problem[LOG_PROBLEM_MAX];
    struct log_line line;
    if (!log_input_open(&it->input, path)) {
        fprintf(stderr, "at-bench log: %s: %s\n", name, describe_errno(errno));
        return false;
    }
    while (log_input_next(&it->input, &bytes, &length)) {
        if (!log_line_read(&line, bytes, length, problem)) {
            say_problem(it, name, problem);
            continue;
        }
        take_line(it, &line);
        log_line_release(&line);
    }
    int error = it->input.error;
    log_input_close(&it->input);
    if (error != 0)
        fprintf(stderr, "at-bench log: %s: %s\n", name, describe_errno(error));
    return error == 0;
}

/* Gives the exit status. */
static int read_files(struct log_reading *it, const char *const *paths) {
    bool well = true;
    for (; *paths; paths++)
        well &= read_file(it, *paths);
    if (it->with_summary && it->as_json)
        well &= log_summary_print_json(&it->summary, it->invalid);
    else if (it->with_summary)
        log_summary_print(&it->summary, it->invalid);
    if (it->invalid > (uint64_t)it->most_problems)
        fprintf(stderr, "at-bench log: %" PRIu64 " lines are invalid\n", it->invalid);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "at-bench log: standard output: %s\n", describe_errno(errno));
        well = false;
    }
    return well && it->invalid == 0 ? 0 : 1;
}

/* -- The arguments -- */

static bool is_time(const char *option, const char *text) {
    if (!text || log_time_is_valid(text))
        return true;
    fprintf(stderr,
            "at-bench log: %s takes a time in UTC such as 2026-11-23 or 2026-11-23T10:30:00.5Z, "
            "not '%s' (at-bench log --help lists the options)\n",
            option, text);
    return false;
}

static int run(int argument_count, char **arguments, struct log_reading *it, const char **paths) {
    struct log_filter *filter = &it->filter;
    struct named_choice level = {.names = log_level_names};
    const struct option_spec options[] = {
        {"--level", "NAME", OPTION_CHOICE, &level, 0, 0, "only lines of this level and above"},
        {"--event", "NAME", OPTION_TEXT, &filter->event, 0, 0,
         "only this event, or those whose names go on behind NAME and a dot"},
        {"--logger", "NAME", OPTION_TEXT, &filter->logger, 0, 0,
         "only this logger and its children"},
        {"--operation", "NAME|ID", OPTION_TEXT, &filter->operation, 0, 0,
         "only lines of operations with this name or id"},
        {"--trace", "ID", OPTION_TEXT, &filter->trace, 0, 0, "only lines with this trace_id"},
        {"--since", "TIME", OPTION_TEXT, &filter->since, 0, 0,
         "only lines from then on, in UTC: 2026-11-23T10:30"},
        {"--until", "TIME", OPTION_TEXT, &filter->until, 0, 0, "only lines before then"},
        {"--json", NULL, OPTION_FLAG, &it->as_json, 0, 0,
         "pass the lines on as they are; with --summary: one JSON object"},
        {"--summary", NULL, OPTION_FLAG, &it->with_summary, 0, 0,
         "counts and the slowest operations instead of the lines"},
        {"--problems", "N", OPTION_COUNT, &it->most_problems, 0, 1000000000,
         "say what is wrong with so many lines at most; default: 20"},
    };
    const struct command_spec command = {
        .name = "log",
        .usage = "FILE...",
        .help = "Reads logs, one JSON object a line (`-`: standard input), checks each line, and "
                "prints\n"
                "them for people. Exit status: 0 if all lines are valid, 1 if not.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0]),
        .min_positional = 1,
        .max_positional = argument_count,
    };
    int status;
    if (!arguments_parse(&command, argument_count, arguments, paths, &status))
        return status;
    if (!is_time("--since", filter->since) || !is_time("--until", filter->until))
        return EXIT_WRONG_ARGUMENT;
    filter->level = level.chosen;
    it->with_colours = isatty(STDOUT_FILENO) == 1;
    return read_files(it, paths);
}

int log_command(int argument_count, char **arguments) {
    struct log_reading *it = calloc(1, sizeof(*it));
    const char **paths = calloc((size_t)argument_count + 1, sizeof(*paths));
    if (!it || !paths)
        give_up("no memory to read a log");
    it->most_problems = 20;
    int status = run(argument_count, arguments, it, paths);
    free(paths);
    free(it);
    return status;
}
