/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

namespace {

/* As its documentation shows: a queue of 8,192 lines, one thread, callers wait for room. Texts are
 * not escaped. */
std::shared_ptr<spdlog::details::thread_pool> writers;
std::shared_ptr<spdlog::async_logger> logger;

bool open_logger(const char *path) {
    try {
        auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path, true);
        writers = std::make_shared<spdlog::details::thread_pool>(
            spdlog::details::default_async_q_size, 1);
        logger = std::make_shared<spdlog::async_logger>("bench", sink, writers,
                                                        spdlog::async_overflow_policy::block);
        logger->set_pattern("{\"ts\":\"%Y-%m-%dT%H:%M:%S.%fZ\",\"level\":\"%l\",\"logger\":\"%n\","
                            "%v,\"thread\":\"at-bench/%t\",\"source\":\"%s:%#\"}",
                            spdlog::pattern_time_type::utc);
        return true;
    } catch (const std::exception &) {
        return false;
    }
}

template <spdlog::level::level_enum level> inline void log_fields(long number) {
    SPDLOG_LOGGER_CALL(logger, level,
                       "\"event\":\"{}\",\"request\":{},\"path\":\"{}\",\"bytes\":{},"
                       "\"duration_ms\":{},\"cached\":{}",
                       LOG_EVENT, number, LOG_PATH, log_bytes(number), log_duration(number),
                       log_cached(number));
}

void write_line(long number) {
    log_fields<spdlog::level::warn>(number);
}

void skip_lines(long count) {
    for (long i = 0; i < count; i++) {
        log_fields<spdlog::level::debug>(i);
        log_keep_call();
    }
}

/* An operation as people write it: a clock, a number for its id and two lines. */
template <spdlog::level::level_enum level> inline void log_operation(long number) {
    static std::atomic<std::uint64_t> last_id;
    std::uint64_t id = last_id.fetch_add(1, std::memory_order_relaxed);
    auto start = std::chrono::steady_clock::now();
    SPDLOG_LOGGER_CALL(logger, level,
                       "\"event\":\"" LOG_OPERATION ".started\",\"operation_id\":\"{:016x}\"", id);
    std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    SPDLOG_LOGGER_CALL(logger, level,
                       "\"event\":\"" LOG_OPERATION ".completed\",\"operation_id\":\"{:016x}\","
                       "\"duration_ms\":{},\"request\":{},\"path\":\"{}\",\"bytes\":{}",
                       id, time.count(), number, LOG_PATH, log_bytes(number));
}

void write_operation(long number) {
    log_operation<spdlog::level::warn>(number);
}

void skip_operations(long count) {
    for (long i = 0; i < count; i++) {
        log_operation<spdlog::level::debug>(i);
        log_keep_call();
    }
}

/* The threads end when they have written what is in the queue; the file is closed with its sink. */
bool close_logger() {
    writers.reset();
    logger.reset();
    return true;
}

struct log_peer make() {
    struct log_peer made = {};
    made.name = "spdlog async";
    made.lines = 1;
    made.open = open_logger;
    made.write = write_line;
    made.close = close_logger;
    made.skip = skip_lines;
    return made;
}

struct log_peer make_operation() {
    struct log_peer made = make();
    made.name = "clock and two lines of spdlog";
    made.lines = 2;
    made.write = write_operation;
    made.skip = skip_operations;
    return made;
}

} // namespace

extern "C" const struct log_peer log_spdlog = make();
extern "C" const struct log_peer operation_spdlog = make_operation();
