/* Address spaces: life, looking up, figures. See space.h. */
#include "core/mm/space.h"

#include "core/check.h"
#include "core/mm/heap.h"
#include "core/mm/internal.h"
#include "core/mm/part.h"
#include "core/mm/reclaim.h"
#include "core/mm/space_identity.h"
#include "core/mm/table_walk.h"
#include "core/write_window.h"

uint64_t space_user_high(void)
{
    return window_base();
}

/* --- life ---------------------------------------------------------------------------------------------- */

static result_t create_once(struct space **out)
{
    struct space *space = heap_alloc(sizeof *space);
    if (!space)
        return ENOMEM;
    if (page_directory_init(&space->directory) != OK) {
        heap_free(space, sizeof *space);
        return ENOMEM;
    }

    lock_init(&space->lock, RANK_SPACE, "space");
    region_tree_init(&space->tree, SPACE_USER_LOW, space_user_high());
    list_init(&space->identities);
    space->cpus = (struct cpu_set){0};
    space->cpu_count = 0;
    space->busy_base = 0;
    space->busy_bytes = 0;
    space->aslr = false;
    space->first_fit = true;
    space->changes = 0;
    lock_acquire(&mm.lock);
    space->random = (struct random){mm_random_next()};
    list_add_last(&mm.spaces, &space->all_link);
    mm.space_count++;
    lock_release(&mm.lock);
    *out = space;
    return OK;
}

void space_set_aslr(struct space *space, bool on)
{
    lock_acquire(&space->lock);
    space->aslr = on;
    space->first_fit = !on && list_is_empty(&space->identities);
    lock_release(&space->lock);
}

result_t space_create(struct space **out)
{
    result_t result;
    unsigned tries = reclaim_begin();
    do {
        result = create_once(out);
    } while (reclaim_retry(result, &tries));
    return result;
}

/* Frees all regions from the bottom of the tree up, without keeping it balanced meanwhile. */
void space_destroy_regions(struct space *space)
{
    struct region_node *node = space->tree.root;
    while (node) {
        if (node->left) {
            node = node->left;
        } else if (node->right) {
            node = node->right;
        } else {
            struct region_node *parent = node->parent;
            if (parent && parent->left == node)
                parent->left = NULL;
            else if (parent)
                parent->right = NULL;
            region_end(region_of_node(node));
            node = parent;
        }
    }
    region_tree_init(&space->tree, space->tree.low, space->tree.high);
}

static void leave_for_good(const struct space *space)
{
    if (machine_cpu()->space == space)
        space_load(NULL);
    unsigned cpu = cpu_set_next(&space->cpus, 0);
    if (cpu < CPU_MAX)
        panic("space %p is destroyed while CPU %u has it loaded", (const void *)space, cpu);
}

void space_destroy(struct space *space)
{
    leave_for_good(space);
    lock_acquire(&mm.lock);
    list_remove(&space->all_link);
    mm.space_count--;
    lock_release(&mm.lock);

    object_write_begin();
    page_directory_fini(&space->directory);
    space_destroy_regions(space);
    space_identity_forget(space);
    heap_free(space, sizeof *space);
    object_write_end();
}

/* This CPU is about to load the space's root. Full barriers, which pair with space_is_elsewhere(): either
 * that finds this CPU, or this CPU walks the tables as they are by then. */
static void enter(struct space *space, const struct cpu *cpu)
{
    cpu_set_add(&space->cpus, cpu->index);
    (void)__atomic_fetch_add(&space->cpu_count, 1, __ATOMIC_SEQ_CST);
}

/* It has loaded another one. */
static void leave(struct space *space, const struct cpu *cpu)
{
    (void)__atomic_fetch_sub(&space->cpu_count, 1, __ATOMIC_SEQ_CST);
    cpu_set_remove(&space->cpus, cpu->index);
}

