/* SPDX-License-Identifier: MIT */
#include "base/cpu.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    line_limit = 8192, /* longer lines are passed over; no cgroup's is */
    path_limit = PATH_MAX,
    mask_limit = 1 << 20, /* bytes; no kernel has a mask of eight million CPUs */
};

/* -- Affinity -- */

static int count_larger_affinity(ati_affinity_fn get_affinity) {
    for (size_t size = 2 * sizeof(cpu_set_t); size <= mask_limit; size *= 2) {
        cpu_set_t *mask = ati_allocate_zeroed(size);
        if (!mask)
            return 0;
        int result = get_affinity(0, size, mask);
        int count = result == 0 ? CPU_COUNT_S(size, mask) : 0;
        bool too_small = result != 0 && errno == EINVAL;
        ati_release(mask, size);
        if (!too_small)
            return count;
    }
    return 0;
}

int ati_cpu_count_affinity(ati_affinity_fn get_affinity) {
    int saved_errno = errno;
    cpu_set_t mask;
    CPU_ZERO(&mask);
    int count = 0;
    if (get_affinity(0, sizeof mask, &mask) == 0)
        count = CPU_COUNT(&mask);
    else if (errno == EINVAL)
        count = count_larger_affinity(get_affinity);
    errno = saved_errno;
    return count;
}

/* -- Reading small files -- */

struct reader {
    int descriptor;
    size_t start; /* of what has not been handed out yet */
    size_t end;
    char bytes[line_limit];
};

static bool open_reader(struct reader *reader, const char *path) {
    reader->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    reader->start = 0;
    reader->end = 0;
    return reader->descriptor >= 0;
}

/* Makes room and reads more behind what is there. False at the end of the file. */
static bool fill_reader(struct reader *reader) {
    memmove(reader->bytes, reader->bytes + reader->start, reader->end - reader->start);
    reader->end -= reader->start;
    reader->start = 0;
    ssize_t count;
    do
        count = read(reader->descriptor, reader->bytes + reader->end,
                     sizeof reader->bytes - 1 - reader->end);
    while (count < 0 && errno == EINTR);
    if (count <= 0)
        return false;
    reader->end += (size_t)count;
    return true;
}

/* Gives the next line without its end, valid until the next call; NULL after the last. */
static char *next_line(struct reader *reader) {
    bool overlong = false;
    for (;;) {
        char *line = reader->bytes + reader->start;
        size_t length = reader->end - reader->start;
        char *newline = memchr(line, '\n', length);
        if (newline) {
            *newline = '\0';
            reader->start = (size_t)(newline + 1 - reader->bytes);
            if (!overlong)
                return line;
            overlong = false;
        } else if (length == sizeof reader->bytes - 1) {
            overlong = true;
            reader->start = reader->end;
        } else if (!fill_reader(reader)) {
            if (reader->end == 0 || overlong)
                return NULL;
            reader->bytes[reader->end] = '\0';
            reader->start = reader->end;
            return reader->bytes;
        }
    }
}

/* Reads the first line of a file of one short line. */
static bool read_first_line(const char *path, char *line, size_t capacity) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    ssize_t count;
    do
        count = read(descriptor, line, capacity - 1);
    while (count < 0 && errno == EINTR);
    close(descriptor);
    if (count <= 0)
        return false;
    line[count] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return true;
}

/* -- Quotas -- */

enum hierarchy { hierarchy_none, hierarchy_v1, hierarchy_v2 };

/* Where this process is in each hierarchy; "" where it is in none. */
struct membership {
    char v1[path_limit];
    char v2[path_limit];
};

/* A directory that is looked at, and what of it is the mount point. */
struct level {
    size_t length;
    size_t mount_length;
    char path[path_limit + 32]; /* room for a file name behind the directory's */
};

/* What one look needs. It is on the stack, some 20 KiB, so that a quota is seen without memory
 * too. */
