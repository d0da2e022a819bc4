/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <memory>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

namespace {

/* One more than the workers: oneTBB counts a thread that submits as one of them. */
struct tbb_pool {
    explicit tbb_pool(int workers)
        : control(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(workers) + 1),
          arena(workers + 1, 1) {
        arena.initialize();
    }
    tbb::global_control control;
    tbb::task_arena arena;
    tbb::task_group group;
};

void *create(int workers) {
    return new tbb_pool(workers);
}

void submit_to_group(void *pool, peer_run_fn run, void *argument) {
    static_cast<tbb_pool *>(pool)->group.run([run, argument] { run(argument); });
}

/* The waiting thread may run the task itself. */
void round_trip_in_group(void *pool, peer_run_fn run, void *argument) {
    submit_to_group(pool, run, argument);
    static_cast<tbb_pool *>(pool)->group.wait();
}

void enqueue(void *pool, peer_run_fn run, void *argument) {
    static_cast<tbb_pool *>(pool)->arena.enqueue([run, argument] { run(argument); });
}

void destroy(void *pool) {
    auto *self = static_cast<tbb_pool *>(pool);
    self->group.wait();
    delete self;
}

struct peer make_group() {
    struct peer made = {};
    made.name = "oneTBB task_group";
    made.create = create;
    made.submit = submit_to_group;
    made.waits_by_running = true;
    made.round_trip = round_trip_in_group;
    made.destroy = destroy;
    return made;
}

struct peer make_enqueue() {
    struct peer made = {};
    made.name = "oneTBB enqueue";
    made.create = create;
    made.submit = enqueue;
    made.destroy = destroy;
    return made;
}

} // namespace

extern "C" const struct peer peer_tbb_group = make_group();
extern "C" const struct peer peer_tbb_enqueue = make_enqueue();
