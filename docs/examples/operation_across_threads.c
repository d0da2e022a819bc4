/* SPDX-License-Identifier: MIT */
/* An operation that begins here and ends elsewhere, and the ids that requests carry. */
#include <asynctools/asynctools.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "expected: %s\n", what);
        exit(1);
    }
}

/* A reply has come, on some thread. */
static void *finish_request(void *request) {
    at_operation *operation = request;
    at_operation_scope scope;
    at_operation_scope_enter(&scope, operation);
    at_log_info(at_operation_logger(operation), "reply.received");
    at_operation_scope_end(&scope);
    at_error *error = NULL;
    if (at_fail_status(AT_ERROR_OVERLOAD, "busy") != AT_OK)
        error = at_error_take();
    /* Full, closed, overloaded: rejected. */
    expect(at_operation_outcome_of(error) == AT_OPERATION_REJECTED, "a rejection");
    at_operation_error(operation, error, at_kv("status_code", 503));
    at_error_release(error);
    at_operation_end(operation);
    return NULL;
}

int main(void) {
    static const char received[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    at_logger *logger;
    at_pool *pool;
    expect(at_logger_create(&logger, &(at_logger_options){.memory_bytes = 65536}) == AT_OK,
           "a logger");
    expect(at_pool_create(&pool, NULL) == AT_OK, "a pool");

    const at_field fields[] = {at_kv("peer", "10.0.0.7")};
    at_operation *operation = at_operation_begin(
        "http_request",
        &(at_operation_options){
            .logger = logger, .traceparent = received, .fields = fields, .field_count = 1});
    const at_field attempt = at_kv("attempt", 1);
    at_operation_add_fields(operation, &attempt, 1);

    /* What a request that we make ourselves says. */
    char header[AT_TRACEPARENT_SIZE];
    at_operation_traceparent(operation, header);
    at_traceparent sent;
    expect(at_traceparent_parse(header, &sent) == AT_OK, "a good header");
    expect(sent.trace_id.high == at_operation_trace_id(operation).high, "the trace of the caller");
    printf("%s: %s, %016" PRIx64 "\n", at_operation_name(operation), header,
           at_operation_id(operation));
    at_traceparent_write(&sent, header);

    /* Work that is cancelled with it. */
    at_token *token = at_token_retain(at_operation_token(operation));
    at_future *future = at_pool_submit(pool, finish_request, operation);
    expect(at_future_wait(future, AT_FOREVER, NULL) == AT_OK, "the end");
    at_future_release(future);
    expect(at_token_reason(token) == AT_CANCEL_NONE, "no cancellation");
    at_token_release(token);

    /* What AT_OPERATION does, by hand. */
    at_operation_scope scope;
    at_operation_scope_begin(&scope, "by_hand", &(at_operation_options){.logger = logger});
    expect(at_operation_current() != NULL, "the operation of this code");
    at_operation_scope_end(&scope);

    at_pool_destroy(pool);
    char *lines;
    expect(at_logger_flush(logger, at_after(AT_SECONDS(30))) == AT_OK, "all lines written");
    expect(at_logger_memory_lines(logger, &lines) == AT_OK, "the lines");
    fputs(lines, stdout);
    expect(strstr(lines, "4bf92f3577b34da6a3ce929d0e0e4736") != NULL, "the trace");
    expect(strstr(lines, at_operation_outcome_name(AT_OPERATION_REJECTED)) != NULL, "rejected");
    at_logger_memory_release(lines);
    at_logger_destroy(logger);
    return 0;
}
