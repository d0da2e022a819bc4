/* SPDX-License-Identifier: MIT */
#include "index_options.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PRINTED_NAMES = 4, GROUPED_BYTES = 32 };

/* Writes 1234567 as 1,234,567. */
static const char *group_digits(uint64_t number, char text[GROUPED_BYTES]) {
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, number);
    char *to = text;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

static void count_duplicates(const struct index_groups *groups, uint64_t *files, uint64_t *wasted) {
    *files = 0;
    *wasted = 0;
    for (size_t i = 0; i < groups->count; i++) {
        *files += groups->groups[i].count;
        *wasted += groups->groups[i].bytes * (groups->groups[i].count - 1);
    }
}

static void print_group(const struct index_group *group, const struct index_run *run) {
    char path[INDEX_PATH_BYTES];
    char count[GROUPED_BYTES], bytes[GROUPED_BYTES];
    printf("  %s files of %s bytes, %.1f MB too many\n", group_digits(group->count, count),
           group_digits(group->bytes, bytes),
           (double)group->bytes * (double)(group->count - 1) / 1e6);
    for (size_t i = 0; i < group->count && i < MAX_PRINTED_NAMES; i++) {
        index_format_path(run, group->files[i]->directory, group->files[i]->name, path);
        printf("      %s\n", path);
    }
    if (group->count > MAX_PRINTED_NAMES)
        printf("      and %zu more\n", group->count - MAX_PRINTED_NAMES);
}

static void print_totals(const struct index_result *result) {
    const struct index_totals *totals = &result->totals;
    char a[GROUPED_BYTES], b[GROUPED_BYTES], c[GROUPED_BYTES];
    printf("%s%s: %s files in %s directories, %s bytes\n", result->complete ? "" : "Part of ",
           result->run.root_path, group_digits(totals->files, a),
           group_digits(totals->directories, b), group_digits(totals->bytes, c));
    printf("  lines         %s\n  words         %s\n  empty files   %s\n",
           group_digits(totals->lines, a), group_digits(totals->words, b),
           group_digits(totals->empty_files, c));
    printf("  links         %s, not followed\n", group_digits(totals->links, a));
    for (int i = 0; i < INDEX_PROBLEMS; i++)
        if (totals->problems[i] > 0)
            printf("  %-13s %s\n", index_problem_name(i), group_digits(totals->problems[i], a));
}

static void print_times(const struct index_options *options, const struct index_result *result,
                        const struct index_comparison *comparison) {
    char files[GROUPED_BYTES];
    double seconds = (double)result->total_ns / 1e9;
    printf("\n%.3f s on %ld thread%s: %s files/s, %.0f MB/s\n", seconds, options->threads,
           options->threads == 1 ? "" : "s",
           group_digits((uint64_t)((double)result->totals.files / seconds), files),
           (double)result->totals.bytes / 1e6 / seconds);
    if (comparison->sequential_ns == 0)
        return;
    double sequential = (double)comparison->sequential_ns;
    double speedup = sequential / (double)comparison->parallel_ns;
    printf("Warm, medians of %ld: sequential program %.3f s, this one %.3f s: speed-up %.2f\n",
           comparison->repeat, sequential / 1e9, (double)comparison->parallel_ns / 1e9, speedup);
    printf("(others used %.2f CPUs of this machine meanwhile)\n", comparison->others);
    if (comparison->copies_ns == 0)
        return;
    double reach = (double)options->threads * sequential / (double)comparison->copies_ns;
    printf("%ld copies of the sequential program side by side reach %.2f: this is %.3f of it\n",
           options->threads, reach, speedup / reach);
}

void index_print_text(const struct index_options *options, const struct index_result *result,
                      const struct index_comparison *comparison) {
    uint64_t files, wasted;
    char text[GROUPED_BYTES], count[GROUPED_BYTES];
    print_totals(result);
    count_duplicates(&result->groups, &files, &wasted);
    printf("  duplicates    %s files in %s groups, %.1f MB too many\n", group_digits(files, text),
           group_digits(result->groups.count, count), (double)wasted / 1e6);
    if (result->groups.count > 0 && options->group_count > 0)
        printf("\nLargest groups of duplicates:\n");
    for (size_t i = 0; i < result->groups.count && i < (size_t)options->group_count; i++)
        print_group(&result->groups.groups[i], &result->run);
    print_times(options, result, comparison);
}

