/* SPDX-License-Identifier: MIT
 *
 * Which CPUs are near each other, read from made-up system files. */
#include "base/topology.h"
#include "support/test.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(topology, .timeout = 200);

static char root[] = "/tmp/at-topology-XXXXXX";

static void write_file(int cpu, const char *file, const char *text) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/%s", root, cpu, file);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        cr_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *stream = fopen(path, "w");
    cr_assert_not_null(stream);
    fputs(text, stream);
    cr_assert_eq(fclose(stream), 0);
}

/* Two packages of two caches of one core with two threads. */
static void write_machine(void) {
    cr_assert_not_null(mkdtemp(root));
    for (int cpu = 0; cpu < 8; cpu++) {
        char text[32];
        snprintf(text, sizeof text, "%d-%d\n", cpu / 2 * 2, cpu / 2 * 2 + 1);
        write_file(cpu, "topology/thread_siblings_list", text);
        write_file(cpu, "cache/index0/level", "1\n");
        write_file(cpu, "cache/index0/shared_cpu_list", text);
        snprintf(text, sizeof text, "%d-%d\n", cpu / 4 * 4, cpu / 4 * 4 + 3);
        write_file(cpu, "cache/index1/level", "3\n");
        write_file(cpu, "cache/index1/shared_cpu_list", text);
        write_file(cpu, "topology/core_siblings_list", "0-7\n");
    }
}

static void remove_machine(void) {
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", root);
    cr_assert_eq(system(command), 0);
}

static int distance(int one, int other) {
    ati_cpu_place one_place = ati_cpu_place_of(root, one);
    ati_cpu_place other_place = ati_cpu_place_of(root, other);
    return ati_cpu_distance(&one_place, &other_place);
}

Test(topology, core_then_cache_then_package) {
    write_machine();
    errno = 77;
    cr_expect_eq(distance(0, 1), 0);
    cr_expect_eq(distance(0, 2), 1);
    cr_expect_eq(distance(0, 3), 1);
    cr_expect_eq(distance(3, 4), 2);
    cr_expect_eq(errno, 77);
    write_file(7, "topology/core_siblings_list", "7\n");
    cr_expect_eq(distance(0, 7), 3);
    remove_machine();
}

Test(topology, what_cannot_be_read_is_not_shared) {
    write_machine();
    cr_expect_eq(distance(0, 8), 3);
    cr_expect_eq(distance(8, 8), 3);
    write_file(1, "topology/thread_siblings_list", "none\n");
    cr_expect_eq(distance(0, 1), 1);
    write_file(1, "cache/index1/level", "\n");
    write_file(1, "cache/index0/shared_cpu_list", "1\n");
    cr_expect_eq(distance(0, 1), 2);
    remove_machine();
}
