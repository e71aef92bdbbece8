/* What the tests of core/mm share: a started machine, one-line operations that must succeed, figures
 * to compare, seeds. */
#ifndef TESTS_HOST_MM_TESTING_H
#define TESTS_HOST_MM_TESTING_H

#include "testing.h"

#include <stdlib.h>

#include "core/check.h"
#include "core/counters.h"
#include "core/machine.h"
#include "core/mm/mm.h"
#include "core/mm/object.h"
#include "core/mm/space.h"
#include "core/panic.h"
#include "core/random.h"
#include "machine_sim.h"

/* The seed of everything random; PAGELAB_SEED replays a failure. Printed by every call. */
static inline uint64_t test_seed(void)
{
    const char *given = getenv("PAGELAB_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 20200101;
    print_message("PAGELAB_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* How much more than usual a model test is to do: PAGELAB_ROUNDS. */
static inline unsigned test_rounds(void)
{
    const char *given = getenv("PAGELAB_ROUNDS");
    return given ? (unsigned)strtoul(given, NULL, 0) : 1;
}

/* Levels of page tables; PAGELAB_LEVELS=5 runs a test with five. */
static inline unsigned test_levels(void)
{
    const char *given = getenv("PAGELAB_LEVELS");
    return given ? (unsigned)strtoul(given, NULL, 0) : 0;
}

/* A machine with core/mm running, as core/main.c starts it. Once a process. PAGELAB_PROTECT=1: writes to
 * kernel objects outside their windows panic; not for tests that write them themselves. */
static inline void start_mm(const struct sim_config *config)
{
    struct sim_config protecting = *config;
    protecting.protect_objects |= getenv("PAGELAB_PROTECT") != NULL;
    const struct boot_info *boot = sim_start(&protecting);
    check_level = 2;
    panic_exit = EXIT_QEMU;
    machine_init_early(boot);
    assert_null(machine_choose_levels(boot, test_levels()));
    assert_int_equal(mm_init(boot), OK);
    assert_int_equal(machine_init(boot, mm_machine_services()), OK);
    machine_start_cpus(CPU_MAX);
    assert_int_equal(mm_start(), OK);
}

static inline void assert_audit(void)
{
    struct audit_report report;
    if (!mm_audit(&report))
        fail_msg("audit: %s", report.text);
}

/* --- operations that must succeed -------------------------------------------------------------------- */

static inline struct space *new_space(void)
{
    struct space *space;
    assert_int_equal(space_create(&space), OK);
    return space;
}

static inline struct space *forked(struct space *parent)
{
    struct space *child;
    assert_int_equal(space_fork(parent, &child), OK);
    return child;
}

/* Committed anonymous memory at a given address, of so many pages. */
static inline struct map_args map_at(uint64_t address, uint64_t pages, unsigned prot)
{
    return (struct map_args){
        .size_bytes = pages * PAGE_SIZE,
        .prot = prot,
        .at = MAP_AT_FIXED,
        .address = address,
        .align_bytes = PAGE_SIZE,
        .commit = true,
    };
}

static inline uint64_t map(struct space *space, struct map_args args)
{
    virt_t base;
    assert_int_equal(space_map(space, &args, &base), OK);
    if (args.at == MAP_AT_FIXED && args.if_taken != IF_TAKEN_ELSEWHERE)
        assert_int_equal(base.value, args.address);
    return base.value;
}

static inline struct range pages_at(uint64_t base, uint64_t pages)
{
    return (struct range){base, pages * PAGE_SIZE};
}

static inline void unmap(struct space *space, uint64_t base, uint64_t pages)
{
    assert_int_equal(space_unmap(space, pages_at(base, pages)), OK);
}

static inline void protect(struct space *space, uint64_t base, uint64_t pages, unsigned prot)
{
    assert_int_equal(space_protect(space, pages_at(base, pages), prot), OK);
}

/* --- accesses from user mode ----------------------------------------------------------------------------- */

static inline struct machine_access access_to(struct space *space, enum machine_access_kind kind,
                                              uint64_t address, uint64_t value)
{
    struct machine_access access = {.kind = kind, .start = address, .count = 1, .value = value};
    space_load(space);
    machine_access(&access);
    return access;
}

static inline void write_value(struct space *space, uint64_t address, uint64_t value)
{
    struct machine_access access = access_to(space, MACHINE_WRITE, address, value);
    if (access.end != ACCESS_DONE)
        fail_msg("writing %#llx: end %d, outcome %d", (unsigned long long)address, access.end,
                 access.outcome);
}

static inline uint64_t read_value(struct space *space, uint64_t address)
{
    struct machine_access access = {
        .kind = MACHINE_READ, .start = address, .count = 1, .check = true};
    space_load(space);
    machine_access(&access);
    if (access.end == ACCESS_FAULTED)
        fail_msg("reading %#llx: outcome %d", (unsigned long long)address, access.outcome);
    return access.end == ACCESS_MISMATCH ? access.observed : 0;
}

/* Writes a value into each page of a range. */
static inline void write_pages(struct space *space, uint64_t base, uint64_t pages, uint64_t value)
{
    for (uint64_t i = 0; i < pages; i++)
        write_value(space, base + i * PAGE_SIZE, value + i);
}

/* Are they still there? */
static inline void assert_values(struct space *space, uint64_t base, uint64_t pages, uint64_t value)
{
    for (uint64_t i = 0; i < pages; i++)
        assert_int_equal(read_value(space, base + i * PAGE_SIZE), value + i);
}

/* The outcome of an access that must be refused. */
static inline enum fault_outcome refused(struct space *space, enum machine_access_kind kind,
                                         uint64_t address)
{
    struct machine_access access = access_to(space, kind, address, 0);
    assert_int_equal(access.end, ACCESS_FAULTED);
    return access.outcome;
}

/* --- 2 MiB pages ------------------------------------------------------------------------------------------- */

#define LARGE 512ull /* pages of 4 KiB */

static inline struct map_args large_at(uint64_t address, uint64_t pages)
{
    struct map_args args = map_at(address, pages, PROT_READ | PROT_WRITE);
    args.large = true;
    return args;
}

/* What maps the address, as an entry of 4 KiB; 0: nothing. *pages: how large the page is. */
static inline entry_t mapping_at(struct space *space, uint64_t address, uint64_t *pages)
{
    struct table_place place;
    const entry_t *large = page_directory_large(&space->directory, address);
    *pages = large ? LARGE : 1;
    if (large)
        return entry_piece(*large, machine_table_index(address, 1));
    return page_directory_find(&space->directory, address, &place) ? *place.entry : 0;
}

/* How large the page is that maps the address, in 4 KiB; 0: none. */
static inline uint64_t mapped_by(struct space *space, uint64_t address)
{
    uint64_t pages;
    return entry_is_present(mapping_at(space, address, &pages)) ? pages : 0;
}

/* --- figures ------------------------------------------------------------------------------------------------ */

/* What a failed operation must leave as it was. */
struct figures {
    uint64_t content;
    uint64_t regions;
    uint64_t resident;
    uint64_t tables;
    uint64_t free_bytes;
    uint64_t committed;
};

/* Regions, rights and one word of each page: what space_digest() looks at, but soon done. */
static inline uint64_t content_of(struct space *space)
{
    uint64_t content = 0;
    for (struct region_node *node = region_tree_first(&space->tree); node;
         node = region_tree_next(node)) {
        struct region *region = region_of_node(node);
        content = splitmix64(content ^ node->base);
        content = splitmix64(content ^ node->end ^ region->prot);
        for (uint64_t at = node->base; region->object && at < node->end; at += PAGE_SIZE) {
            phys_t page;
            assert_int_equal(
                region->object->ops->page(region->object, region, at, PAGE_FOR_READING, &page), OK);
            content = splitmix64(content ^ *(uint64_t *)machine_phys_to_virt(page));
        }
    }
    return content;
}

enum with_content { WITHOUT_CONTENT, WITH_CONTENT };

static inline struct figures figures_of(struct space *space, enum with_content with_content)
{
    return (struct figures){
        .content = space && with_content ? content_of(space) : 0,
        .regions = space ? space_region_count(space) : 0,
        .resident = space ? space_resident_pages(space) : 0,
        .tables = space ? space_table_frames(space) : 0,
        .free_bytes = mm_free_bytes(),
        .committed = mm_committed_pages(),
    };
}

static inline void assert_same_figures(const struct figures *now, const struct figures *before)
{
    assert_int_equal(now->content, before->content);
    assert_int_equal(now->regions, before->regions);
    assert_int_equal(now->resident, before->resident);
    assert_int_equal(now->tables, before->tables);
    assert_int_equal(now->committed, before->committed);
    assert_int_equal(now->free_bytes, before->free_bytes);
}

/* What happened since the counter was `before`. */
static inline uint64_t counted(enum counter counter, uint64_t before)
{
    return counter_read(counter) - before;
}

#endif
