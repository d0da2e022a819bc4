/* SPDX-License-Identifier: MIT */
#include "log.h"

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

/* The threads end when they have written what is in the queue; the file is closed with its sink. */
bool close_logger() {
    writers.reset();
    logger.reset();
    return true;
}

struct log_peer make() {
    struct log_peer made = {};
    made.name = "spdlog async";
    made.open = open_logger;
    made.write = write_line;
    made.close = close_logger;
    made.skip = skip_lines;
    return made;
}

} // namespace

extern "C" const struct log_peer log_spdlog = make();
