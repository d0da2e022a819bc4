/* SPDX-License-Identifier: MIT
 *
 * Operations in C++ (rules O1, O2): the class ends with its block, whatever the way out. */
#include "support/apart.h"

#include <asynctools/asynctools.h>
#include <asynctools/operation.hpp>

#include <cstring>
#include <jansson.h>
#include <stdexcept>
#include <string>

static at_logger *logger;

/* The member of the only line with that event, "(none)" without it. */
static std::string member(const char *event, const char *key) {
    plain_check(at_logger_flush(logger, AT_FOREVER) == AT_OK);
    char *lines = nullptr;
    plain_check(at_logger_memory_lines(logger, &lines) == AT_OK);
    std::string found = "(no line)";
    for (const char *line = lines; *line != '\0'; line = std::strchr(line, '\n') + 1) {
        json_t *object =
            json_loadb(line, std::strcspn(line, "\n"), JSON_REJECT_DUPLICATES, nullptr);
        plain_check(object != nullptr);
        if (std::strcmp(json_string_value(json_object_get(object, "event")), event) == 0) {
            plain_check(found == "(no line)");
            char *value = json_dumps(json_object_get(object, key), JSON_ENCODE_ANY);
            found = value ? value : "(none)";
            free(value);
        }
        json_decref(object);
    }
    at_logger_memory_release(lines);
    return found;
}

static int return_early() {
    at::operation operation("returned", {}, {at_kv("shard", 7), at_kv("user", "ann")});
    operation.add(at_kv("rows", 3), at_kv("ratio", 0.5));
    plain_check(at_operation_current() == operation);
    at_log_info(logger, "inside");
    return at_operation_id(operation) != 0 ? 7 : 0;
}

static void check_return() {
    plain_check(return_early() == 7);
    plain_check(at_operation_current() == nullptr);
    plain_check(member("inside", "operation") == "\"returned\"");
    plain_check(member("inside", "shard") == "7");
    plain_check(member("returned.completed", "rows") == "3");
    plain_check(member("returned.completed", "outcome") == "\"ok\"");
}

static void throw_inside(const char *name) {
    at::operation operation(name);
    at::operation inner("inner_of_thrown");
    throw std::runtime_error("on purpose");
}

/* An exception that leaves the block counts; one that is caught inside, or under way outside, does
 * not. */
struct cleaner {
    ~cleaner() {
        at::operation operation("while_unwinding");
    }
};

static void check_exceptions() {
    try {
        throw_inside("thrown");
    } catch (const std::runtime_error &) {
        plain_check(at_operation_current() == nullptr);
    }
    plain_check(member("thrown.failed", "outcome") == "\"error\"");
    plain_check(member("inner_of_thrown.failed", "level") == "\"error\"");
    {
        at::operation operation("caught");
        try {
            cleaner last;
            throw std::runtime_error("on purpose");
        } catch (const std::runtime_error &) {
        }
    }
    plain_check(member("caught.completed", "outcome") == "\"ok\"");
    plain_check(member("while_unwinding.completed", "outcome") == "\"ok\"");
}

static void check_outcomes() {
    try {
        at::operation operation("said_before");
        operation.success(at_kv("count", 1));
        throw std::runtime_error("too late");
    } catch (const std::runtime_error &) {
    }
    plain_check(member("said_before.completed", "count") == "1");
    {
        at::operation operation("said_so");
        operation.error(nullptr, at_kv("reason", "said so"));
    }
    plain_check(member("said_so.failed", "reason") == "\"said so\"");
    {
        at::operation operation("partly");
        operation.set_outcome(AT_OPERATION_DEGRADED);
    }
    plain_check(member("partly.completed", "level") == "\"warn\"");
    at_operation_options options = {};
    options.start_level = AT_LOG_OFF;
    {
        at::operation operation("in_flight", options);
        (void)at_fail(AT_ERROR_FULL, "no room");
    }
    at_error_clear();
    plain_check(member("in_flight.failed", "outcome") == "\"rejected\"");
    plain_check(member("in_flight.started", "event") == "(no line)");
}

static void *replace_error() {
    at::operation operation("replaced");
    at_error_clear();
    return at_fail(AT_ERROR_IO, "of the same size");
}

/* The allocator gives the memory of one error to the next: they are not the same for that. */
static void check_replaced_error() {
    (void)at_fail(AT_ERROR_IO, "of the same size");
    plain_check(replace_error() == AT_FAILED);
    at_error_clear();
    plain_check(member("replaced.failed", "outcome") == "\"error\"");
}

static void count(void *number) {
    ++*static_cast<int *>(number);
}

static void *throw_in_task(void *deferred) {
    try {
        at::operation operation("in_task");
        plain_check(at_defer(operation, count, deferred) == AT_OK);
        throw std::runtime_error("on purpose");
    } catch (const std::runtime_error &) {
    }
    plain_check(at_operation_current() == nullptr);
    return deferred;
}

static void check_task() {
    at_pool *pool = nullptr;
    int deferred = 0;
    plain_check(at_pool_create(&pool, nullptr) == AT_OK);
    at_future *future = at_pool_submit(pool, throw_in_task, &deferred);
    plain_check(at_future_wait(future, AT_FOREVER, nullptr) == AT_OK);
    at_future_release(future);
    at_pool_destroy(pool);
    plain_check(deferred == 1);
    plain_check(member("in_task.failed", "outcome") == "\"error\"");
}

int main() {
    at_logger_options options = {};
    options.memory_bytes = 1 << 16;
    options.level = AT_LOG_DEBUG;
    plain_check(at_logger_create(&logger, &options) == AT_OK);
    at_logger_set_default(logger);
    check_return();
    check_exceptions();
    check_outcomes();
    check_replaced_error();
    check_task();
    at_logger_set_default(nullptr);
    at_logger_destroy(logger);
    return 0;
}