static json_t *make_path(const struct index_run *run, const struct index_file *file) {
    char path[INDEX_PATH_BYTES];
    index_format_path(run, file->directory, file->name, path);
    /* A name need not be UTF-8; a replacement says so, where leaving it out would say nothing. */
    json_t *text = json_string(path);
    return text ? text : json_string("(a path that is not UTF-8)");
}

static json_t *make_groups(const struct index_options *options, const struct index_result *result) {
    json_t *list = json_array();
    for (size_t i = 0; i < result->groups.count && i < (size_t)options->group_count; i++) {
        const struct index_group *group = &result->groups.groups[i];
        json_t *names = json_array();
        for (size_t k = 0; k < group->count; k++)
            json_array_append_new(names, make_path(&result->run, group->files[k]));
        json_array_append_new(list, json_pack("{sI sI so}", "bytes", (json_int_t)group->bytes,
                                              "count", (json_int_t)group->count, "files", names));
    }
    return list;
}

static json_t *make_comparison(const struct index_options *options,
                               const struct index_comparison *comparison) {
    if (comparison->sequential_ns == 0)
        return json_null();
    double sequential = (double)comparison->sequential_ns;
    double speedup = sequential / (double)comparison->parallel_ns;
    json_t *object = json_pack("{sI sI sI sf}", "repeat", (json_int_t)comparison->repeat,
                               "sequential_ns", (json_int_t)comparison->sequential_ns,
                               "parallel_ns", (json_int_t)comparison->parallel_ns, "speedup",
                               speedup, "others_cpus", comparison->others);
    if (comparison->copies_ns > 0) {
        double reach = (double)options->threads * sequential / (double)comparison->copies_ns;
        json_object_set_new(object, "copies_ns", json_integer((json_int_t)comparison->copies_ns));
        json_object_set_new(object, "copies_speedup", json_real(reach));
        json_object_set_new(object, "share_of_copies", json_real(speedup / reach));
    }
    return object;
}

void index_print_json(const struct index_options *options, const struct index_result *result,
                      const struct index_comparison *comparison) {
    const struct index_totals *totals = &result->totals;
    uint64_t files, wasted;
    count_duplicates(&result->groups, &files, &wasted);
    json_t *problems = json_object();
    for (int i = 0; i < INDEX_PROBLEMS; i++)
        json_object_set_new(problems, index_problem_name(i),
                            json_integer((json_int_t)totals->problems[i]));
    json_t *object =
        json_pack("{ss sI sI sI sI sI sI sI so}", "directory", result->run.root_path, "files",
                  (json_int_t)totals->files, "directories", (json_int_t)totals->directories,
                  "bytes", (json_int_t)totals->bytes, "lines", (json_int_t)totals->lines, "words",
                  (json_int_t)totals->words, "links", (json_int_t)totals->links, "empty_files",
                  (json_int_t)totals->empty_files, "problems", problems);
    json_t *duplicates = json_pack("{sI sI sI so}", "groups", (json_int_t)result->groups.count,
                                   "files", (json_int_t)files, "wasted_bytes", (json_int_t)wasted,
                                   "largest", make_groups(options, result));
    json_object_set_new(object, "duplicates", duplicates);
    json_object_set_new(object, "complete", json_boolean(result->complete));
    json_object_set_new(object, "reason", json_string(at_cancel_reason_name(result->reason)));
    json_object_set_new(object, "threads", json_integer(options->threads));
    json_object_set_new(object, "time_ns", json_integer((json_int_t)result->total_ns));
    json_object_set_new(object, "comparison", make_comparison(options, comparison));
    json_dumpf(object, stdout, JSON_INDENT(2));
    fputc('\n', stdout);
    json_decref(object);
}
