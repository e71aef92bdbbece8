/* The kernel's half: its tree has a region for every address that is spoken for, devices come and go
 * without a trace, running out of memory included, and a panic knows the names. */
#include "mm_testing.h"

#include <string.h>

#include "core/mm/frames.h"
#include "core/mm/heap.h"
#include "core/mm/internal.h"
#include "machine_memory.h"

#define DEVICE 0xe0000000ull /* the simulated machine's MMIO */
#define SCREEN (DEVICE + 8 * MIB)
#define SCREEN_BYTES (3 * MIB)

static char said[4096];

static int start(void **state)
{
    (void)state;
    static struct boot_info boot;
    boot = *sim_start(&(struct sim_config){.memory_bytes = 32 * MIB});
    boot.framebuffer =
        (struct boot_framebuffer){.start = SCREEN, .size_bytes = SCREEN_BYTES - 1, .is_mapped = 1};
    check_level = 2;
    panic_exit = EXIT_QEMU;
    machine_init_early(&boot);
    assert_null(machine_choose_levels(&boot, test_levels()));
    assert_int_equal(mm_init(&boot), OK);
    assert_int_equal(machine_init(&boot, mm_machine_services()), OK);
    machine_start_cpus(CPU_MAX);
    assert_int_equal(mm_start(), OK);
    return 0;
}

static volatile void *map_device(uint64_t address, uint64_t size_bytes)
{
    return mm_machine_services()->map_device(phys(address), size_bytes);
}

static void unmap_device(volatile void *mapped)
{
    mm_machine_services()->unmap_device(mapped);
}

/* Where the page of the kernel's address is; PHYS_NONE: it is not mapped. */
static phys_t shown_at(uint64_t address)
{
    struct table_place place;
    const entry_t *large = page_directory_large(&mm.kernel_directory, address);
    if (large)
        return phys(entry_phys(*large).value + (address & (TABLE_BYTES - 1) & ~PAGE_MASK));
    if (!page_directory_find(&mm.kernel_directory, address, &place) ||
        !entry_is_present(*place.entry))
        return PHYS_NONE;
    return entry_phys(*place.entry);
}

static bool is_mapped(uint64_t address)
{
    return shown_at(address).value != PHYS_NONE.value;
}

/* What must be as before when a mapping has gone. */
struct kernel_figures {
    uint64_t regions;
    uint64_t holes;
    uint64_t free_bytes;
    uint64_t heap_objects;
};

static struct kernel_figures figures(void)
{
    return (struct kernel_figures){
        .regions = mm.kernel_tree.count,
        .holes = region_tree_free_bytes(&mm.kernel_tree),
        .free_bytes = mm_free_bytes(),
        .heap_objects = heap_live_count(),
    };
}

static void expect_figures(struct kernel_figures before)
{
    struct kernel_figures now = figures();
    assert_int_equal(now.regions, before.regions);
    assert_int_equal(now.holes, before.holes);
    assert_int_equal(now.free_bytes, before.free_bytes);
    assert_int_equal(now.heap_objects, before.heap_objects);
    assert_audit();
}

/* --- reserved ranges ------------------------------------------------------------------------------------ */

static void expect_described(uint64_t address, const char *text)
{
    sim_console_collect(said, sizeof(said));
    mm_describe_address(address);
    (void)sim_console_text();
    sim_console_collect(NULL, 0);
    if (!strstr(said, text))
        fail_msg("0x%llx is described as \"%s\", not as \"%s\"", (unsigned long long)address, said,
                 text);
}

