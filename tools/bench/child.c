/* SPDX-License-Identifier: MIT */
#include "child.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

bool child_measure(bool (*measure)(const void *what, void *figures), const void *what,
                   void *figures, size_t size) {
    int ends[2], status = 1;
    fflush(stdout);
    if (pipe(ends) != 0)
        return false;
    pid_t child = fork();
    if (child == 0) {
        bool well = measure(what, figures) && write(ends[1], figures, size) == (ssize_t)size;
        _exit(well ? 0 : 1);
    }
    close(ends[1]);
    bool well = child > 0 && read(ends[0], figures, size) == (ssize_t)size;
    close(ends[0]);
    if (child > 0)
        waitpid(child, &status, 0);
    return well && status == 0;
}

double child_resident_bytes(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* Reads a line such as "VmPTE:    1234 kB". */
static double read_status(const char *name) {
    char line[128];
    size_t length = strlen(name);
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    if (!file)
        return 0;
    while (fgets(line, sizeof(line), file))
        if (strncmp(line, name, length) == 0 && sscanf(line + length, ": %ld", &kib) == 1)
            break;
    fclose(file);
    return (double)kib * 1024;
}

double child_peak_bytes(void) {
    return read_status("VmHWM");
}

double child_page_table_bytes(void) {
    return read_status("VmPTE");
}
