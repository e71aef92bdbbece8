/* The audit: proves from scratch that every frame has exactly one use and the right count, that every
 * page-table entry shows what its region and object say, that trees are sound and promises add up.
 *
 * Concepts: three passes. Clear the scratch count of every frame; walk everything that uses frames and
 * count; compare each frame's count with its kind and references. */
#include "core/mm/audit.h"

#include "core/check.h"
#include "core/fmt.h"
#include "core/mm/heap.h"
#include "core/mm/internal.h"
#include "core/mm/mm.h"
#include "core/mm/object.h"
#include "core/mm/space_identity.h"
#include "core/mm/table_walk.h"
#include "core/text.h"
#include "core/write_window.h"

struct audit {
    struct audit_report *report;
    bool failed;
    uint64_t heap_objects;
    uint64_t data_frames; /* distinct */
    uint64_t resident;    /* slots with data, of all objects */
    uint64_t promised;    /* to objects, for pages without data */
};

static uint64_t audit_round;

void audit_fail(struct audit *audit, const char *format, ...)
{
    if (audit->failed)
        return;
    audit->failed = true;
    va_list arguments;
    va_start(arguments, format);
    (void)fmt_vprint(audit->report->text, sizeof audit->report->text, format, arguments);
    va_end(arguments);
}

static unsigned long frame_address(const struct frame *frame)
{
    return (unsigned long)frame_phys(frame).value;
}

/* Who changed the frame of the failure last: check level 2 knows. */
static void say_site(struct audit *audit, const struct frame *frame)
{
    char *text = audit->report->text;
    size_t used = strlen(text);
    if (frame->site != 0)
        (void)fmt_print(text + used, sizeof audit->report->text - used,
                        "; last taken or freed at ...%08x", frame->site);
}

uint32_t audit_count_frame(struct audit *audit, struct frame *frame, enum frame_kind kind)
{
    bool failed = audit->failed;
    if (frame->kind != kind)
        audit_fail(audit, "frame 0x%lx is used as %s but its kind is %s", frame_address(frame),
                   frame_kind_name(kind), frame_kind_name(frame->kind));
    if (audit->failed && !failed)
        say_site(audit, frame);
    return ++frame->audit;
}

void audit_count_heap_object(struct audit *audit)
{
    audit->heap_objects++;
}

void audit_count_promises(struct audit *audit, uint64_t promised)
{
    audit->promised += promised;
}

/* --- slot tables ----------------------------------------------------------------------------------------- */

static void count_array(void *context, void *array, bool in_heap)
{
    if (in_heap)
        audit_count_heap_object(context);
    else
        audit_count_frame(context, frame_of_virt(array), FRAME_NODE);
}

static void audit_leaf(struct audit *audit, struct leaf *leaf)
{
    struct frame *frame = leaf_frame(leaf);
    unsigned live = 0;
    for (unsigned i = 0; i < LEAF_SLOTS; i++)
        live += leaf->slots[i] != 0;
    audit->resident += live;
    if (live != frame->live)
        audit_fail(audit, "leaf 0x%lx has %u slots with data and says %u", frame_address(frame),
                   live, frame->live);
    if (audit_count_frame(audit, frame, FRAME_LEAF) > 1)
        return; /* its pages have been counted with another table */
    for (unsigned i = 0; i < LEAF_SLOTS; i++) {
        if (leaf->slots[i] == 0)
            continue;
        if (audit_count_frame(audit, slot_frame(leaf->slots[i]), FRAME_DATA) == 1)
            audit->data_frames++;
    }
}

void audit_count_slots(struct audit *audit, const struct slot_table *table)
{
    uint64_t index = 0;
    uint64_t count;
    struct leaf **array;
    slot_table_visit_arrays(table, count_array, audit);
    while ((array = slot_table_next_array(table, &index, &count)) != NULL) {
        struct leaf **leaf = &array[index & (LEAF_SLOTS - 1)];
        for (uint64_t i = 0; i < count; i++) {
            if (leaf[i])
                audit_leaf(audit, leaf[i]);
        }
        index += count;
    }
}

/* --- spaces ---------------------------------------------------------------------------------------------- */

/* What is mapped where no region is must be mapped one to one. Nothing else runs: no locks. */
static const char *check_identity_entry(struct space *space, uint64_t address,
                                        entry_t entry) NO_LOCK_ANALYSIS
{
    if (!space_identity_meets(space, (struct range){address, PAGE_SIZE}))
        return "is mapped where no region has an object";
    if (entry_phys(entry).value != address)
        return "is mapped one to one, but to another frame";
    return entry_is_executable(entry) ? "is executable and mapped one to one" : NULL;
}