static void test_every_range_is_reserved_by_name(void **state)
{
    (void)state;
    uint64_t direct = BOOT_DIRECT_MAP_BASE;
    uint64_t image = BOOT_CORE_BASE;
    uint64_t database = direct + machine_virt_to_phys(frames.entries).value;
    uint64_t bitmap_word = direct + machine_virt_to_phys(frames.level[frames.levels - 1]).value;
    uint64_t rodata = image + SIM_IMAGE_TEXT_PAGES * PAGE_SIZE;
    uint64_t data = rodata + SIM_IMAGE_RODATA_PAGES * PAGE_SIZE;
    uint64_t guard = data + SIM_IMAGE_DATA_PAGES * PAGE_SIZE;
    uint64_t stack = guard + SIM_IMAGE_GUARD_PAGES * PAGE_SIZE;
    uint64_t end = image + SIM_IMAGE_PAGES * PAGE_SIZE;
    const struct {
        uint64_t address;
        const char *text;
    } expected[] = {
        {direct, ": direct map"},
        {database - 1, ": direct map"},
        {database, ": frame database"},
        {bitmap_word, ": frame database"},
        {database + frames_database_bytes() - 1, ": frame database"},
        {database + frames_database_bytes(), ": direct map"},
        {direct + SCREEN - 1, ": direct map"},
        {direct + SCREEN, ": framebuffer"},
        {direct + SCREEN + SCREEN_BYTES - 1, ": framebuffer"},
        {direct + SCREEN + SCREEN_BYTES, ": direct map"},
        {KERNEL_RANGE_LOW - 1, ": direct map"},
        {KERNEL_RANGE_LOW, "in no region"},
        {KERNEL_RANGE_HIGH - 1, "in no region"},
        {KERNEL_RANGE_HIGH, ": nothing, never mapped"},
        {image - 1, ": nothing, never mapped"},
        {image, ": the core's text"},
        {rodata - 1, ": the core's text"},
        {rodata, ": the core's constants"},
        {data, ": the core's data and stacks"},
        {guard, ": nothing, never mapped"},
        {stack, ": the core's data and stacks"},
        {end - 1, ": the core's data and stacks"},
        {end, ": nothing, never mapped"},
        {KERNEL_TREE_HIGH - 1, ": nothing, never mapped"},
        {KERNEL_TREE_HIGH, "in no region"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++)
        expect_described(expected[i].address, expected[i].text);
    expect_described(database, "is used as core image");
}

/* The holes of the tree are those of the dynamic range, which is empty: the simulated machine has no
 * devices. */
static void test_only_the_dynamic_range_has_holes(void **state)
{
    (void)state;
    assert_int_equal(region_tree_free_bytes(&mm.kernel_tree), KERNEL_RANGE_HIGH - KERNEL_RANGE_LOW);
    assert_true(region_tree_is_free(&mm.kernel_tree, KERNEL_RANGE_LOW,
                                    KERNEL_RANGE_HIGH - KERNEL_RANGE_LOW));
    struct kernel_figures before = figures();
    assert_null(map_device(0, KERNEL_RANGE_HIGH - KERNEL_RANGE_LOW));
    expect_figures(before);
}

/* --- devices and stacks ------------------------------------------------------------------------------------ */

static void test_a_device_is_unmapped_alone(void **state)
{
    (void)state;
    struct kernel_figures before = figures();
    uint64_t first = (uint64_t)map_device(DEVICE + 0x10, 3 * PAGE_SIZE - 0x10);
    struct kernel_figures with_first = figures();
    uint64_t second = (uint64_t)map_device(DEVICE + 0x104, 2 * PAGE_SIZE);
    uint64_t third = (uint64_t)map_device(DEVICE + MIB, PAGE_SIZE);
    assert_int_equal(mm.kernel_tree.count, before.regions + 3);
    assert_int_equal(second & PAGE_MASK, 0x104);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(shown_at(second - 0x104 + i * PAGE_SIZE).value, DEVICE + i * PAGE_SIZE);
    expect_described(second, ": a device\n");
    expect_described(second + 2 * PAGE_SIZE, ": a device\n");
    expect_described(second - 0x105, ": a device, in front of it");
    assert_audit();

    unmap_device((volatile void *)second);
    for (uint64_t at = page_floor(second); at < second + 2 * PAGE_SIZE; at += PAGE_SIZE)
        assert_false(is_mapped(at));
    assert_int_equal(shown_at(first + 2 * PAGE_SIZE - 0x10).value, DEVICE + 2 * PAGE_SIZE);
    assert_int_equal(shown_at(third).value, DEVICE + MIB);
    expect_described(second, "in no region");
    assert_audit();
    assert_int_equal((uint64_t)map_device(DEVICE + 0x104, 2 * PAGE_SIZE), second); /* first fit */

    unmap_device((volatile void *)third);
    unmap_device((volatile void *)second);
    expect_figures(with_first);
    unmap_device((volatile void *)first);
    expect_figures(before);
}

static void test_large_pages_of_a_device_are_unmapped(void **state)
{
    (void)state;
    struct kernel_figures before = figures();
    uint64_t mapped = (uint64_t)map_device(DEVICE + 6 * PAGE_SIZE, 5 * MIB);
    assert_non_null(page_directory_large(&mm.kernel_directory, mapped + 2 * MIB));
    assert_int_equal(shown_at(mapped + 5 * MIB - 1).value,
                     page_floor(DEVICE + 6 * PAGE_SIZE + 5 * MIB - 1));
    assert_audit();
    unmap_device((volatile void *)mapped);
    assert_false(is_mapped(mapped));
    assert_false(is_mapped(mapped + 2 * MIB));
    assert_false(is_mapped(mapped + 5 * MIB - 1));
    expect_figures(before);
}

static void unmap_what_is_no_device(void *address)
{
    unmap_device(address);
}

static void test_reservations_cannot_be_unmapped(void **state)
{
    (void)state;
    void *addresses[] = {(void *)BOOT_CORE_BASE, (void *)BOOT_DIRECT_MAP_BASE,
                         (void *)KERNEL_RANGE_LOW};
    for (size_t i = 0; i < ARRAY_COUNT(addresses); i++)
        assert_int_equal(sim_in_child(unmap_what_is_no_device, addresses[i], said, sizeof(said)),
                         2);
    assert_non_null(strstr(said, "assertion failed"));
}

static void test_the_audit_finds_pages_without_a_region(void **state)
{
    (void)state;
    struct audit_report report;
    uint64_t mapped = (uint64_t)map_device(DEVICE, PAGE_SIZE);
    uint64_t wrong[] = {mapped - PAGE_SIZE, mapped + PAGE_SIZE}; /* in front of it, behind it */
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct table_place place;
        assert_true(page_directory_find(&mm.kernel_directory, wrong[i], &place));
        *place.entry = entry_page(phys(DEVICE), ENTRY_NO_EXEC, 1);
        assert_false(mm_audit(&report));
        assert_non_null(strstr(report.text, "is mapped where the kernel has no region"));
        *place.entry = 0;
        assert_audit();
    }
    unmap_device((volatile void *)mapped);
}