struct look {
    const char *root;
    struct membership membership;
    struct level level;
    struct reader reader;
};

/* Opens a file of lines below the root. */
static bool open_lines(struct look *look, const char *name) {
    char *path = look->level.path;
    int length = snprintf(path, path_limit, "%s%s", look->root, name);
    return length > 0 && length < path_limit && open_reader(&look->reader, path);
}

/* Reads a positive number of decimal digits and moves behind it. */
static bool parse_number(const char **text, int64_t *number) {
    if (**text < '0' || **text > '9')
        return false;
    char *end;
    errno = 0;
    long long value = strtoll(*text, &end, 10);
    if (errno != 0 || value <= 0)
        return false;
    *text = end;
    *number = value;
    return true;
}

static int divide_up(int64_t quota, int64_t period) {
    int64_t count = quota / period + (quota % period != 0);
    return count < INT_MAX ? (int)count : INT_MAX;
}

/* Reads the file `name` of a directory into `line`. */
static bool read_level(struct level *level, const char *name, char *line, size_t capacity) {
    memcpy(level->path + level->length, name, strlen(name) + 1);
    bool found = read_first_line(level->path, line, capacity);
    level->path[level->length] = '\0';
    return found;
}

/* cpu.max: "<quota or max> <period>", in microseconds. */
static int read_quota_v2(struct level *level) {
    char line[64];
    int64_t quota, period;
    const char *text = line;
    if (!read_level(level, "/cpu.max", line, sizeof line) || !parse_number(&text, &quota) ||
        *text++ != ' ' || !parse_number(&text, &period) || *text != '\0')
        return INT_MAX;
    return divide_up(quota, period);
}

/* cpu.cfs_quota_us: -1 for none. */
static int read_quota_v1(struct level *level) {
    char line[64];
    int64_t quota, period;
    const char *text = line;
    if (!read_level(level, "/cpu.cfs_quota_us", line, sizeof line) ||
        !parse_number(&text, &quota) || *text != '\0')
        return INT_MAX;
    text = line;
    if (!read_level(level, "/cpu.cfs_period_us", line, sizeof line) ||
        !parse_number(&text, &period) || *text != '\0')
        return INT_MAX;
    return divide_up(quota, period);
}

/* Takes the minimum over a directory and all above it, up to the mount point. */
static int read_levels(struct level *level, enum hierarchy hierarchy) {
    int minimum = INT_MAX;
    for (;;) {
        int count = hierarchy == hierarchy_v2 ? read_quota_v2(level) : read_quota_v1(level);
        if (count < minimum)
            minimum = count;
        if (level->length <= level->mount_length)
            return minimum;
        do
            level->length--;
        while (level->length > level->mount_length && level->path[level->length] != '/');
        level->path[level->length] = '\0';
    }
}

/* True if `word` is in a list with commas between its words. */
static bool list_has(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

static void copy_place(char *to, const char *place) {
    size_t size = strlen(place) + 1;
    if (*place == '/' && size <= path_limit)
        memcpy(to, place, size);
}

/* Lines of /proc/self/cgroup: "<number>:<controllers>:<path>"; without controllers it is v2. */
static bool read_membership(struct look *look) {
    look->membership.v1[0] = '\0';
    look->membership.v2[0] = '\0';
    if (!open_lines(look, "/proc/self/cgroup"))
        return false;
    char *line;
    while ((line = next_line(&look->reader))) {
        char *controllers = strchr(line, ':');
        char *place = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!place)
            continue;
        controllers++;
        *place++ = '\0';
        if (*controllers == '\0')
            copy_place(look->membership.v2, place);
        else if (list_has(controllers, "cpu"))
            copy_place(look->membership.v1, place);
    }
    close(look->reader.descriptor);
    return true;
}