static void audit_entry(struct audit *audit, struct space *space, uint64_t address, entry_t entry)
{
    struct region *region = region_of_node(region_tree_find(&space->tree, address));
    const char *problem = NULL;
    if (!region)
        problem = check_identity_entry(space, address, entry);
    else if (!region->object)
        problem = "is mapped where no region has an object";
    else if (region->prot == PROT_NONE)
        problem = "is mapped in a region without rights";
    else if (entry_is_writable(entry) && (region->prot & PROT_WRITE) == 0)
        problem = "is writable in a region that is not";
    else if (entry_is_executable(entry) && (region->prot & PROT_EXEC) == 0)
        problem = "is executable in a region that is not";
    if (!problem && !entry_is_user(entry))
        problem = "is not for user mode";
    if (problem)
        audit_fail(audit, "address 0x%lx %s", (unsigned long)address, problem);
}

/* The entry against its object; effective rights count, so an upper entry without W protects. */
static void audit_shown(struct audit *audit, struct space *space, uint64_t address, entry_t entry,
                        entry_t upper)
{
    struct region *region = region_of_node(region_tree_find(&space->tree, address));
    if (!region || !region->object)
        return;
    if (!entry_is_writable(upper))
        entry = entry_without_write(entry);
    const char *problem =
        region->object->ops->check_entry(region->object, region_slot(region, address), entry);
    if (problem)
        audit_fail(audit, "address 0x%lx %s (%s object, frame 0x%lx)", (unsigned long)address,
                   problem, region->object->ops->name, (unsigned long)entry_phys(entry).value);
}

static void audit_large(struct audit *audit, struct space *space, const struct table_walk *walk)
{
    uint64_t base = walk->table_base;
    struct region *region = region_of_node(region_tree_find(&space->tree, base));
    bool is_leaf = (*walk->upper & LARGE_WITHOUT_LEAF) == 0;
    bool fits = region && region->large && (region->in_phase || !is_leaf) &&
                region->node.end - base >= TABLE_BYTES &&
                entry_phys(*walk->upper).value % TABLE_BYTES == 0;
    if (!fits)
        audit_fail(audit, "address 0x%lx has a large page that its region does not fit",
                   (unsigned long)base);
    for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES; i++) {
        entry_t entry = entry_piece(*walk->upper, i);
        audit_entry(audit, space, base + i * PAGE_SIZE, entry);
        audit_shown(audit, space, base + i * PAGE_SIZE, entry, *walk->upper);
    }
}

/* A table that says which leaf it shows must show it: a fork believes that. What no leaf holds is never writable. */
static void audit_leaf_shown(struct audit *audit, const struct frame *table, unsigned index,
                             entry_t entry)
{
    const struct leaf *leaf = table->shows;
    if (table->shows == TABLE_MIXED || !entry_is_writable(entry))
        return;
    if (!leaf || leaf_frame(leaf)->kind != FRAME_LEAF ||
        slot_phys(leaf->slots[index]).value != entry_phys(entry).value)
        audit_fail(audit, "table 0x%lx does not show its leaf at entry %u", frame_address(table),
                   index);
}

static void audit_table(struct audit *audit, struct space *space, const struct table_walk *walk)
{
    if (table_walk_is_large(walk)) {
        audit_large(audit, space, walk);
        return;
    }
    struct frame *table = frame_of(entry_phys(*walk->upper));
    const entry_t *entries = table_walk_entries(walk);
    unsigned live = 0;
    if (table->shows == TABLE_MIXED && !entry_is_writable(*walk->upper))
        audit_fail(audit, "table 0x%lx shows several objects and is write-protected as a whole",
                   frame_address(table));
    for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES; i++) {
        if (!entry_is_present(entries[i]))
            continue;
        live++;
        uint64_t address = walk->table_base + i * PAGE_SIZE;
        audit_entry(audit, space, address, entries[i]);
        audit_shown(audit, space, address, entries[i], *walk->upper);
        audit_leaf_shown(audit, table, i, entries[i]);
    }
    if (live != table->live || live == 0)
        audit_fail(audit, "table 0x%lx has %u entries and says %u", frame_address(table), live,
                   table->live);
}

