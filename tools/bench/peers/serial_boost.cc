/* SPDX-License-Identifier: MIT */
#include "serial.h"

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <unordered_map>

namespace asio = boost::asio;

namespace {

using strand = asio::strand<asio::thread_pool::executor_type>;

/* A strand for each key, which is never forgotten. */
struct boost_serial {
    explicit boost_serial(int workers) : pool(static_cast<std::size_t>(workers)) {
    }
    asio::thread_pool pool;
    std::unordered_map<long, strand> strands;
};

void *create(int workers) {
    return new boost_serial(workers);
}

void submit(void *pool, long key, peer_run_fn run, void *argument) {
    auto *serial = static_cast<boost_serial *>(pool);
    auto found = serial->strands.find(key);
    if (found == serial->strands.end())
        found = serial->strands.emplace(key, strand(serial->pool.get_executor())).first;
    asio::post(found->second, [run, argument] { run(argument); });
}

void destroy(void *pool) {
    auto *serial = static_cast<boost_serial *>(pool);
    serial->pool.join();
    delete serial;
}

struct serial_peer make() {
    struct serial_peer made = {};
    made.name = "boost.asio strand";
    made.create = create;
    made.submit = submit;
    made.destroy = destroy;
    return made;
}

} // namespace

extern "C" const struct serial_peer serial_boost = make();
