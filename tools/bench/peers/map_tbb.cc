/* SPDX-License-Identifier: MIT */
#include "map.h"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <vector>

namespace {

/* The thread that calls is one of the workers. */
struct tbb_map {
    tbb_map(int workers, std::size_t count)
        : control(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(workers)),
          results(count) {
    }
    tbb::global_control control;
    std::vector<void *> results;
};

void *create(int workers, std::size_t count) {
    return new tbb_map(workers, count);
}

template <typename partitioner>
void call_all(void *pool, peer_run_fn run, char *items, std::size_t count) {
    void **results = static_cast<tbb_map *>(pool)->results.data();
    tbb::parallel_for(
        tbb::blocked_range<std::size_t>(0, count),
        [=](const tbb::blocked_range<std::size_t> &range) {
            for (std::size_t i = range.begin(); i != range.end(); i++)
                results[i] = run(items + i);
        },
        partitioner());
}

void destroy(void *pool) {
    delete static_cast<tbb_map *>(pool);
}

template <typename partitioner> struct map_peer make(const char *name) {
    struct map_peer made = {};
    made.name = name;
    made.create = create;
    made.map = call_all<partitioner>;
    made.destroy = destroy;
    return made;
}

} // namespace

extern "C" const struct map_peer map_tbb_auto =
    make<tbb::auto_partitioner>("oneTBB parallel_for, auto");
extern "C" const struct map_peer map_tbb_simple =
    make<tbb::simple_partitioner>("oneTBB parallel_for, simple");
