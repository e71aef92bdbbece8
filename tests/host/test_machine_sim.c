/* The simulated machine: its TLB must be as stubborn as a real one, or it proves nothing. */
#include "testing.h"

#include <string.h>

#include "core/check.h"
#include "core/machine.h"
#include "machine_sim.h"

#define CPUS 4

/* A root with one chain of tables for addresses from BASE on, in boot-time free memory. */
#define BASE 0x40000000ull
#define TABLES (4 * MIB)
#define DATA (6 * MIB)
#define PROGRAM 0x50000000ull
#define SLOTS 0x50001000ull

static phys_t table(unsigned level)
{
    return phys(TABLES + (5 - level) * PAGE_SIZE); /* level 4 is the root */
}

static entry_t *entry_of(uint64_t address, unsigned level)
{
    entry_t *entries =
        machine_phys_to_virt(level == 1 && address >= PROGRAM ? phys(TABLES) : table(level));
    return &entries[machine_table_index(address, level)];
}

static void map(uint64_t address, phys_t page, uint64_t bits)
{
    *entry_of(address, 1) = entry_page(page, bits, 1);
}

static phys_t slot_pages[CPUS];

static const uint64_t user_data = ENTRY_USER | ENTRY_WRITE | ENTRY_NO_EXEC;

/* Called by the tests' accesses: what it was called with, and what it does about it. */
static struct {
    unsigned calls;
    uint64_t address;
    unsigned access;
    bool resolves;
    entry_t *entry;
    entry_t value;
    enum fault_outcome outcome;
} handler;

static enum fault_outcome handle(uint64_t address, unsigned access)
{
    handler.calls++;
    handler.address = address;
    handler.access = access;
    if (!handler.resolves)
        return handler.outcome;
    if (handler.entry != NULL)
        *handler.entry = handler.value;
    return FAULT_RESOLVED;
}

static int setup(void **state)
{
    (void)state;
    for (unsigned level = 1; level <= 4; level++)
        memset(machine_phys_to_virt(table(level)), 0, PAGE_SIZE);
    memset(machine_phys_to_virt(phys(TABLES)), 0, PAGE_SIZE);
    memset(machine_phys_to_virt(phys(DATA)), 0, 16 * PAGE_SIZE);
    for (unsigned level = 4; level > 1; level--) {
        phys_t below = table(level - 1);
        *entry_of(BASE, level) = entry_table(below, ENTRY_TABLE_BITS | ENTRY_USER);
        if (level == 2)
            below = phys(TABLES);
        *entry_of(PROGRAM, level) = entry_table(below, ENTRY_TABLE_BITS | ENTRY_USER);
    }
    map(PROGRAM, machine_user_program(), ENTRY_USER);
    for (unsigned i = 0; i < CPUS; i++) {
        slot_pages[i] = phys(DATA + (16 + i) * PAGE_SIZE);
        map(SLOTS + i * PAGE_SIZE, slot_pages[i], user_data);
    }
    machine_access_init(PROGRAM, SLOTS, slot_pages);
    memset(&handler, 0, sizeof(handler));
    handler.outcome = FAULT_SEGV;
    machine_fault_handler = handle;
    machine_load_root(table(4));
    return 0;
}

static struct machine_access one(enum machine_access_kind kind, uint64_t address)
{
    struct machine_access access = {.kind = kind, .start = address, .count = 1, .value = 7};
    machine_access(&access);
    return access;
}

static uint64_t *data(unsigned page)
{
    return machine_phys_to_virt(phys(DATA + page * PAGE_SIZE));
}

static phys_t data_phys(unsigned page)
{
    return phys(DATA + page * PAGE_SIZE);
}

/* --- rights ------------------------------------------------------------------------------------------- */