/* Turns the kernel's \040 and the like back into the bytes that they stand for. */
static void decode_octal(char *text) {
    char *to = text;
    for (const char *from = text; *from;) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
            from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
            *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

/* What a line of mountinfo says; pieces of that line. */
struct mount {
    enum hierarchy hierarchy;
    char *root; /* the part of the hierarchy that is mounted */
    char *point;
};

/* "<id> <parent> <device> <root> <point> <options> <tags ...> - <type> <source> <options>" */
static struct mount parse_mount(char *line) {
    struct mount mount = {hierarchy_none, NULL, NULL};
    char *separator = strstr(line, " - ");
    if (!separator)
        return mount;
    *separator = '\0';
    char *save = NULL;
    char *type = strtok_r(separator + 3, " ", &save);
    char *source = strtok_r(NULL, " ", &save);
    char *options = strtok_r(NULL, " ", &save);
    char *words[5] = {NULL};
    for (int i = 0; i < 5; i++)
        words[i] = strtok_r(i == 0 ? line : NULL, " ", &save);
    if (!type || !source || !words[4])
        return mount;
    mount.root = words[3];
    mount.point = words[4];
    decode_octal(mount.root);
    decode_octal(mount.point);
    if (strcmp(type, "cgroup2") == 0)
        mount.hierarchy = hierarchy_v2;
    else if (strcmp(type, "cgroup") == 0 && options && list_has(options, "cpu"))
        mount.hierarchy = hierarchy_v1;
    return mount;
}

/* Moves behind all the "/.." that a path begins with. */
static const char *skip_parents(const char *path) {
    while (strncmp(path, "/..", 3) == 0 && (path[3] == '/' || path[3] == '\0'))
        path += 3;
    return path;
}

/* Gives the place of a cgroup below the mount point, "" for the mount point itself; NULL if the
 * mount does not show this cgroup. */
static const char *find_below_mount(const char *mount_root, const char *place) {
    size_t length = strcmp(mount_root, "/") == 0 ? 0 : strlen(mount_root);
    if (strncmp(place, mount_root, length) == 0 &&
        (place[length] == '/' || place[length] == '\0')) {
        const char *below = place + length;
        if (strcmp(below, "/") == 0)
            return "";
        return skip_parents(below) == below ? below : NULL;
    }
    /* A mount of what is above the cgroup namespace: the names between are not to be had, but its
     * mount point is a level of ours. */
    return *skip_parents(mount_root) == '\0' ? "" : NULL;
}

static int read_mount(struct look *look, const struct mount *mount) {
    const char *place =
        mount->hierarchy == hierarchy_v2 ? look->membership.v2 : look->membership.v1;
    const char *below = *place ? find_below_mount(mount->root, place) : NULL;
    if (!below)
        return INT_MAX;
    struct level *level = &look->level;
    const char *point = strcmp(mount->point, "/") == 0 ? "" : mount->point;
    int length = snprintf(level->path, path_limit, "%s%s%s", look->root, point, below);
    if (length < 0 || length >= path_limit)
        return INT_MAX;
    level->length = (size_t)length;
    level->mount_length = level->length - strlen(below);
    return read_levels(level, mount->hierarchy);
}

static int read_quota(struct look *look) {
    int minimum = INT_MAX;
    if (!read_membership(look) || !open_lines(look, "/proc/self/mountinfo"))
        return minimum;
    char *line;
    while ((line = next_line(&look->reader))) {
        struct mount mount = parse_mount(line);
        int count = mount.hierarchy != hierarchy_none ? read_mount(look, &mount) : INT_MAX;
        if (count < minimum)
            minimum = count;
    }
    close(look->reader.descriptor);
    return minimum;
}

int ati_cpu_count_quota(const char *root) {
    int saved_errno = errno;
    struct look look;
    look.root = root;
    int count = read_quota(&look);
    errno = saved_errno;
    return count;
}

int at_cpu_count(void) {
    int count = ati_cpu_count_affinity(sched_getaffinity);
    int quota = ati_cpu_count_quota("");
    if (count > quota)
        count = quota;
    return count > 1 ? count : 1;
}