/* Counts the tables of one level and below; the tree of tables is at most four deep. */
static uint64_t count_tables(struct audit *audit, phys_t table, unsigned level)
{
    struct {
        const entry_t *entries;
        unsigned index;
        unsigned live;
    } stack[5] = {{.entries = machine_phys_to_virt(table)}};
    unsigned limit[5];
    unsigned depth = 0;
    uint64_t count = 0;
    limit[0] = machine_table_index(window_base(), level);
    for (unsigned i = 1; i < ARRAY_COUNT(limit); i++)
        limit[i] = MACHINE_TABLE_ENTRIES;
    for (;;) {
        if (stack[depth].index == limit[depth]) {
            struct frame *frame = frame_of_virt(stack[depth].entries);
            if (stack[depth].live != frame->live)
                audit_fail(audit, "table 0x%lx has %u tables below and says %u",
                           frame_address(frame), stack[depth].live, frame->live);
            if (depth-- == 0)
                return count;
            continue;
        }
        entry_t entry = stack[depth].entries[stack[depth].index++];
        if (!entry_is_present(entry))
            continue;
        stack[depth].live++;
        if (entry_is_page(entry, level - depth))
            continue;
        count++;
        audit_count_frame(audit, frame_of(entry_phys(entry)), FRAME_TABLE);
        if (level - depth == 2)
            continue;
        depth++;
        stack[depth].entries = machine_phys_to_virt(entry_phys(entry));
        stack[depth].index = 0;
        stack[depth].live = 0;
    }
}

void audit_object(struct audit *audit, struct object *object)
{
    if (object->audit_round == audit_round)
        return;
    object_write_begin();
    object->audit_round = audit_round;
    object_write_end();
    object->ops->audit(object, audit);
}

static void audit_regions(struct audit *audit, struct space *space)
{
    for (struct region_node *node = region_tree_first(&space->tree); node;
         node = region_tree_next(node)) {
        struct region *region = region_of_node(node);
        audit_count_heap_object(audit);
        if (region->space != space)
            audit_fail(audit, "region 0x%lx is in the tree of another space",
                       (unsigned long)node->base);
        if (region->object)
            audit_object(audit, region->object);
    }
}

/* Ranges mapped one to one: no region is in them, and every page is there. */
static void audit_identities(struct audit *audit, struct space *space)
{
    for (struct list_node *link = space->identities.next; link != &space->identities;
         link = link->next) {
        const struct region_node *node = &region_of_link(link)->node;
        audit_count_heap_object(audit);
        if (!region_tree_is_free(&space->tree, node->base, node->end - node->base))
            audit_fail(audit, "a region is where 0x%lx is mapped one to one",
                       (unsigned long)node->base);
        for (uint64_t at = node->base; at < node->end; at += PAGE_SIZE) {
            struct table_place place;
            if (!page_directory_find(&space->directory, at, &place) ||
                !entry_is_present(*place.entry))
                audit_fail(audit, "address 0x%lx should be mapped one to one", (unsigned long)at);
        }
    }
}

static void audit_space(struct audit *audit, struct space *space)
{
    const char *problem = region_tree_check(&space->tree);
    if (problem)
        audit_fail(audit, "region tree: %s", problem);
    if (audit->failed)
        return;
    audit_count_heap_object(audit);
    audit_count_frame(audit, frame_of(space->directory.root), FRAME_TABLE);
    uint64_t tables = count_tables(audit, space->directory.root, machine_levels);
    if (tables != space->directory.table_count)
        audit_fail(audit, "a space has %lu page tables and says %lu", (unsigned long)tables,
                   (unsigned long)space->directory.table_count);
    audit_regions(audit, space);
    audit_identities(audit, space);
    struct table_walk walk = table_walk(&space->directory, SPACE_USER_LOW, space_user_high());
    while (!audit->failed && table_walk_next(&walk))
        audit_table(audit, space, &walk);
}

/* --- kernel, heap, free frames -------------------------------------------------------------------------------- */

static void audit_slabs(struct audit *audit, uint32_t number)
{
    for (; number != 0; number = frames.entries[number].slab.next)
        audit_count_frame(audit, &frames.entries[number], FRAME_HEAP);
}

static void audit_heap(struct audit *audit)
{
    for (unsigned i = 0; i < HEAP_CLASSES; i++) {
        audit_slabs(audit, heap.classes[i].available);
        audit_slabs(audit, heap.classes[i].full);
    }
    for (const struct region_node *node = region_tree_first(&mm.kernel_tree); node;
         node = region_tree_next(node))
        audit->heap_objects += CONTAINER_OF(node, const struct kernel_region, node)->in_heap;
    if (audit->heap_objects != heap_live_count())
        audit_fail(audit, "the kernel heap has %lu objects in use, of which %lu can be found",
                   (unsigned long)heap_live_count(), (unsigned long)audit->heap_objects);
}

static void audit_kernel_page(struct audit *audit, uint64_t address, uint64_t size_bytes)
{
    const struct region_node *node = region_tree_find(&mm.kernel_tree, address);
    const struct kernel_region *region =
        node ? CONTAINER_OF(node, const struct kernel_region, node) : NULL;
    if (!region || address < region->start || region->node.end - address < size_bytes)
        audit_fail(audit, "address 0x%lx is mapped where the kernel has no region",
                   (unsigned long)address);
}

