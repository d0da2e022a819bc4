/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <concurrentqueue/blockingconcurrentqueue.h>
#include <thread>
#include <vector>

namespace {

struct task {
    peer_run_fn run;
    void *argument;
};

constexpr std::size_t batch_size = 32;

/* A queue and threads that take from it: no pool, but the fastest way to hand work over. */
struct queue_pool {
    moodycamel::BlockingConcurrentQueue<task> queue;
    std::vector<std::thread> threads;
};

void run_worker(queue_pool *pool) {
    moodycamel::ConsumerToken token(pool->queue);
    task batch[batch_size];
    for (;;) {
        std::size_t count = pool->queue.wait_dequeue_bulk(token, batch, batch_size);
        for (std::size_t i = 0; i < count; i++) {
            if (!batch[i].run) {
                /* The others end by the rest of the batch. */
                for (std::size_t k = i + 1; k < count; k++)
                    pool->queue.enqueue(batch[k]);
                return;
            }
            batch[i].run(batch[i].argument);
        }
    }
}

void *create(int workers) {
    auto *pool = new queue_pool;
    for (int i = 0; i < workers; i++)
        pool->threads.emplace_back(run_worker, pool);
    return pool;
}

void submit(void *pool, peer_run_fn run, void *argument) {
    static_cast<queue_pool *>(pool)->queue.enqueue({run, argument});
}

void submit_many(void *pool, peer_run_fn run, char *items, std::size_t count) {
    task tasks[PEER_MANY];
    for (std::size_t i = 0; i < count; i++)
        tasks[i] = {run, items + i};
    static_cast<queue_pool *>(pool)->queue.enqueue_bulk(tasks, count);
}

void destroy(void *pool) {
    auto *self = static_cast<queue_pool *>(pool);
    for (std::size_t i = 0; i < self->threads.size(); i++)
        self->queue.enqueue({nullptr, nullptr});
    for (std::thread &thread : self->threads)
        thread.join();
    delete self;
}

struct peer make_peer() {
    struct peer made = {};
    made.name = "moodycamel queue, threads";
    made.is_beside = true;
    made.create = create;
    made.submit = submit;
    made.submit_many = submit_many;
    made.destroy = destroy;
    return made;
}

} // namespace

extern "C" const struct peer peer_moodycamel = make_peer();