static void test_access_reads_writes_and_marks(void **state)
{
    (void)state;
    map(BASE, data_phys(0), user_data);
    assert_int_equal(one(MACHINE_READ, BASE).end, ACCESS_DONE);
    assert_true(entry_is_accessed(*entry_of(BASE, 1)));
    assert_true(entry_is_accessed(*entry_of(BASE, 4)));
    assert_false(entry_is_dirty(*entry_of(BASE, 1)));
    assert_int_equal(one(MACHINE_WRITE, BASE + 8).end, ACCESS_DONE);
    assert_true(entry_is_dirty(*entry_of(BASE, 1)));
    assert_int_equal(data(0)[1], 7);
    assert_int_equal(handler.calls, 0);
}

static void assert_fault(enum machine_access_kind kind, uint64_t address, unsigned bits)
{
    unsigned calls = handler.calls;
    struct machine_access access = one(kind, address);
    assert_int_equal(access.end, ACCESS_FAULTED);
    assert_int_equal(access.outcome, FAULT_SEGV);
    assert_int_equal(access.done, 0);
    assert_true(access.address == address);
    assert_int_equal(handler.calls, calls + 1);
    assert_true(handler.address == address);
    assert_int_equal(handler.access, bits);
}

static void test_denied_accesses_fault(void **state)
{
    (void)state;
    map(BASE, data_phys(0), ENTRY_USER | ENTRY_NO_EXEC); /* read-only */
    map(BASE + PAGE_SIZE, data_phys(1), ENTRY_WRITE);    /* the kernel's */
    assert_fault(MACHINE_WRITE, BASE, ACCESS_USER | ACCESS_WRITE);
    assert_fault(MACHINE_EXEC, BASE, ACCESS_USER | ACCESS_EXEC);
    assert_fault(MACHINE_READ, BASE + PAGE_SIZE, ACCESS_USER);
    assert_fault(MACHINE_READ, BASE + 2 * PAGE_SIZE, ACCESS_USER); /* not present */
    assert_fault(MACHINE_READ, 0, ACCESS_USER);
    assert_fault(MACHINE_READ, MACHINE_KERNEL_LOW, ACCESS_USER);

    struct machine_access access = one(MACHINE_READ, 1ull << 47);
    assert_int_equal(access.end, ACCESS_FAULTED);
    assert_int_equal(handler.access, ACCESS_USER | ACCESS_NON_CANONICAL);
}

static void test_rights_of_upper_levels_count(void **state)
{
    (void)state;
    map(BASE, data_phys(0), user_data);
    *entry_of(BASE, 2) = entry_without_write(*entry_of(BASE, 2));
    assert_fault(MACHINE_WRITE, BASE, ACCESS_USER | ACCESS_WRITE);
    assert_int_equal(one(MACHINE_READ, BASE).end, ACCESS_DONE);
}

static void test_kernel_accesses(void **state)
{
    (void)state;
    struct machine_access access = {
        .kind = MACHINE_WRITE, .kernel = true, .start = BASE, .count = 1, .value = 7};
    map(BASE, data_phys(0), user_data);
    machine_access(&access); /* user memory, with the right to it taken */
    assert_int_equal(access.end, ACCESS_DONE);

    map(BASE, data_phys(0), ENTRY_USER); /* read-only: CR0.WP */
    machine_flush_all();
    machine_access(&access);
    assert_int_equal(access.end, ACCESS_FAULTED);
    assert_int_equal(handler.access, ACCESS_WRITE);

    memset(data(1), 0xC3, 1);
    map(BASE + PAGE_SIZE, data_phys(1), ENTRY_USER); /* executable for the user: SMEP */
    access.kind = MACHINE_EXEC;
    access.start = BASE + PAGE_SIZE;
    machine_access(&access);
    assert_int_equal(access.end, ACCESS_FAULTED);
    assert_int_equal(one(MACHINE_EXEC, BASE + PAGE_SIZE).end, ACCESS_DONE);
    assert_int_equal(one(MACHINE_EXEC, BASE + PAGE_SIZE + 1).end, ACCESS_CRASHED);
}

