/* The audit must find what is wrong and say where: every damage is done, named, and undone. */
#include "mm_testing.h"

#include <stdio.h>
#include <string.h>

#include "core/mm/anonymous.h"
#include "core/mm/frames.h"
#include "core/mm/heap.h"
#include "core/mm/internal.h"

#define BASE (2 * GIB)
#define RW (PROT_READ | PROT_WRITE)

/* A parent with two objects, one of them in pieces, and its child, of which some pages are its own. */
static struct space *parent, *child;

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 32 * MIB});
    parent = new_space();
    map(parent, map_at(BASE, 600, RW));
    map(parent, map_at(BASE + 700 * PAGE_SIZE, 100, RW));
    write_pages(parent, BASE, 300, 1);
    protect(parent, BASE + 20 * PAGE_SIZE, 10, PROT_READ);
    child = forked(parent);
    write_pages(child, BASE, 10, 1000);
    write_value(parent, BASE + 700 * PAGE_SIZE, 5);
    write_value(parent, BASE + 550 * PAGE_SIZE, 6); /* in the same table */
    assert_int_equal(space_fill(parent, pages_at(BASE + 710 * PAGE_SIZE, 2), 7, 0), OK);
    (void)read_value(parent, BASE + 750 * PAGE_SIZE); /* the zero page */
    (void)read_value(child, BASE + 50 * PAGE_SIZE);
    assert_audit();
    return 0;
}

/* The audit's finding must contain both texts. */
static void expect_finding(const char *what, const char *where)
{
    struct audit_report report;
    if (mm_audit(&report))
        fail_msg("the audit finds nothing; expected: %s", what);
    if (!strstr(report.text, what) || !strstr(report.text, where))
        fail_msg("the audit says \"%s\", not \"%s\" with \"%s\"", report.text, what, where);
}

static const char *address_text(uint64_t address)
{
    static char text[32];
    snprintf(text, sizeof(text), "0x%llx", (unsigned long long)address);
    return text;
}

static const char *frame_text(const struct frame *frame)
{
    return address_text(frame_phys(frame).value);
}

static struct anonymous *object_at(struct space *space, uint64_t address)
{
    struct region *region = region_of_node(region_tree_find(&space->tree, address));
    assert_non_null(region);
    return CONTAINER_OF(region->object, struct anonymous, object);
}

static struct leaf *leaf_at(struct space *space, uint64_t address)
{
    struct region *region = region_of_node(region_tree_find(&space->tree, address));
    return slot_table_leaf(&object_at(space, address)->table, region_slot(region, address));
}

static uint64_t *slot_at(struct space *space, uint64_t address)
{
    struct region *region = region_of_node(region_tree_find(&space->tree, address));
    return &leaf_at(space, address)->slots[region_slot(region, address) % LEAF_SLOTS];
}

static struct table_place place_at(struct space *space, uint64_t address)
{
    struct table_place place;
    assert_true(page_directory_find(&space->directory, address, &place));
    return place;
}

/* --- frames ------------------------------------------------------------------------------------------ */

static void test_a_leaked_frame(void **state)
{
    (void)state;
    struct audit_report report;
    unsigned long long address = 0;
    mm_debug_leak_frame();
    expect_finding("uses that can be found", "(data)");
    assert_false(mm_audit(&report));
    const char *hex = strstr(report.text, "0x");
    assert_true(hex && sscanf(hex, "%llx", &address) == 1);
    assert_int_equal(frame_of(phys(address))->kind, FRAME_DATA);
    expect_finding("last taken or freed at ...", "(data)");
    frames_give(phys(address));
    assert_audit();
}

static void test_a_wrong_reference_count(void **state)
{
    (void)state;
    struct frame *page = slot_frame(*slot_at(parent, BASE + 2 * PAGE_SIZE));
    page->references++;
    expect_finding("references and", frame_text(page));
    page->references -= 2;
    expect_finding("references and", frame_text(page));
    page->references++;
    struct frame *leaf = leaf_frame(leaf_at(parent, BASE));
    leaf->references++;
    expect_finding("(leaf)", frame_text(leaf));
    leaf->references--;
    assert_audit();
}

