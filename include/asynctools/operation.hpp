/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_OPERATION_HPP
#define ASYNCTOOLS_OPERATION_HPP

#include <asynctools/operation.h>

#include <exception>
#include <initializer_list>

namespace at {

/* A block that is an operation (see operation.h): the variable begins it, and its end ends it.
 *
 *     {
 *         at::operation operation("import", {.timeout = AT_SECONDS(30)}, {at_kv("shard", 7)});
 *         auto rows = read_rows();
 *         operation.add(at_kv("rows", rows.size()));
 *     }
 *
 * A block that is left by an exception has failed, and so has one that is left with an error of
 * at_fail in flight, unless somebody has said how it ended. It converts to the at_operation of the
 * calls of operation.h, NULL without memory.
 *
 * (Designated initializers are C++20; before, options are a variable.) */
class operation {
  public:
    explicit operation(const char *name, const at_operation_options &options = {},
                       std::initializer_list<at_field> fields = {}) noexcept
        : exceptions_(std::uncaught_exceptions()) {
        at_operation_options all = options;
        if (fields.size() > 0) {
            all.fields = fields.begin();
            all.field_count = fields.size();
        }
        at_operation_scope_begin(&scope_, name, &all);
    }

    operation(const operation &) = delete;
    operation &operator=(const operation &) = delete;

    ~operation() {
        if (std::uncaught_exceptions() > exceptions_)
            (void)at_operation_set_outcome(scope_.operation, AT_OPERATION_ERROR, nullptr);
        at_operation_scope_end(&scope_);
    }

    operator at_operation *() const noexcept {
        return scope_.operation;
    }

    /* Metadata: see at_operation_add_fields. */
    template <typename... fields_> void add(const fields_ &...fields) noexcept {
        at_operation_add(scope_.operation, fields...);
    }

    /* How it ends; the first that says so counts. */
    template <typename... fields_> void success(const fields_ &...fields) noexcept {
        at_operation_success(scope_.operation, fields...);
    }
    template <typename... fields_>
    void error(const at_error *error, const fields_ &...fields) noexcept {
        at_operation_error(scope_.operation, error, fields...);
    }
    void set_outcome(at_operation_outcome outcome, const at_error *error = nullptr) noexcept {
        (void)at_operation_set_outcome(scope_.operation, outcome, error);
    }

  private:
    at_operation_scope scope_;
    int exceptions_;
};

} // namespace at

#endif
