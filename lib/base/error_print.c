/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "base/error.h"

#include <asynctools/limits.h>

#include <inttypes.h>

enum {
    depth_limit = 12,
    error_limit = 200, /* in one tree */
    indentation = 2,   /* for each level */
};

typedef struct printer {
    FILE *file;
    int errors_left;
} printer;

static void indent(const printer *to, int depth) {
    fprintf(to->file, "%*s", depth * indentation, "");
}

static void print_place(const printer *to, const at_error *error, int depth) {
    const char *origin = at_error_origin(error);
    const char *task = at_error_task(error);
    const char *started_at = at_error_started_at(error);
    int64_t item = at_error_item(error);
    if (!*origin && !*task && !*started_at && item == AT_NONE)
        return;
    indent(to, depth + 1);
    const char *between = "";
    if (*origin) {
        fprintf(to->file, "(%s)", origin);
        between = ", ";
    }
    if (*task) {
        fprintf(to->file, "%sin task %s", between, task);
        between = ", ";
    }
    if (item != AT_NONE) {
        fprintf(to->file, "%sitem %" PRId64, between, item);
        between = ", ";
    }
    if (*started_at)
        fprintf(to->file, "%sfrom %s", between, started_at);
    fputc('\n', to->file);
}

/* At most depth_limit calls deep. */
static void print_tree(printer *to, const at_error *error, int depth, const char *label) {
    if (to->errors_left == 0)
        return;
    indent(to, depth);
    if (--to->errors_left == 0 || depth == depth_limit) {
        fprintf(to->file, "and further errors\n");
        return;
    }
    fprintf(to->file, "%s%s: %s\n", label, at_status_name(at_error_status(error)),
            at_error_text(error));
    print_place(to, error, depth);
    if (at_error_cause(error))
        print_tree(to, at_error_cause(error), depth + 1, "caused by ");
    for (size_t i = 0; i < at_error_other_count(error); i++)
        print_tree(to, at_error_other(error, i), depth + 1, "also ");
    if (ati_error_hidden_count(error) > 0) {
        indent(to, depth + 1);
        fprintf(to->file, "and %zu more\n", ati_error_hidden_count(error));
    }
}

void at_error_print(const at_error *error, FILE *file) {
    ATI_CALLER_CHECK(file, "at_error_print", "`file` is NULL");
    if (!error) {
        fprintf(file, "%s\n", at_status_text(AT_OK));
        return;
    }
    printer to = {.file = file, .errors_left = error_limit};
    print_tree(&to, error, 0, "");
}
