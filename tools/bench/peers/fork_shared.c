/* SPDX-License-Identifier: MIT */
#include "fork.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>

/* The library once more, as most programs have it: shared. The programs of fork_library.c and the
 * shared library come in a module, for at-bench itself is linked with the static one, and neither
 * may take the other's functions. */

static const struct fork_peer *module;

static void load_module(void) {
    if (module)
        return;
    void *file = dlopen(PEER_SHARED_MODULE, RTLD_NOW | RTLD_LOCAL);
    if (file)
        module = dlsym(file, "fork_library");
    if (!module)
        fprintf(stderr, "at-bench: %s\n", dlerror());
}

static void *create(int workers) {
    load_module();
    return module ? module->create(workers) : NULL;
}

static void destroy(void *pool) {
    module->destroy(pool);
}

static int64_t run_fibonacci(void *pool, const struct fork_work *work) {
    return module->programs[FORK_FIBONACCI](pool, work);
}

static int64_t run_skynet(void *pool, const struct fork_work *work) {
    return module->programs[FORK_SKYNET](pool, work);
}

const struct fork_peer fork_shared = {
    .name = "asynctools, shared library",
    .is_library = true,
    .create = create,
    .destroy = destroy,
    .programs = {[FORK_FIBONACCI] = run_fibonacci, [FORK_SKYNET] = run_skynet},
};