static void test_resolved_faults_are_tried_again(void **state)
{
    (void)state;
    handler.resolves = true;
    handler.entry = entry_of(BASE, 1);
    handler.value = entry_page(data_phys(2), user_data, 1);
    struct machine_access access = one(MACHINE_WRITE, BASE + 16);
    assert_int_equal(access.end, ACCESS_DONE);
    assert_int_equal(access.done, 1);
    assert_int_equal(handler.calls, 1);
    assert_int_equal(data(2)[2], 7);
}

static void access_for_ever(void *argument)
{
    (void)argument;
    handler.resolves = true; /* it says */
    (void)one(MACHINE_WRITE, BASE);
}

static void test_handler_that_resolves_nothing_panics(void **state)
{
    (void)state;
    char output[8192];
    assert_int_equal(sim_in_child(access_for_ever, NULL, output, sizeof(output)), 2);
    assert_non_null(strstr(output, "the fault at 0x40000000 was called resolved"));
}

/* --- rows ----------------------------------------------------------------------------------------------- */

static void test_row_of_accesses_stops_where_it_is_refused(void **state)
{
    (void)state;
    struct machine_access access = {
        .kind = MACHINE_WRITE, .start = BASE, .stride_bytes = PAGE_SIZE, .count = 5, .value = 9};
    for (unsigned i = 0; i < 3; i++)
        map(BASE + i * PAGE_SIZE, data_phys(i), user_data);
    machine_access(&access);
    assert_int_equal(access.end, ACCESS_FAULTED);
    assert_int_equal(access.done, 3);
    assert_true(access.address == BASE + 3 * PAGE_SIZE);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(data(i)[0], 9);
}

static void test_listed_timed_and_checked_rows(void **state)
{
    (void)state;
    struct machine_access access = {
        .kind = MACHINE_READ, .timed = true, .listed = true, .check = true, .count = 3, .value = 5};
    map(BASE, data_phys(0), user_data);
    data(0)[0] = 5;
    data(0)[1] = 5;
    data(0)[2] = 6;
    for (unsigned i = 0; i < 3; i++)
        machine_slots()[i] = BASE + 8 * i;
    machine_access(&access);
    assert_int_equal(access.end, ACCESS_MISMATCH);
    assert_int_equal(access.done, 2);
    assert_int_equal(access.observed, 6);
    assert_true(access.address == BASE + 16);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(machine_slots()[i], 1); /* exact: one tick a look */
}

static void test_access_across_two_pages(void **state)
{
    (void)state;
    struct machine_access access = {.kind = MACHINE_WRITE,
                                    .start = BASE + PAGE_SIZE - 3,
                                    .count = 1,
                                    .value = 0x0807060504030201};
    map(BASE, data_phys(0), user_data);
    machine_access(&access);
    assert_int_equal(access.end, ACCESS_FAULTED);
    assert_true(handler.address == BASE + PAGE_SIZE); /* of the second page, as CR2 has it */

    map(BASE + PAGE_SIZE, data_phys(5), user_data);
    machine_access(&access);
    assert_int_equal(access.end, ACCESS_DONE);
    assert_true(data(0)[511] == 0x0302010000000000);
    assert_true(data(5)[0] == 0x0807060504);
    access.kind = MACHINE_READ;
    access.check = true;
    machine_access(&access);
    assert_int_equal(access.end, ACCESS_DONE);
}

/* --- the TLB --------------------------------------------------------------------------------------------- */

static void test_stale_translations_live_until_flushed(void **state)
{
    (void)state;
    map(BASE, data_phys(0), user_data);
    assert_int_equal(one(MACHINE_WRITE, BASE).end, ACCESS_DONE);
    map(BASE, data_phys(1), ENTRY_USER); /* another frame, no right to write, no flush */
    data(0)[0] = 0;
    assert_int_equal(one(MACHINE_WRITE, BASE).end, ACCESS_DONE);
    assert_int_equal(data(0)[0], 7);
    assert_int_equal(data(1)[0], 0);
    assert_true(sim_look_up_tlb(BASE).writable);
    assert_false(sim_look_up_tables(BASE).writable);

    machine_flush_page(virt(BASE));
    assert_false(sim_look_up_tlb(BASE).present);
    assert_fault(MACHINE_WRITE, BASE, ACCESS_USER | ACCESS_WRITE);
}

