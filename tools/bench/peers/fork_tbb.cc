/* SPDX-License-Identifier: MIT */
#include "fork_programs.h"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_invoke.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

namespace {

/* The thread that enters is one of the workers. */
struct tbb_pool {
    explicit tbb_pool(int workers)
        : control(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(workers)),
          arena(workers, 1) {
        arena.initialize();
    }
    tbb::global_control control;
    tbb::task_arena arena;
};

void *create(int workers) {
    return new tbb_pool(workers);
}

void destroy(void *pool) {
    delete static_cast<tbb_pool *>(pool);
}

struct tbb_base {
    template <class function> static void enter(void *pool, const function &body) {
        static_cast<tbb_pool *>(pool)->arena.execute(body);
    }

    template <class function> static void loop(void *pool, int64_t count, const function &turn) {
        enter(pool, [&turn, count] { tbb::parallel_for(int64_t(0), count, turn); });
    }
};

struct tbb_group : tbb_base {
    template <class first, class second> static void pair(const first &left, const second &right) {
        tbb::task_group group;
        group.run(left);
        right();
        group.wait();
    }

    template <class function> static void each(int count, const function &turn) {
        tbb::task_group group;
        for (int i = 0; i < count - 1; i++)
            group.run([&turn, i] { turn(i); });
        if (count > 0)
            turn(count - 1);
        group.wait();
    }
};

struct tbb_parallel : tbb_base {
    template <class first, class second> static void pair(const first &left, const second &right) {
        tbb::parallel_invoke(left, right);
    }

    template <class function> static void each(int count, const function &turn) {
        tbb::parallel_for(0, count, turn);
    }
};

} // namespace

extern "C" const struct fork_peer fork_tbb_group =
    fork_programs<tbb_group>::make_peer("oneTBB task_group", create, destroy);
extern "C" const struct fork_peer fork_tbb_parallel =
    fork_programs<tbb_parallel>::make_peer("oneTBB parallel_invoke", create, destroy);
