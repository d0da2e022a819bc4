/* SPDX-License-Identifier: MIT */
#include "group.h"

#include <algorithm>
#include <memory>
#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

namespace {

struct work {
    peer_run_fn run;
    void *argument;
};

using limited_node = tbb::flow::function_node<work>;

/* One more than the workers: oneTBB counts a thread that submits as one of them. */
struct tbb_group {
    explicit tbb_group(int workers)
        : control(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(workers) + 1) {
    }
    tbb::global_control control;
    std::unique_ptr<tbb::task_arena> arena;
    std::unique_ptr<tbb::flow::graph> graph;
    std::unique_ptr<limited_node> node;
};

void *create(int workers) {
    return new tbb_group(workers);
}

void open_arena(void *pool, const struct group_bounds *bounds) {
    auto *group = static_cast<tbb_group *>(pool);
    /* Its limit is one of threads, and it warns when there are fewer. */
    auto threads = static_cast<long>(
        tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism));
    group->arena =
        std::make_unique<tbb::task_arena>(static_cast<int>(std::min(bounds->running, threads)));
    group->arena->initialize();
}

void enqueue(void *pool, peer_run_fn run, void *argument) {
    static_cast<tbb_group *>(pool)->arena->enqueue([run, argument] { run(argument); });
}

void open_graph(void *pool, const struct group_bounds *bounds) {
    auto *group = static_cast<tbb_group *>(pool);
    group->graph = std::make_unique<tbb::flow::graph>();
    group->node =
        std::make_unique<limited_node>(*group->graph, static_cast<std::size_t>(bounds->running),
                                       [](const work &what) { what.run(what.argument); });
}

void put(void *pool, peer_run_fn run, void *argument) {
    static_cast<tbb_group *>(pool)->node->try_put(work{run, argument});
}

void wait_for_graph(void *pool) {
    static_cast<tbb_group *>(pool)->graph->wait_for_all();
}

void close_graph(void *pool) {
    auto *group = static_cast<tbb_group *>(pool);
    group->node.reset();
    group->graph.reset();
}

void destroy(void *pool) {
    delete static_cast<tbb_group *>(pool);
}

struct group_peer make_arena() {
    struct group_peer made = {};
    made.name = "oneTBB task_arena";
    made.create = create;
    made.open = open_arena;
    made.submit = enqueue;
    made.destroy = destroy;
    return made;
}

struct group_peer make_flow() {
    struct group_peer made = {};
    made.name = "oneTBB function_node";
    made.create = create;
    made.open = open_graph;
    made.submit = put;
    made.join = wait_for_graph;
    made.close = close_graph;
    made.destroy = destroy;
    return made;
}

} // namespace

extern "C" const struct group_peer group_tbb_arena = make_arena();
extern "C" const struct group_peer group_tbb_flow = make_flow();