static void test_flush_of_another_page_changes_nothing(void **state)
{
    (void)state;
    map(BASE, data_phys(0), user_data);
    assert_int_equal(one(MACHINE_READ, BASE).end, ACCESS_DONE);
    *entry_of(BASE, 1) = 0;
    machine_flush_page(virt(BASE + PAGE_SIZE));
    assert_int_equal(one(MACHINE_READ, BASE).end, ACCESS_DONE);
    machine_flush_all();
    assert_fault(MACHINE_READ, BASE, ACCESS_USER);
}

static void test_upper_levels_are_cached_too(void **state)
{
    (void)state;
    map(BASE, data_phys(0), user_data);
    map(BASE + PAGE_SIZE, data_phys(1), user_data);
    assert_int_equal(one(MACHINE_WRITE, BASE).end, ACCESS_DONE);
    /* A fork takes W from the level above and forgets to flush: a page that was never touched is
     * still writable through the cached upper entry. */
    *entry_of(BASE, 2) = entry_without_write(*entry_of(BASE, 2));
    assert_int_equal(one(MACHINE_WRITE, BASE + PAGE_SIZE).end, ACCESS_DONE);
    /* One flush of any page ends that. */
    machine_flush_page(virt(BASE + 5 * PAGE_SIZE));
    map(BASE + 2 * PAGE_SIZE, data_phys(2), user_data);
    assert_fault(MACHINE_WRITE, BASE + 2 * PAGE_SIZE, ACCESS_USER | ACCESS_WRITE);
}

static void test_what_is_not_present_is_never_cached(void **state)
{
    (void)state;
    assert_fault(MACHINE_READ, BASE, ACCESS_USER);
    map(BASE, data_phys(0), ENTRY_USER | ENTRY_NO_EXEC);
    assert_int_equal(one(MACHINE_READ, BASE).end, ACCESS_DONE);
    /* A right that was added needs no flush: a refusal walks once more. */
    map(BASE, data_phys(0), user_data);
    assert_int_equal(one(MACHINE_WRITE, BASE).end, ACCESS_DONE);
}

static void test_first_write_goes_to_the_tables(void **state)
{
    (void)state;
    map(BASE, data_phys(0), user_data);
    assert_int_equal(one(MACHINE_READ, BASE).end, ACCESS_DONE);
    map(BASE, data_phys(0), ENTRY_USER | ENTRY_NO_EXEC);
    /* The cached entry allows the write, but it has no dirty bit: a CPU sets it in the table. */
    assert_fault(MACHINE_WRITE, BASE, ACCESS_USER | ACCESS_WRITE);
}

static void test_global_translations_survive_a_root_load(void **state)
{
    (void)state;
    map(BASE, data_phys(0), user_data | ENTRY_GLOBAL);
    map(BASE + PAGE_SIZE, data_phys(1), user_data);
    assert_int_equal(one(MACHINE_READ, BASE).end, ACCESS_DONE);
    assert_int_equal(one(MACHINE_READ, BASE + PAGE_SIZE).end, ACCESS_DONE);
    machine_load_root(machine_root());
    assert_true(sim_look_up_tlb(BASE).present);
    assert_false(sim_look_up_tlb(BASE + PAGE_SIZE).present);
    machine_flush_page(virt(BASE));
    assert_false(sim_look_up_tlb(BASE).present);
}

static void test_a_root_of_the_same_tag_is_loaded_afresh(void **state)
{
    (void)state;
    phys_t other = phys(DATA + 15 * PAGE_SIZE); /* an empty root */
    phys_t root = machine_root();
    map(BASE, data_phys(0), user_data);
    assert_int_equal(one(MACHINE_READ, BASE).end, ACCESS_DONE);
    assert_true(sim_look_up_tlb(BASE).present);
    machine_load_root(other);
    assert_false(sim_look_up_tlb(BASE).present);
    machine_load_root(root);
    assert_false(sim_look_up_tlb(BASE).present);
    assert_int_equal(sim_look_up_tables(BASE).frame.value, data_phys(0).value);
}