static void test_one_frame_in_two_uses(void **state)
{
    (void)state;
    /* Two pages that no entry shows; the lower one is what the audit comes to first. */
    uint64_t *first = slot_at(parent, BASE + 710 * PAGE_SIZE);
    uint64_t *second = slot_at(parent, BASE + 711 * PAGE_SIZE);
    uint64_t *lower = *first < *second ? first : second;
    uint64_t *higher = *first < *second ? second : first;
    uint64_t before = *higher;
    *higher = *lower;
    expect_finding("(data) has 1 references and 2 uses", frame_text(slot_frame(*lower)));
    *higher = before;

    struct table_place place = place_at(parent, BASE);
    struct frame *table = place.table;
    uint64_t slot = *first;
    *first = frame_phys(table).value | SLOT_PRESENT;
    expect_finding("is used as", frame_text(table));
    *first = slot;
    assert_audit();
}

static void test_a_frame_that_is_free_and_in_use(void **state)
{
    (void)state;
    struct frame *page = slot_frame(*slot_at(parent, BASE + 2 * PAGE_SIZE));
    uint64_t number = (uint64_t)(page - frames.entries);
    frames.level[0][number / 64] ^= 1ull << (number % 64);
    expect_finding("in use and in the free list", frame_text(page));
    frames.level[0][number / 64] ^= 1ull << (number % 64);

    page->kind = FRAME_FREE;
    expect_finding("0x", frame_text(page));
    page->kind = FRAME_DATA;
    assert_audit();
}

static void test_a_free_frame_that_cannot_be_found(void **state)
{
    (void)state;
    uint64_t number = 1;
    frames_drain_caches();
    while (!frames_is_free(number))
        number++;
    frames.level[0][number / 64] ^= 1ull << (number % 64);
    expect_finding("is free but in no free list", address_text(number << PAGE_SHIFT));
    frames.level[0][number / 64] ^= 1ull << (number % 64);
    assert_audit();
}

/* --- promises ------------------------------------------------------------------------------------------ */

static void test_a_wrong_promise(void **state)
{
    (void)state;
    assert_int_equal(frames_promise(1), OK);
    expect_finding("frames are promised, but objects are owed", "");
    frames_unpromise(1);
    frames.unpromised++;
    expect_finding("frames are free, but the counts say", "");
    frames.unpromised--;
    object_at(parent, BASE)->live_pages++;
    expect_finding("frames are promised, but objects are owed", "");
    object_at(parent, BASE)->live_pages--;
    assert_audit();
}

/* --- entries ---------------------------------------------------------------------------------------------- */

/* Changes an entry, expects the finding, changes it back. */
static void spoil_entry(entry_t *entry, entry_t wrong, const char *what, const char *where)
{
    entry_t before = *entry;
    *entry = wrong;
    expect_finding(what, where);
    *entry = before;
    assert_audit();
}

static void test_a_writable_shared_page(void **state)
{
    (void)state;
    uint64_t address = BASE + 50 * PAGE_SIZE;
    struct table_place in_child = place_at(child, address);
    spoil_entry(in_child.entry, entry_with_write(*in_child.entry), "a shared page is writable",
                address_text(address));

    /* In the parent the entries have W and the one above has not. */
    struct table_place in_parent = place_at(parent, BASE + 100 * PAGE_SIZE);
    assert_true(entry_is_writable(*in_parent.entry) && !entry_is_writable(*in_parent.upper));
    spoil_entry(in_parent.upper, entry_with_write(*in_parent.upper), "a shared page is writable",
                "0x");
    address = BASE + 750 * PAGE_SIZE;
    struct table_place zero = place_at(parent, address);
    spoil_entry(zero.entry, entry_with_write(*zero.entry), "zero page is writable",
                address_text(address));
}

static void test_entries_that_show_something_else(void **state)
{
    (void)state;
    uint64_t address = BASE + 700 * PAGE_SIZE;
    entry_t *own = place_at(parent, address).entry;
    entry_t *other = place_at(parent, BASE + 30 * PAGE_SIZE).entry;
    spoil_entry(own, *other, "shows another frame", address_text(address));
    address = BASE + 750 * PAGE_SIZE;
    spoil_entry(place_at(parent, address).entry, *other, "where its object has no data",
                address_text(address));
}

static void test_entries_with_rights_that_the_region_has_not(void **state)
{
    (void)state;
    uint64_t address = BASE + 25 * PAGE_SIZE;
    entry_t *entry = place_at(parent, address).entry;
    spoil_entry(entry, *entry | ENTRY_WRITE, "is writable in a region that is not",
                address_text(address));
    spoil_entry(entry, *entry & ~ENTRY_NO_EXEC, "is executable in a region that is not",
                address_text(address));
    spoil_entry(entry, *entry & ~ENTRY_USER, "is not for user mode", address_text(address));
}

