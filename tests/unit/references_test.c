/* SPDX-License-Identifier: MIT
 *
 * Owners in one count, users in cells: who gives back the last reference is told, nobody else. */
#include "support/test.h"

#include "base/references.h"

enum { many = 1000 };

static ati_references references;

static bool release(void) {
    return ati_references_release(&references, "release");
}

static void begin(uint32_t cell) {
    ati_references_begin_use(&references, cell);
}

static bool end(uint32_t cell) {
    return ati_references_end_use(&references, cell);
}

Test(references, the_last_owner_is_told) {
    ati_references_init(&references);
    ati_references_retain(&references);
    ati_references_retain(&references);
    cr_expect_not(release());
    cr_expect_not(release());
    cr_expect(release());
}

Test(references, uses_that_have_ended_do_not_count) {
    ati_references_init(&references);
    for (uint32_t i = 0; i < many; i++) {
        begin(i % ATI_REFERENCE_CELLS);
        cr_expect_not(end(i % 3));
    }
    cr_expect(release());
}

/* A cell may go below 0: the sum counts. */
Test(references, a_use_ends_in_another_cell) {
    ati_references_init(&references);
    for (int i = 0; i < many; i++)
        begin(0);
    for (int i = 0; i < many - 1; i++)
        cr_expect_not(end(3));
    cr_expect_not(release());
    cr_expect(end(2));
}

Test(references, an_inner_use_begins_without_an_owner) {
    ati_references_init(&references);
    begin(1);
    cr_expect_not(release());
    for (uint32_t i = 0; i < many; i++) {
        begin(i % ATI_REFERENCE_CELLS);
        cr_expect_not(end(i % 3));
    }
    begin(0);
    cr_expect_not(end(1));
    cr_expect(end(1));
}

Test(references, a_user_becomes_an_owner) {
    ati_references_init(&references);
    begin(0);
    cr_expect_not(release());
    ati_references_retain(&references);
    ati_references_retain(&references);
    cr_expect_not(end(0));
    cr_expect_not(release());
    begin(2);
    cr_expect_not(release());
    cr_expect(end(3));
}