static void test_large_pages(void **state)
{
    (void)state;
    *entry_of(BASE, 2) = entry_page(phys(DATA), user_data, 2);
    assert_int_equal(one(MACHINE_WRITE, BASE + 3 * PAGE_SIZE).end, ACCESS_DONE);
    assert_int_equal(one(MACHINE_WRITE, BASE + 9 * PAGE_SIZE).end, ACCESS_DONE);
    assert_int_equal(data(3)[0], 7);
    assert_true(entry_is_dirty(*entry_of(BASE, 2)));
    /* One flush, anywhere in it, ends all of it. */
    machine_flush_page(virt(BASE));
    assert_false(sim_look_up_tlb(BASE + 3 * PAGE_SIZE).present);
    assert_false(sim_look_up_tlb(BASE + 9 * PAGE_SIZE).present);
}

static void walk_reserved(void *argument)
{
    (void)argument;
    *entry_of(BASE, 2) = entry_page(phys(DATA + PAGE_SIZE * 2), user_data, 2);
    (void)one(MACHINE_READ, BASE);
}

static void walk_outside_memory(void *argument)
{
    (void)argument;
    *entry_of(BASE, 2) = entry_table(phys(0xa0000), ENTRY_TABLE_BITS | ENTRY_USER);
    (void)one(MACHINE_READ, BASE);
}

static void test_broken_tables_panic(void **state)
{
    (void)state;
    char output[8192];
    assert_int_equal(sim_in_child(walk_reserved, NULL, output, sizeof(output)), 2);
    assert_non_null(strstr(output, "has reserved bits set"));
    assert_int_equal(sim_in_child(walk_outside_memory, NULL, output, sizeof(output)), 2);
    assert_non_null(strstr(output, "which is not memory"));
}

/* --- CPUs ------------------------------------------------------------------------------------------------ */

static void note_cpu(void *argument)
{
    unsigned *seen = argument;
    *seen = machine_cpu()->index;
}

static void read_base(void *argument)
{
    *(struct machine_access *)argument = one(MACHINE_READ, BASE);
}

static void load_root(void *argument)
{
    machine_load_root(*(phys_t *)argument);
}

static void flush_base(void *argument)
{
    (void)argument;
    machine_flush_page(virt(BASE));
}

static void test_every_cpu_runs_what_it_is_given(void **state)
{
    (void)state;
    assert_int_equal(machine_cpu_count(), CPUS);
    for (int round = 0; round < 100; round++) {
        for (unsigned cpu = 0; cpu < CPUS; cpu++) {
            unsigned seen = 99;
            machine_cpu_run(cpu, note_cpu, &seen);
            assert_int_equal(seen, cpu);
        }
    }
}

static void test_every_cpu_has_its_own_tlb(void **state)
{
    (void)state;
    struct machine_access access;
    phys_t root = table(4);
    map(BASE, data_phys(0), user_data);
    machine_cpu_run(1, load_root, &root);
    machine_cpu_run(1, read_base, &access);
    assert_int_equal(access.end, ACCESS_DONE);
    *entry_of(BASE, 1) = 0;
    machine_flush_all(); /* of this CPU */
    assert_int_equal(one(MACHINE_READ, BASE).end, ACCESS_FAULTED);
    machine_cpu_run(1, read_base, &access);
    assert_int_equal(access.end, ACCESS_DONE); /* stale, as it would be */
    machine_cpu_run(1, flush_base, NULL);
    machine_cpu_run(1, read_base, &access);
    assert_int_equal(access.end, ACCESS_FAULTED);
}

/* --- memory ------------------------------------------------------------------------------------------------ */

