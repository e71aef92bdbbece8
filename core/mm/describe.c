/* What a panic says about an address of the kernel: its region, its frame, the object in it. Nothing
 * here locks, allocates or writes; what it walks may be broken, so every walk has an end. */
#include "core/mm/internal.h"

#include "core/log.h"
#include "core/mm/frames.h"
#include "core/mm/heap.h"
#include "core/mm/object.h"
#include "core/mm/space.h"

#define TREE_DEPTH_MAX 128

static bool is_in(uint64_t address, const void *thing, uint64_t size_bytes)
{
    return thing && address - (uint64_t)thing < size_bytes;
}

/* The region of the space, or its object, that the address is in. */
static bool describe_in_space(const struct space *space, uint64_t address)
{
    uint64_t left = space->tree.count;
    for (struct region_node *node = region_tree_first(&space->tree); node && left > 0;
         node = region_tree_next(node), left--) {
        const struct region *region = region_of_node(node);
        if (is_in(address, region, sizeof *region)) {
            log_panic_line("it is the region 0x%lx..0x%lx of space %p", (unsigned long)node->base,
                           (unsigned long)node->end, (const void *)space);
            return true;
        }
        if (is_in(address, region->object, sizeof *region->object)) {
            log_panic_line("it is the %s object that region 0x%lx..0x%lx of space %p shows",
                           region->object->ops->name, (unsigned long)node->base,
                           (unsigned long)node->end, (const void *)space);
            return true;
        }
    }
    return false;
}

/* Which of the core's objects is it? `address` is a pointer of the core. */
static void describe_object(uint64_t address)
{
    uint64_t left = mm.space_count;
    for (const struct list_node *link = mm.spaces.next; link != &mm.spaces && left > 0;
         link = link->next, left--) {
        const struct space *space = CONTAINER_OF(link, struct space, all_link);
        if (is_in(address, space, sizeof *space)) {
            log_panic_line("it is space %p of %lu regions", (const void *)space,
                           (unsigned long)space->tree.count);
            return;
        }
        if (describe_in_space(space, address))
            return;
    }
    log_panic_line("it is no space, no region, and no object that a region shows");
}

static void describe_frame(phys_t at)
{
    const struct frame *frame = frame_of(at);
    log_panic_line("frame 0x%lx is used as %s, references %u", (unsigned long)page_floor(at.value),
                   frame_kind_name(frame->kind), frame->references);
    if (frame->kind != FRAME_HEAP)
        return;
    heap_describe_address(at);
    describe_object((uint64_t)machine_phys_to_virt(at));
}

/* region_tree_find() would count, and would trust the tree to have an end. */
static const struct kernel_region *find_kernel_region(uint64_t address)
{
    const struct region_node *node = mm.kernel_tree.root;
    for (unsigned depth = 0; node && depth < TREE_DEPTH_MAX; depth++) {
        if (address >= node->base && address < node->end)
            return CONTAINER_OF(node, const struct kernel_region, node);
        node = address < node->base ? node->left : node->right;
    }
    return NULL;
}

static void describe_kernel_region(uint64_t address)
{
    const struct kernel_region *region = find_kernel_region(address);
    if (!region)
        log_panic_line("0x%lx is in no region of the kernel", (unsigned long)address);
    else
        log_panic_line("0x%lx is in 0x%lx..0x%lx of the kernel: %s%s", (unsigned long)address,
                       (unsigned long)region->node.base, (unsigned long)region->node.end,
                       region->name, address < region->start ? ", in front of it" : "");
}

void mm_describe_address(uint64_t address)
{
    phys_t at = phys(address - BOOT_DIRECT_MAP_BASE);
    if (address >= KERNEL_TREE_LOW)
        describe_kernel_region(address);
    if (address >= BOOT_DIRECT_MAP_BASE && at.value >> PAGE_SHIFT < frames.count)
        describe_frame(at);
}
