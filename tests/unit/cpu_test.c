/* SPDX-License-Identifier: MIT
 *
 * Rule L2: the CPUs of the affinity mask, or the smallest quota of all cgroup levels rounded up,
 * never 0. The quota is read from trees of files made here. */
#include "support/test.h"

#include "base/cpu.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char tree[PATH_MAX];

static void create_tree(void) {
    snprintf(tree, sizeof tree, "/tmp/asynctools_cpu_XXXXXX");
    cr_assert_not_null(mkdtemp(tree));
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where) {
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static void remove_tree(void) {
    nftw(tree, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(cpu_quota, .init = create_tree, .fini = remove_tree);

/* Writes a file of the tree with the directories above it. */
static void write_file(const char *name, const char *text) {
    char path[2 * PATH_MAX];
    snprintf(path, sizeof path, "%s%s", tree, name);
    for (char *slash = strchr(path + strlen(tree) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        cr_assert(mkdir(path, 0700) == 0 || errno == EEXIST, "%s", path);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    fputs(text, file);
    fclose(file);
}

#define V2_MOUNT "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT                                                                                   \
    "36 24 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
#define OTHER_MOUNTS                                                                               \
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"                                      \
    "24 22 0:21 / /sys rw,nosuid shared:7 master:2 - sysfs sysfs rw\n"                             \
    "37 24 0:32 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"

static void write_v2(const char *place) {
    char line[PATH_MAX];
    snprintf(line, sizeof line, "0::%s\n", place);
    write_file("/proc/self/cgroup", line);
    write_file("/proc/self/mountinfo", OTHER_MOUNTS V2_MOUNT);
}

static void write_v1(const char *place) {
    char lines[PATH_MAX];
    snprintf(lines, sizeof lines, "5:cpuset:/elsewhere\n4:cpu,cpuacct:%s\n1:name=systemd:/\n",
             place);
    write_file("/proc/self/cgroup", lines);
    write_file("/proc/self/mountinfo", OTHER_MOUNTS V1_MOUNT);
}

static void write_quota_v1(const char *directory, const char *quota, const char *period) {
    char name[PATH_MAX];
    snprintf(name, sizeof name, "/sys/fs/cgroup/cpu,cpuacct%s/cpu.cfs_quota_us", directory);
    write_file(name, quota);
    snprintf(name, sizeof name, "/sys/fs/cgroup/cpu,cpuacct%s/cpu.cfs_period_us", directory);
    write_file(name, period);
}

/* Rule L2: the minimum, wherever in the tree it is. */
Test(cpu_quota, inner_level_is_the_smallest) {
    write_v2("/a/b/c");
    write_file("/sys/fs/cgroup/a/cpu.max", "800000 100000\n");
    write_file("/sys/fs/cgroup/a/b/cpu.max", "600000 100000\n");
    write_file("/sys/fs/cgroup/a/b/c/cpu.max", "300000 100000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), 3);
}

Test(cpu_quota, outer_level_is_the_smallest) {
    write_v2("/a/b/c");
    write_file("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    write_file("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    write_file("/sys/fs/cgroup/a/b/c/cpu.max", "1600000 100000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), 2);
}

Test(cpu_quota, middle_level_is_the_smallest) {
    write_v2("/a/b/c");
    write_file("/sys/fs/cgroup/a/cpu.max", "900000 100000\n");
    write_file("/sys/fs/cgroup/a/b/cpu.max", "500000 100000\n");
    write_file("/sys/fs/cgroup/a/b/c/cpu.max", "700000 100000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), 5);
}

/* A container's own namespace: the limit stands at the mount point itself. */
Test(cpu_quota, mount_point_counts) {
    write_v2("/");
    write_file("/sys/fs/cgroup/cpu.max", "400000 100000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), 4);
}

Test(cpu_quota, mount_point_counts_below_levels) {
    write_v2("/a/b");
    write_file("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    write_file("/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), 2);
}

Test(cpu_quota, what_is_above_the_mount_point_does_not_count) {
    write_v2("/a");
    write_file("/sys/fs/cpu.max", "100000 100000\n");
    write_file("/sys/fs/cgroup/a/cpu.max", "400000 100000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), 4);
}

Test(cpu_quota, siblings_do_not_count) {
    write_v2("/a/b");
    write_file("/sys/fs/cgroup/a/c/cpu.max", "100000 100000\n");
    write_file("/sys/fs/cgroup/a/bb/cpu.max", "100000 100000\n");
    write_file("/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), 4);
}

/* Rule L2: rounded up, never 0; the smallest ratio, not the smallest quota. */
Test(cpu_quota, fractions_are_rounded_up) {
    static const struct {
        const char *text;
        int count;
    } cases[] = {
        {"1000 100000\n", 1},   {"99999 100000\n", 1},    {"100000 100000\n", 1},
        {"100001 100000\n", 2}, {"150000 100000\n", 2},   {"250000 100000\n", 3},
        {"50000 10000\n", 5},   {"1000000 1000000\n", 1}, {"100000 100000", 1},
    };
    write_v2("/a");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file("/sys/fs/cgroup/a/cpu.max", cases[i].text);
        cr_expect_eq(ati_cpu_count_quota(tree), cases[i].count, "%s", cases[i].text);
    }
}

Test(cpu_quota, ratio_counts_not_quota) {
    write_v2("/a/b");
    write_file("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    write_file("/sys/fs/cgroup/a/b/cpu.max", "50000 10000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), 2);
}

Test(cpu_quota, max_is_none) {
    write_v2("/a");
    write_file("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), INT_MAX);
}

/* Garbage at one level neither counts nor hides the others. */
Test(cpu_quota, garbage_is_passed_over) {
    static const char *const texts[] = {
        "",
        "\n",
        "100000\n",
        "100000 \n",
        " 100000 100000\n",
        "-1 100000\n",
        "0 100000\n",
        "100000 0\n",
        "100000 -5\n",
        "1e5 100000\n",
        "100000 100000 x\n",
        "100000,100000\n",
        "99999999999999999999999 1\n",
        "1 99999999999999999999999\n",
        "\xff\xfe\n",
        "maximum\n",
    };
    write_v2("/a/b");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_file("/sys/fs/cgroup/a/b/cpu.max", texts[i]);
        write_file("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
        cr_expect_eq(ati_cpu_count_quota(tree), INT_MAX, "%s", texts[i]);
        write_file("/sys/fs/cgroup/a/cpu.max", "700000 100000\n");
        cr_expect_eq(ati_cpu_count_quota(tree), 7, "%s", texts[i]);
    }
}

Test(cpu_quota, quota_beyond_an_int_is_held_there) {
    write_v2("/a");
    write_file("/sys/fs/cgroup/a/cpu.max", "9223372036854775807 1\n");
    cr_assert_eq(ati_cpu_count_quota(tree), INT_MAX);
}

Test(cpu_quota, nothing_there_is_no_quota) {
    cr_expect_eq(ati_cpu_count_quota(tree), INT_MAX);
    write_file("/proc/self/cgroup", "0::/a\n");
    cr_expect_eq(ati_cpu_count_quota(tree), INT_MAX);
    write_file("/proc/self/mountinfo", OTHER_MOUNTS V2_MOUNT);
    cr_expect_eq(ati_cpu_count_quota(tree), INT_MAX);
}

Test(cpu_quota, lines_of_garbage_are_passed_over) {
    write_file("/proc/self/cgroup", "\n:\n::\nx\n0:\n0::relative\n0::/a\n7:hugetlb:/b\n");
    write_file("/proc/self/mountinfo", "\n - \n1\n1 2 3 - cgroup2\n - cgroup2 cgroup2 rw\n"
                                       "1 2 3 / /x rw - cgroup2\n" V2_MOUNT "35 24 0:30 /");
    write_file("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), 3);
}

Test(cpu_quota, overlong_lines_are_passed_over) {
    enum { length = 50000 };
    char *text = malloc(length + 4 * PATH_MAX);
    cr_assert_not_null(text);
    memset(text, 'x', length);
    strcpy(text + length, "\n" V2_MOUNT);
    write_file("/proc/self/mountinfo", text);
    strcpy(text + length, ":cpu:/b\n0::/a");
    write_file("/proc/self/cgroup", text);
    free(text);
    write_file("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), 3);
}

/* A path as long as a path can be is no overflow, only a level that cannot be read. */
Test(cpu_quota, long_places_are_passed_over) {
    char place[6000];
    write_file("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    for (size_t length = 3900; length < 4200; length++) {
        memset(place, 'x', length);
        place[0] = '/';
        place[length] = '\0';
        write_v2(place);
        int count = ati_cpu_count_quota(tree);
        cr_expect(count == 3 || count == INT_MAX);
    }
}

/* A container without a namespace of its own sees a part of the hierarchy. */
Test(cpu_quota, root_of_the_mount_is_taken_off) {
    write_file("/proc/self/cgroup", "0::/docker/one/inner\n");
    write_file("/proc/self/mountinfo",
               "35 24 0:30 /docker/one /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    write_file("/sys/fs/cgroup/inner/cpu.max", "500000 100000\n");
    cr_expect_eq(ati_cpu_count_quota(tree), 5);
    write_file("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    cr_expect_eq(ati_cpu_count_quota(tree), 3);
}

Test(cpu_quota, mount_of_another_cgroup_does_not_count) {
    write_file("/proc/self/cgroup", "0::/docker/oneself\n");
    write_file("/proc/self/mountinfo",
               "35 24 0:30 /docker/one /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    write_file("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    write_file("/sys/fs/cgroup/self/cpu.max", "300000 100000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), INT_MAX);
}

Test(cpu_quota, mount_from_above_the_namespace) {
    write_file("/proc/self/cgroup", "0::/inner\n");
    write_file("/proc/self/mountinfo",
               "35 24 0:30 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    write_file("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    write_file("/sys/fs/cgroup/inner/cpu.max", "100000 100000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), 3);
}

Test(cpu_quota, cgroup_outside_the_namespace_is_not_looked_for) {
    write_v2("/../other");
    write_file("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    write_file("/sys/fs/other/cpu.max", "100000 100000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), INT_MAX);
}

Test(cpu_quota, escaped_mount_points_and_colons_in_places) {
    write_file("/proc/self/cgroup", "0::/a:b\n");
    write_file("/proc/self/mountinfo",
               "35 24 0:30 / /my\\040cgroups\\134x rw - cgroup2 cgroup2 rw\n");
    write_file("/my cgroups\\x/a:b/cpu.max", "300000 100000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), 3);
}

Test(cpu_quota, several_mounts_of_one_hierarchy) {
    write_file("/proc/self/cgroup", "0::/a\n");
    write_file("/proc/self/mountinfo",
               V2_MOUNT "40 24 0:30 /a /elsewhere rw - cgroup2 cgroup2 rw\n");
    write_file("/sys/fs/cgroup/a/cpu.max", "600000 100000\n");
    write_file("/elsewhere/cpu.max", "200000 100000\n");
    cr_assert_eq(ati_cpu_count_quota(tree), 2);
}

Test(cpu_quota, first_version_walks_all_levels) {
    write_v1("/a/b");
    write_quota_v1("", "-1\n", "100000\n");
    write_quota_v1("/a", "250000\n", "100000\n");
    write_quota_v1("/a/b", "400000\n", "100000\n");
    cr_expect_eq(ati_cpu_count_quota(tree), 3);
    write_quota_v1("/a/b", "10000\n", "100000\n");
    cr_expect_eq(ati_cpu_count_quota(tree), 1);
    write_quota_v1("/a/b", "-1\n", "100000\n");
    write_quota_v1("/a", "-1\n", "100000\n");
    cr_expect_eq(ati_cpu_count_quota(tree), INT_MAX);
}

Test(cpu_quota, first_version_garbage_is_passed_over) {
    write_v1("/a/b");
    write_quota_v1("/a", "200000\n", "100000\n");
    write_quota_v1("/a/b", "100000\n", "garbage\n");
    cr_expect_eq(ati_cpu_count_quota(tree), 2);
    write_quota_v1("/a/b", "100000 1\n", "100000\n");
    cr_expect_eq(ati_cpu_count_quota(tree), 2);
    write_quota_v1("/a/b", "0\n", "100000\n");
    cr_expect_eq(ati_cpu_count_quota(tree), 2);
    write_quota_v1("/a/b", "100000\n", "0\n");
    cr_expect_eq(ati_cpu_count_quota(tree), 2);
}

/* Both versions side by side: whichever of them limits more. */
Test(cpu_quota, both_versions_side_by_side) {
    write_file("/proc/self/cgroup", "3:cpuacct,cpu:/a\n0::/a\n");
    write_file("/proc/self/mountinfo",
               V1_MOUNT "41 24 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    write_quota_v1("/a", "400000\n", "100000\n");
    write_file("/sys/fs/cgroup/unified/a/cpu.max", "500000 100000\n");
    cr_expect_eq(ati_cpu_count_quota(tree), 4);
    write_file("/sys/fs/cgroup/unified/a/cpu.max", "200000 100000\n");
    cr_expect_eq(ati_cpu_count_quota(tree), 2);
}

Test(cpu_quota, keeps_errno) {
    errno = 77;
    cr_expect_eq(ati_cpu_count_quota(tree), INT_MAX);
    cr_expect_eq(errno, 77);
    write_v2("/a");
    write_file("/sys/fs/cgroup/a/cpu.max", "99999999999999999999999 1\n");
    errno = 78;
    cr_expect_eq(ati_cpu_count_quota(tree), INT_MAX);
    cr_expect_eq(errno, 78);
}

/* -- Affinity -------------------------------------------------------------------------------- */

static size_t needed_size;
static int set_count;
static int calls;

/* A machine whose masks take `needed_size` bytes. */
static int give_large_mask(pid_t thread, size_t size, cpu_set_t *mask) {
    (void)thread;
    calls++;
    if (size < needed_size) {
        errno = EINVAL;
        return -1;
    }
    CPU_ZERO_S(size, mask);
    for (int i = 0; i < set_count; i++)
        CPU_SET_S((size_t)i * 2, size, mask);
    return 0;
}

static int refuse(pid_t thread, size_t size, cpu_set_t *mask) {
    (void)thread;
    (void)size;
    (void)mask;
    calls++;
    errno = EPERM;
    return -1;
}

/* Rule L2: an affinity mask of any size. */
Test(cpu_affinity, masks_of_any_size) {
    static const size_t sizes[] = {8, 128, 136, 256, 1024, 16384, 1 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        needed_size = sizes[i];
        set_count = (int)needed_size * 4 - 1;
        errno = 77;
        cr_expect_eq(ati_cpu_count_affinity(give_large_mask), set_count, "%zu", needed_size);
        cr_expect_eq(errno, 77);
    }
}

Test(cpu_affinity, a_mask_that_cannot_be_read_counts_nothing) {
    errno = 77;
    cr_expect_eq(ati_cpu_count_affinity(refuse), 0);
    cr_expect_eq(calls, 1);
    needed_size = SIZE_MAX;
    cr_expect_eq(ati_cpu_count_affinity(give_large_mask), 0);
    cr_expect_lt(calls, 100);
    cr_expect_eq(errno, 77);
}

Test(cpu_affinity, one_cpu_allowed_is_one) {
    cpu_set_t before, one;
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &before))
            CPU_SET(cpu, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cr_expect_eq(at_cpu_count(), 1);
    cr_assert_eq(sched_setaffinity(0, sizeof before, &before), 0);
}

Test(cpu, count_is_within_the_machine) {
    errno = 77;
    int count = at_cpu_count();
    cr_expect_eq(errno, 77);
    cr_expect_geq(count, 1);
    cr_expect_leq(count, sysconf(_SC_NPROCESSORS_CONF));
}