static void test_memory_map(void **state)
{
    const struct boot_info *boot = *state;
    const struct boot_memory_range *map_of = machine_phys_to_virt(phys(boot->memory_map.start));
    size_t count = boot->memory_map.size_bytes / sizeof(*map_of);
    uint64_t end = 0, ram = 0;
    bool above_4g = false;

    for (size_t i = 0; i < count; i++) {
        uint64_t last = map_of[i].start + (map_of[i].page_count - 1) * PAGE_SIZE;
        assert_true(map_of[i].start >= end && map_of[i].page_count != 0);
        end = last + PAGE_SIZE;
        if (map_of[i].kind == MEMORY_MMIO)
            continue;
        ram += map_of[i].page_count * PAGE_SIZE;
        above_4g |= map_of[i].start >= 4 * GIB;
        assert_true(sim_is_ram(phys(map_of[i].start)) && sim_is_ram(phys(last)));
        if (map_of[i].kind == MEMORY_USABLE) {
            memset(machine_phys_to_virt(phys(map_of[i].start)), 0, 8);
            memset(machine_phys_to_virt(phys(last)), 0, PAGE_SIZE);
        }
    }
    assert_true(above_4g);
    assert_true(ram == 64 * MIB - 384 * KIB);
    assert_false(sim_is_ram(phys(0xa0000)));
    assert_false(sim_is_ram(phys(32 * MIB)));
}

static void touch_hole(void *argument)
{
    (void)argument;
    *(volatile char *)machine_phys_to_virt(phys(0xa0000)) = 1;
}

static void test_holes_are_holes(void **state)
{
    (void)state;
    char output[8192];
    assert_int_not_equal(sim_in_child(touch_hole, NULL, output, sizeof(output)), 0);
}

static void test_floor(void **state)
{
    (void)state;
    void *pages[2] = {data(0), data(1)};
    ticks_t samples[8];
    data(0)[0] = 1;
    assert_int_equal(machine_floor(FLOOR_PAGE_CLEAR, samples, 8, pages), 8);
    assert_int_equal(data(0)[0], 0);
    data(0)[511] = 3;
    assert_int_equal(machine_floor(FLOOR_PAGE_COPY, samples, 8, pages), 8);
    assert_int_equal(data(1)[511], 3);
    assert_int_equal(machine_floor(FLOOR_AP_START, samples, 8, pages), CPUS - 1);
    assert_int_equal(machine_floor(FLOOR_IPI, samples, 8, pages), 8);
}

static int start(void **state)
{
    static const struct sim_config config = {
        .memory_bytes = 64 * MIB, .low_memory_bytes = 32 * MIB, .cpu_count = CPUS, .exact = true};
    *state = (void *)sim_start(&config);
    machine_start_cpus(CPUS);
    return setup(state);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_access_reads_writes_and_marks),
        TEST(test_denied_accesses_fault),
        TEST(test_rights_of_upper_levels_count),
        TEST(test_kernel_accesses),
        TEST(test_resolved_faults_are_tried_again),
        TEST(test_handler_that_resolves_nothing_panics),
        TEST(test_row_of_accesses_stops_where_it_is_refused),
        TEST(test_listed_timed_and_checked_rows),
        TEST(test_access_across_two_pages),
        TEST(test_stale_translations_live_until_flushed),
        TEST(test_flush_of_another_page_changes_nothing),
        TEST(test_upper_levels_are_cached_too),
        TEST(test_what_is_not_present_is_never_cached),
        TEST(test_first_write_goes_to_the_tables),
        TEST(test_global_translations_survive_a_root_load),
        TEST(test_a_root_of_the_same_tag_is_loaded_afresh),
        TEST(test_large_pages),
        TEST(test_broken_tables_panic),
        TEST(test_every_cpu_runs_what_it_is_given),
        TEST(test_every_cpu_has_its_own_tlb),
        TEST(test_memory_map),
        TEST(test_holes_are_holes),
        TEST(test_floor),
    };
    return cmocka_run_group_tests_name("machine_sim", tests, start, NULL);
}
