/* SPDX-License-Identifier: MIT */
#include "log/old_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { most_digits = 5 };

/* Writes the name of an old file. False, with errno: it is too long. */
static bool write_name(char name[PATH_MAX], const char *path, int64_t number) {
    if (snprintf(name, PATH_MAX, "%s.%" PRId64, path, number) < PATH_MAX)
        return true;
    errno = ENAMETOOLONG;
    return false;
}

/* Two processes may do this at once: what the other has just moved is not replaced. */
static bool move(const char *from, const char *to) {
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return true;
    return (errno == EINVAL || errno == ENOSYS) && rename(from, to) == 0;
}

/* Gives the first number that is free; 0, with errno: it cannot be found. */
static int64_t find_free(const char *path) {
    char name[PATH_MAX];
    struct stat status;
    for (int64_t number = 1; write_name(name, path, number); number++)
        if (lstat(name, &status) != 0)
            return errno == ENOENT ? number : 0;
    return 0;
}

bool ati_old_files_push(const char *path) {
    char from[PATH_MAX];
    char to[PATH_MAX];
    int64_t number = find_free(path);
    if (number == 0)
        return false;
    for (; number > 1; number--)
        if (!write_name(from, path, number - 1) || !write_name(to, path, number) || !move(from, to))
            return false;
    return write_name(to, path, 1) && move(path, to);
}

void ati_old_files_pull(const char *path) {
    char from[PATH_MAX];
    if (write_name(from, path, 1))
        (void)move(from, path);
}

/* The number of an old file of `name`; 0: it is none. So many digits may be a date. */
static int64_t number_of(const char *entry, const char *name, size_t length) {
    if (strncmp(entry, name, length) != 0 || entry[length] != '.')
        return 0;
    const char *digits = entry + length + 1;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > most_digits || digits[count] || *digits == '0')
        return 0;
    int64_t number = 0;
    while (*digits)
        number = number * 10 + (*digits++ - '0');
    return number;
}

static bool is_regular(int folder, const char *name) {
    struct stat status;
    return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode);
}

bool ati_old_files_prune(const char *path, int64_t count) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char folder[PATH_MAX] = ".";
    if (slash) /* "/" is its own folder */
        snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    DIR *entries = opendir(folder);
    if (!entries)
        return false;
    int error = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this thread's own */
    for (const struct dirent *entry; (entry = readdir(entries));)
        if (number_of(entry->d_name, name, strlen(name)) > count &&
            is_regular(dirfd(entries), entry->d_name) &&
            unlinkat(dirfd(entries), entry->d_name, 0) != 0 && errno != ENOENT)
            error = errno;
    closedir(entries);
    errno = error;
    return error == 0;
}
