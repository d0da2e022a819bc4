/* SPDX-License-Identifier: MIT
 *
 * Rule L1: the allocator is the process's; rule H0: being without memory is a status. */
#include "support/fault.h"
#include "support/test.h"

#include "base/frame.h"
#include "base/memory.h"

#include <asynctools/error.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int allocate_calls;
static int release_calls;
static size_t last_size;
static size_t last_alignment;
static void *last_context;

static void *allocate(void *context, size_t size, size_t alignment) {
    allocate_calls++;
    last_context = context;
    last_size = size;
    last_alignment = alignment;
    return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void release(void *context, void *pointer, size_t size) {
    release_calls++;
    last_context = context;
    last_size = size;
    free(pointer);
}

/* Everything goes through the allocator that was set, with the same size both ways. */
Test(memory, goes_through_the_allocator_that_was_set) {
    int context;
    at_allocator allocator = {allocate, release, &context};
    cr_assert_eq(at_allocator_set(&allocator), AT_OK);
    memset(&allocator, 0, sizeof allocator); /* it was copied */
    void *pointer = ati_allocate(100);
    cr_assert_not_null(pointer);
    cr_expect_eq(allocate_calls, 1);
    cr_expect_eq(last_size, 100);
    cr_expect_eq(last_alignment, _Alignof(max_align_t));
    cr_expect_eq(last_context, &context);
    last_context = NULL;
    ati_release(pointer, 100);
    cr_expect_eq(release_calls, 1);
    cr_expect_eq(last_size, 100);
    cr_expect_eq(last_context, &context);
    ati_release(NULL, 100);
    cr_expect_eq(release_calls, 1);
}

Test(memory, null_sets_malloc_again) {
    at_allocator allocator = {allocate, release, NULL};
    cr_assert_eq(at_allocator_set(&allocator), AT_OK);
    cr_assert_eq(at_allocator_set(NULL), AT_OK);
    ati_release(ati_allocate(10), 10);
    cr_expect_eq(allocate_calls, 0);
}

/* Rule H00: bad values are a status, the slot names the member. */
Test(memory, allocator_without_a_function_is_invalid) {
    at_allocator allocator = {NULL, release, NULL};
    cr_expect_eq(at_allocator_set(&allocator), AT_ERROR_INVALID);
    cr_expect_not_null(strstr(at_error_message(at_error_last()), "allocate"));
}

Test(memory, allocator_without_release_is_invalid) {
    at_allocator allocator = {allocate, NULL, NULL};
    cr_expect_eq(at_allocator_set(&allocator), AT_ERROR_INVALID);
    cr_expect_not_null(strstr(at_error_message(at_error_last()), "release"));
    cr_expect_eq(allocate_calls, 0);
}

Test(memory, allocator_cannot_change_once_in_use) {
    at_allocator allocator = {allocate, release, NULL};
    void *pointer = ati_allocate(1);
    cr_expect_eq(at_allocator_set(&allocator), AT_ERROR_INVALID);
    cr_expect_eq(at_error_status(at_error_last()), AT_ERROR_INVALID);
    cr_expect_eq(at_allocator_set(NULL), AT_ERROR_INVALID);
    ati_release(pointer, 1);
    cr_expect_eq(release_calls, 0);
}

/* Rule H0: a failed library call writes the slot, and puts nothing in flight. */
Test(memory, failing_to_set_it_is_not_in_flight) {
    at_allocator allocator = {NULL, NULL, NULL};
    cr_expect_eq(at_allocator_set(&allocator), AT_ERROR_INVALID);
    cr_expect_not(ati_frame_current()->in_flight);
    ati_release(ati_allocate(1), 1);
    cr_expect_eq(at_allocator_set(NULL), AT_ERROR_INVALID);
    cr_expect_not(ati_frame_current()->in_flight);
}

Test(memory, alignment_and_zeros) {
    for (size_t alignment = 1; alignment <= 4096; alignment *= 2)
        for (size_t size = 1; size < 200; size += 33) {
            char *pointer = ati_allocate_aligned(size, alignment);
            cr_assert_not_null(pointer);
            cr_expect_eq((uintptr_t)pointer % alignment, 0);
            memset(pointer, 1, size);
            ati_release(pointer, size);
        }
    char *zeroed = ati_allocate_zeroed(1000);
    cr_assert_not_null(zeroed);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(zeroed[i], 0);
    ati_release(zeroed, 1000);
}

/* Absurd sizes are out of memory, at every alignment; nothing wraps around to a small block. */
Test(memory, absurd_sizes_are_out_of_memory) {
    static const size_t alignments[] = {1, 16, 64, 4096};
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++)
        for (size_t less = 0; less < 100; less += 11) {
            volatile size_t size = SIZE_MAX - less;
            cr_expect_null(ati_allocate_aligned(size, alignments[i]), "%zu", alignments[i]);
        }
}

Test(memory, copies_of_text) {
    fault_install();
    char *copy = ati_copy_text("some text");
    cr_assert_not_null(copy);
    cr_expect_str_eq(copy, "some text");
    cr_expect_eq(fault_usage().bytes, 10);
    ati_release_text(copy);
    copy = ati_copy_text("");
    cr_expect_str_eq(copy, "");
    ati_release_text(copy);
    ati_release_text(NULL);
    cr_expect_eq(fault_usage().blocks, 0);
}

/* Rule H0: no memory is NULL, not an abort. */
Test(memory, without_memory_there_is_null) {
    fault_install();
    fault_arm_from(fault_memory, 1);
    cr_expect_null(ati_allocate(1));
    cr_expect_null(ati_allocate_zeroed(1));
    cr_expect_null(ati_allocate_aligned(64, 64));
    cr_expect_null(ati_copy_text("text"));
    fault_disarm();
    cr_expect_eq(fault_count(), 4);
    cr_expect_eq(fault_usage().blocks, 0);
}
