/* SPDX-License-Identifier: MIT */
#include "packaged.h"

extern "C" {
#include "plain_pool.h"
}

#include <cstdlib>
#include <future>
#include <vector>

namespace {

using packaged = std::packaged_task<void *()>;

void *run_packaged(void *argument) {
    auto *task = static_cast<packaged *>(argument);
    (*task)();
    delete task;
    return nullptr;
}

} // namespace

void packaged_run_batch(void *plain_pool, peer_run_fn run, int count) {
    auto *pool = static_cast<struct plain_pool *>(plain_pool);
    std::vector<std::future<void *>> futures;
    futures.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; i++) {
        auto *task = new packaged([run] { return run(nullptr); });
        futures.push_back(task->get_future());
        if (plain_pool_submit(pool, run_packaged, task) != 0)
            std::abort();
    }
    for (auto &future : futures)
        future.get();
}
