/* SPDX-License-Identifier: MIT */
#include "arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(const struct command_spec *command) {
    printf("Usage: at-bench %s [OPTIONS] %s\n\n%s\n\nOptions:\n", command->name, command->usage,
           command->help);
    for (size_t i = 0; i < command->option_count; i++) {
        const struct option_spec *option = &command->options[i];
        char name[40];
        snprintf(name, sizeof(name), "%s %s", option->name,
                 option->value_name ? option->value_name : "");
        printf("  %-22s %s\n", name, option->help);
    }
    printf("  %-22s %s\n", "--help", "print this help");
}

static bool complain(const struct command_spec *command, const char *format, const char *first,
                     const char *second) {
    fprintf(stderr, "at-bench %s: ", command->name);
    fprintf(stderr, format, first, second);
    fprintf(stderr, " (at-bench %s --help lists the options)\n", command->name);
    return false;
}

/* Reads one number that ends where `*text` has `end` or nothing; moves `*text` past it. */
static bool read_count(const struct option_spec *option, const char **text, long *count) {
    char *after;
    errno = 0;
    if (**text < '0' || **text > '9')
        return false;
    *count = strtol(*text, &after, 10);
    *text = after;
    return errno == 0 && *count >= option->min && *count <= option->max;
}

static bool read_counts(const struct option_spec *option, const char *text) {
    struct count_list *list = option->target;
    list->count = 0;
    for (;;) {
        if (list->count == ARGUMENTS_MAX_COUNTS ||
            !read_count(option, &text, &list->values[list->count]))
            return false;
        list->count++;
        if (*text == '\0')
            return true;
        if (*text++ != ',')
            return false;
    }
}

static bool choose(struct named_choice *choice, const char *name) {
    for (int i = 0; choice->names[i]; i++)
        if (strcmp(name, choice->names[i]) == 0) {
            choice->chosen = i;
            return true;
        }
    return false;
}

/* "fixed, uniform or exponential, not 'odd'" */
static bool complain_of_choice(const struct command_spec *command, const struct option_spec *option,
                               const char *value) {
    const struct named_choice *choice = option->target;
    char text[256];
    size_t length = 0;
    for (int i = 0; choice->names[i] && length < sizeof(text); i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s",
                                   i == 0                 ? ""
                                   : choice->names[i + 1] ? ", "
                                                          : " or ",
                                   choice->names[i]);
    if (length < sizeof(text))
        snprintf(text + length, sizeof(text) - length, ", not '%s'", value);
    return complain(command, "%s takes %s", option->name, text);
}

static bool set_option(const struct command_spec *command, const struct option_spec *option,
                       const char *value) {
    char range[160];
    snprintf(range, sizeof(range), "%s from %ld to %ld, not '%s'",
             option->kind == OPTION_COUNT ? "a whole number"
                                          : "whole numbers with commas between them",
             option->min, option->max, value ? value : "");
    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)option->target = true;
        return true;
    case OPTION_COUNT: {
        long count;
        if (!read_count(option, &value, &count) || *value != '\0')
            return complain(command, "%s takes %s", option->name, range);
        *(long *)option->target = count;
        return true;
    }
    case OPTION_COUNTS:
        return read_counts(option, value) || complain(command, "%s takes %s", option->name, range);
    case OPTION_TEXT:
        if (*value == '\0')
            return complain(command, "%s takes %s that is not empty", option->name,
                            option->value_name);
        *(const char **)option->target = value;
        return true;
    case OPTION_CHOICE:
        return choose(option->target, value) || complain_of_choice(command, option, value);
    }
    return false;
}

static const struct option_spec *find_option(const struct command_spec *command, const char *name,
                                             size_t length) {
    for (size_t i = 0; i < command->option_count; i++) {
        const struct option_spec *option = &command->options[i];
        if (strlen(option->name) == length && memcmp(option->name, name, length) == 0)
            return option;
    }
    return NULL;
}

/* Takes the option at `*at`, and its value, which may be the next argument. */
static bool take_option(const struct command_spec *command, int argument_count, char **arguments,
                        int *at) {
    const char *argument = arguments[(*at)++];
    size_t length = strcspn(argument, "=");
    const char *value = argument[length] ? argument + length + 1 : NULL;
    const struct option_spec *option = find_option(command, argument, length);
    if (!option)
        return complain(command, "there is no option %s%s", argument, "");
    if (option->kind == OPTION_FLAG && value)
        return complain(command, "%s takes no value, it was given '%s'", option->name, value);
    if (option->kind != OPTION_FLAG && !value) {
        if (*at == argument_count)
            return complain(command, "%s needs a value: %s", option->name, option->value_name);
        value = arguments[(*at)++];
    }
    return set_option(command, option, value);
}

/* Goes through the arguments; true also when only the help was printed. */
static bool parse_all(const struct command_spec *command, int argument_count, char **arguments,
                      const char **positional, bool *is_helped) {
    int positional_count = 0;
    bool options_end = false;
    for (int i = 0; i < argument_count;) {
        const char *argument = arguments[i];
        if (!options_end && strcmp(argument, "--") == 0) {
            options_end = true;
            i++;
        } else if (!options_end &&
                   (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)) {
            print_help(command);
            *is_helped = true;
            return true;
        } else if (!options_end && argument[0] == '-' && argument[1] != '\0') {
            if (!take_option(command, argument_count, arguments, &i))
                return false;
        } else if (positional_count == command->max_positional) {
            return complain(command, "'%s' is one argument too many%s", argument, "");
        } else {
            positional[positional_count++] = argument;
            i++;
        }
    }
    return positional_count >= command->min_positional ||
           complain(command, "%s is missing%s", command->usage, "");
}

bool arguments_parse(const struct command_spec *command, int argument_count, char **arguments,
                     const char **positional, int *exit_status) {
    bool is_helped = false;
    bool well = parse_all(command, argument_count, arguments, positional, &is_helped);
    *exit_status = well ? 0 : EXIT_WRONG_ARGUMENT;
    return well && !is_helped;
}