static void test_entries_where_nothing_is_mapped(void **state)
{
    (void)state;
    uint64_t address = BASE + 650 * PAGE_SIZE;
    struct table_place place = place_at(parent, address);
    *place.entry = entry_page(mm.zero_page, ENTRY_USER | ENTRY_NO_EXEC, 1);
    place.table->live++;
    expect_finding("is mapped where no region has an object", address_text(address));
    place.table->live--;
    *place.entry = 0;
    assert_audit();
}

static void test_wrong_counts_of_entries_and_tables(void **state)
{
    (void)state;
    struct table_place place = place_at(parent, BASE);
    struct frame *table = place.table;
    table->live++;
    expect_finding("entries and says", frame_text(table));
    table->live--;
    parent->directory.table_count++;
    expect_finding("page tables and says", "");
    parent->directory.table_count--;
    frame_of(parent->directory.root)->live++;
    expect_finding("tables below and says", frame_text(frame_of(parent->directory.root)));
    frame_of(parent->directory.root)->live--;
    assert_audit();
}

static void test_a_mixed_table_that_is_protected_as_a_whole(void **state)
{
    (void)state;
    struct table_place place = place_at(parent, BASE + 700 * PAGE_SIZE);
    assert_ptr_equal(place.table->shows, TABLE_MIXED);
    spoil_entry(place.upper, entry_without_write(*place.upper), "shows several objects",
                frame_text(place.table));
}

static void test_a_table_that_shows_another_leaf(void **state)
{
    (void)state;
    struct table_place place = place_at(parent, BASE + 250 * PAGE_SIZE);
    const void *shown = place.table->shows;
    assert_ptr_equal(shown, leaf_at(parent, BASE + 250 * PAGE_SIZE));
    place.table->shows = leaf_at(parent, BASE + 710 * PAGE_SIZE);
    expect_finding("does not show its leaf", frame_text(place.table));
    place.table->shows = NULL;
    expect_finding("does not show its leaf", frame_text(place.table));
    place.table->shows = shown;
    assert_audit();
}

/* --- regions, objects, heap --------------------------------------------------------------------------------- */

static void test_a_wrong_hole(void **state)
{
    (void)state;
    struct region_node *node = region_tree_find(&parent->tree, BASE + 700 * PAGE_SIZE);
    node->hole += PAGE_SIZE;
    expect_finding("the hole in front of a region is wrong", "region tree");
    node->hole -= PAGE_SIZE;
    parent->tree.root->free += PAGE_SIZE;
    expect_finding("free sum", "region tree");
    parent->tree.root->free -= PAGE_SIZE;
    assert_audit();
}

static void test_a_region_of_another_space(void **state)
{
    (void)state;
    struct region *region = region_of_node(region_tree_find(&parent->tree, BASE));
    region->space = child;
    expect_finding("is in the tree of another space", address_text(BASE));
    region->space = parent;
    assert_audit();
}

static void test_wrong_counts_of_slots(void **state)
{
    (void)state;
    struct frame *leaf = leaf_frame(leaf_at(parent, BASE));
    leaf->live++;
    expect_finding("slots with data and says", frame_text(leaf));
    leaf->live--;
    assert_audit();
}

static void test_a_leaked_heap_object(void **state)
{
    (void)state;
    void *object = heap_alloc(64);
    assert_non_null(object);
    expect_finding("kernel heap", "of which");
    heap_free(object, 64);
    assert_audit();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_leaked_frame),
        cmocka_unit_test(test_a_wrong_reference_count),
        cmocka_unit_test(test_one_frame_in_two_uses),
        cmocka_unit_test(test_a_frame_that_is_free_and_in_use),
        cmocka_unit_test(test_a_free_frame_that_cannot_be_found),
        cmocka_unit_test(test_a_wrong_promise),
        cmocka_unit_test(test_a_writable_shared_page),
        cmocka_unit_test(test_entries_that_show_something_else),
        cmocka_unit_test(test_entries_with_rights_that_the_region_has_not),
        cmocka_unit_test(test_entries_where_nothing_is_mapped),
        cmocka_unit_test(test_wrong_counts_of_entries_and_tables),
        cmocka_unit_test(test_a_mixed_table_that_is_protected_as_a_whole),
        cmocka_unit_test(test_a_table_that_shows_another_leaf),
        cmocka_unit_test(test_a_wrong_hole),
        cmocka_unit_test(test_a_region_of_another_space),
        cmocka_unit_test(test_wrong_counts_of_slots),
        cmocka_unit_test(test_a_leaked_heap_object),
    };
    return cmocka_run_group_tests_name("audit", tests, start, NULL);
}
