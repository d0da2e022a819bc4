/* SPDX-License-Identifier: MIT
 *
 * Loads the shared library at run time, calls it from two threads, and closes it while one of them
 * still has thread-local state of the library.
 * usage: install_dlopen LIBRARY VERSION */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

typedef const char *version_fn(void);
typedef void *fail_fn(const char *site, int status, const char *format, ...);

static pthread_barrier_t both;
static fail_fn *fail;

static void *find(void *library, const char *name) {
    void *address = dlsym(library, name);
    if (!address)
        fprintf(stderr, "%s is not exported\n", name);
    return address;
}

/* Fills the error slot of this thread, then outlives dlclose. */
static void *use_thread_local_state(void *unused) {
    (void)unused;
    fail("main.c:1\0", -1, "of thread %d", 2);
    pthread_barrier_wait(&both);
    pthread_barrier_wait(&both);
    return NULL;
}

int main(int argument_count, char **arguments) {
    if (argument_count != 3)
        return 2;
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    version_fn *version;
    void *address = find(library, "at_version");
    memcpy(&version, &address, sizeof(version));
    address = find(library, "at_fail_at");
    memcpy(&fail, &address, sizeof(fail));
    if (!version || !fail || strcmp(version(), arguments[2]) != 0)
        return 1;

    pthread_t thread;
    pthread_barrier_init(&both, NULL, 2);
    if (pthread_create(&thread, NULL, use_thread_local_state, NULL) != 0)
        return 1;
    pthread_barrier_wait(&both);
    int closed = dlclose(library);
    pthread_barrier_wait(&both);
    pthread_join(thread, NULL);
    return closed == 0 ? 0 : 1;
}
