/* SPDX-License-Identifier: MIT */
#include "fork_programs.h"

#include <cstdlib>
#include <omp.h>

namespace {

/* A team is formed for each program and has the thread that enters in it. */
void *create(int workers) {
    return new int(workers);
}

void destroy(void *pool) {
    delete static_cast<int *>(pool);
}

struct openmp {
    template <class first, class second> static void pair(const first &left, const second &right) {
#pragma omp task shared(left)
        left();
        right();
#pragma omp taskwait
    }

    template <class function> static void each(int count, const function &turn) {
        for (int i = 0; i < count - 1; i++) {
#pragma omp task shared(turn) firstprivate(i)
            turn(i);
        }
        if (count > 0)
            turn(count - 1);
#pragma omp taskwait
    }

    template <class function> static void loop(void *pool, int64_t count, const function &turn) {
#pragma omp parallel for num_threads(*static_cast <int *>(pool)) schedule(dynamic)
        for (int64_t i = 0; i < count; i++)
            turn(i);
    }

    template <class function> static void enter(void *pool, const function &body) {
#pragma omp parallel num_threads(*static_cast <int *>(pool))
#pragma omp single
        body();
    }
};

} // namespace

extern "C" const struct fork_peer fork_openmp =
    fork_programs<openmp>::make_peer("OpenMP tasks", create, destroy);