/* --- running out of memory --------------------------------------------------------------------------------- */

struct mapping {
    const char *name;
    uint64_t (*make)(void);          /* its address; 0: no memory */
    void (*unmake)(uint64_t mapped); /* NULL: it stays for ever */
    uint64_t frames;                 /* that it needs, with four levels of tables */
};

static uint64_t make_device(void)
{
    return (uint64_t)map_device(DEVICE, PAGE_SIZE);
}

/* Small pages, large pages, small pages. */
static uint64_t make_large_device(void)
{
    return (uint64_t)map_device(DEVICE + 6 * PAGE_SIZE, 5 * MIB);
}

static void unmake_device(uint64_t mapped)
{
    unmap_device((volatile void *)mapped);
}

static uint64_t make_stack(void)
{
    return (uint64_t)mm_machine_services()->stack_create(4 * PAGE_SIZE);
}

/* Makes it with ever more memory; returns with how many frames it was made, and what was made. */
static uint64_t make_in_need(const struct mapping *mapping, uint64_t *mapped)
{
    struct kernel_figures before = figures();
    for (uint64_t left = 0;; left++) {
        assert_int_equal(mm_squeeze(left * PAGE_SIZE), OK);
        *mapped = mapping->make();
        mm_squeeze_end();
        if (*mapped != 0)
            return left;
        expect_figures(before);
    }
}

static void test_no_memory_leaves_nothing_behind(void **state)
{
    (void)state;
    const struct mapping mappings[] = {
        {"a device", make_device, unmake_device, 3},             /* with its heap object */
        {"a large device", make_large_device, unmake_device, 4}, /* two tables of pages */
        {"a stack", make_stack, NULL, 7},
    };
    for (size_t i = 0; i < ARRAY_COUNT(mappings); i++) {
        struct kernel_figures before = figures();
        uint64_t mapped;
        uint64_t needed = make_in_need(&mappings[i], &mapped);
        print_message("%s: %lu frames\n", mappings[i].name, (unsigned long)needed);
        assert_int_equal(needed, mappings[i].frames + (machine_levels == 5));
        assert_int_equal(mm.kernel_tree.count, before.regions + 1);
        assert_audit();
        if (mappings[i].unmake) {
            mappings[i].unmake(mapped);
            expect_figures(before);
        }
    }
}

/* The last test: they stay. */
static void test_stacks_and_tables_of_firmware_have_names(void **state)
{
    (void)state;
    uint64_t top = (uint64_t)mm_machine_services()->stack_create(2 * PAGE_SIZE);
    uint64_t table = (uint64_t)mm_machine_services()->map_firmware(phys(DEVICE + 40), 100);
    expect_described(top - 1, ": a stack\n");
    expect_described(top - 2 * PAGE_SIZE, ": a stack\n");
    expect_described(top - 2 * PAGE_SIZE - 1, ": a stack, in front of it");
    expect_described(table, ": firmware's tables\n");
    assert_true(is_mapped(top - 2 * PAGE_SIZE));
    assert_false(is_mapped(top - 2 * PAGE_SIZE - 1));
    assert_int_equal(shown_at(table).value, DEVICE);
    assert_audit();
}

static void test_no_heap_object_leaves_nothing_behind(void **state)
{
    (void)state;
    struct kernel_figures before = figures();
    mm_inject((struct mm_inject){.nth = 1});
    assert_null(map_device(DEVICE, PAGE_SIZE));
    assert_true(mm_inject_fired());
    mm_inject((struct mm_inject){0});
    expect_figures(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_range_is_reserved_by_name),
        cmocka_unit_test(test_only_the_dynamic_range_has_holes),
        cmocka_unit_test(test_a_device_is_unmapped_alone),
        cmocka_unit_test(test_large_pages_of_a_device_are_unmapped),
        cmocka_unit_test(test_reservations_cannot_be_unmapped),
        cmocka_unit_test(test_the_audit_finds_pages_without_a_region),
        cmocka_unit_test(test_no_heap_object_leaves_nothing_behind),
        cmocka_unit_test(test_no_memory_leaves_nothing_behind),
        cmocka_unit_test(test_stacks_and_tables_of_firmware_have_names),
    };
    return cmocka_run_group_tests_name("kernel space", tests, start, NULL);
}