/* The tree, and that nothing is mapped in the dynamic range but its regions. */
static void audit_kernel_space(struct audit *audit)
{
    const char *problem = region_tree_check(&mm.kernel_tree);
    if (problem) {
        audit_fail(audit, "kernel region tree: %s", problem);
        return;
    }
    struct table_walk walk = table_walk(&mm.kernel_directory, KERNEL_RANGE_LOW, KERNEL_RANGE_HIGH);
    while (!audit->failed && table_walk_next(&walk)) {
        if (table_walk_is_large(&walk)) {
            audit_kernel_page(audit, walk.table_base, TABLE_BYTES);
            continue;
        }
        const entry_t *entries = table_walk_entries(&walk);
        for (unsigned i = 0; i < MACHINE_TABLE_ENTRIES; i++) {
            if (entry_is_present(entries[i]))
                audit_kernel_page(audit, walk.table_base + i * PAGE_SIZE, PAGE_SIZE);
        }
    }
}

/* Is the count what the kind and the references want? */
static void audit_frame(struct audit *audit, const struct frame *frame)
{
    uint32_t expected = 0;
    bool is_counted = false; /* its uses are */
    switch ((enum frame_kind)frame->kind) {
    case FRAME_FREE:
        if (!frames_is_free((uint64_t)(frame - frames.entries)))
            audit_fail(audit, "frame 0x%lx is free but in no free list", frame_address(frame));
        break;
    case FRAME_TABLE:
    case FRAME_DATA:
    case FRAME_LEAF:
    case FRAME_NODE:
    case FRAME_HEAP:
        expected = frame->references;
        is_counted = true;
        break;
    case FRAME_NO_RAM:
    case FRAME_RESERVED:
    case FRAME_CORE:
    case FRAME_SQUEEZED:
    case FRAME_HARNESS:
    case FRAME_ZERO:
    case FRAME_KERNEL:
    case FRAME_KIND_COUNT:
        break;
    }
    if (frame->audit != expected)
        audit_fail(audit, "frame 0x%lx (%s) has %u references and %u uses that can be found",
                   frame_address(frame), frame_kind_name(frame->kind), expected, frame->audit);
    if (is_counted && expected == 0)
        audit_fail(audit, "frame 0x%lx (%s) has no references but is not free",
                   frame_address(frame), frame_kind_name(frame->kind));
    if (frame->kind != FRAME_FREE && frames_is_free((uint64_t)(frame - frames.entries)))
        audit_fail(audit, "frame 0x%lx (%s) is in use and in the free list", frame_address(frame),
                   frame_kind_name(frame->kind));
}

static void audit_frames(struct audit *audit)
{
    uint64_t free_count = 0;
    for (uint64_t i = 0; i < frames.count && !audit->failed; i++) {
        audit_frame(audit, &frames.entries[i]);
        if (audit->failed)
            say_site(audit, &frames.entries[i]);
        free_count += frames.entries[i].kind == FRAME_FREE;
    }
    uint64_t promised = mm_committed_pages();
    uint64_t needed = audit->promised + audit->resident - audit->data_frames;
    if (promised != needed)
        audit_fail(audit,
                   "%lu frames are promised, but objects are owed %lu (%lu untouched, %lu copies)",
                   (unsigned long)promised, (unsigned long)needed, (unsigned long)audit->promised,
                   (unsigned long)(audit->resident - audit->data_frames));
    if (free_count != frames_unpromised() + promised)
        audit_fail(audit, "%lu frames are free, but the counts say %lu and %lu promised",
                   (unsigned long)free_count, (unsigned long)frames_unpromised(),
                   (unsigned long)promised);
}

bool mm_audit(struct audit_report *report)
{
    struct audit audit = {.report = report};
    audit_round++;
    frames_drain_caches();
    for (uint64_t i = 0; i < frames.count; i++)
        frames.entries[i].audit = 0;
    for (struct list_node *link = mm.spaces.next; link != &mm.spaces && !audit.failed;
         link = link->next)
        audit_space(&audit, CONTAINER_OF(link, struct space, all_link));
    for (struct list_node *link = mm.named.next; link != &mm.named; link = link->next)
        audit_object(&audit, CONTAINER_OF(link, struct object, named_link));
    if (!audit.failed)
        audit_kernel_space(&audit);
    if (!audit.failed)
        audit_heap(&audit);
    if (!audit.failed)
        audit_frames(&audit);
    return !audit.failed;
}

void mm_debug_leak_frame(void)
{
    phys_t page;
    if (frames_take_uninjected(FRAME_DATA, &page) != OK)
        panic("no frame to leak");
}