void space_load(struct space *space)
{
    struct cpu *cpu = machine_cpu();
    struct space *before = (struct space *)cpu->space;
    if (before == space)
        return;

    object_write_begin();
    if (space)
        enter(space, cpu);
    /* A request to load another root of the space comes before or after both. */
    uint64_t flags = machine_irq_disable();
    machine_load_root(space ? space->directory.root : mm.kernel_directory.root);
    cpu->space = space;
    machine_irq_restore(flags);
    if (before)
        leave(before, cpu);
    object_write_end();
}

void space_verify_structure(struct space *space)
{
    object_write_begin();
    bool due = ++space->changes >= space->tree.count / 64;
    if (due)
        space->changes = 0;
    object_write_end();
    if (!due)
        return;
    const char *problem = region_tree_check(&space->tree);
    if (problem)
        panic("region tree of space %p: %s", (const void *)space, problem);
}

const struct region_node *space_lookup_slowly(struct space *space, uint64_t address)
{
    section_leave(machine_cpu());
    lock_acquire(&space->lock);
    section_enter(machine_cpu()); /* before others may take away what is found */
    const struct region_node *found = region_tree_find(&space->tree, address);
    lock_release(&space->lock);
    return found;
}

/* --- figures ------------------------------------------------------------------------------------------------ */

uint64_t space_region_count(const struct space *space)
{
    return space->tree.count;
}

uint64_t space_table_frames(const struct space *space)
{
    return __atomic_load_n(&space->directory.table_count, __ATOMIC_RELAXED);
}

uint64_t space_resident_pages(struct space *space)
{
    return space_resident_pages_in(
        space, (struct range){SPACE_USER_LOW, space_user_high() - SPACE_USER_LOW});
}

uint64_t space_resident_pages_in(struct space *space, struct range range)
{
    uint64_t resident = 0;
    lock_acquire(&space->lock);
    lock_acquire(&space->directory.lock);
    struct table_walk walk =
        table_walk(&space->directory, range.base, range.base + range.size_bytes);
    while (table_walk_next(&walk)) {
        unsigned first = table_walk_first(&walk);
        unsigned last = table_walk_last(&walk);
        if (table_walk_is_large(&walk)) {
            resident += last - first;
            continue;
        }
        if (last - first == MACHINE_TABLE_ENTRIES) {
            resident += frame_of(entry_phys(entry_load(walk.upper)))->live;
            continue;
        }
        const entry_t *entries = table_walk_entries(&walk);
        for (unsigned i = first; i < last; i++)
            resident += entry_is_present(entry_peek(&entries[i]));
    }
    lock_release(&space->directory.lock);
    lock_release(&space->lock);
    return resident;
}

/* What maps the 4 KiB of an index, of a table or of a large page. */
static entry_t walk_entry(const struct table_walk *walk, unsigned index)
{
    return table_walk_is_large(walk) ? entry_piece(entry_load(walk->upper), index)
                                     : table_walk_entries(walk)[index];
}

uint64_t space_frame_run(struct space *space, struct range range)
{
    uint64_t longest = 0;
    uint64_t run = 0;
    uint64_t next_address = 0;
    uint64_t next_phys = 0;
    lock_acquire(&space->lock);
    lock_acquire(&space->directory.lock);
    struct table_walk walk =
        table_walk(&space->directory, range.base, range.base + range.size_bytes);
    while (table_walk_next(&walk)) {
        for (unsigned i = table_walk_first(&walk); i < table_walk_last(&walk); i++) {
            entry_t entry = walk_entry(&walk, i);
            if (!entry_is_present(entry))
                continue;
            uint64_t address = walk.table_base + i * PAGE_SIZE;
            uint64_t at = entry_phys(entry).value;
            run = address == next_address && at == next_phys ? run + 1 : 1;
            longest = run > longest ? run : longest;
            next_address = address + PAGE_SIZE;
            next_phys = at + PAGE_SIZE;
        }
    }
    lock_release(&space->directory.lock);
    lock_release(&space->lock);
    return longest;
}
