/* What the files of core/mm share: the one `struct mm`. Not for other rooms. */
#ifndef CORE_MM_INTERNAL_H
#define CORE_MM_INTERNAL_H

#include "core/boot_info.h"
#include "core/list.h"
#include "core/lock.h"
#include "core/mm/page_directory.h"
#include "core/mm/region_tree.h"
#include "core/random.h"

/* The kernel's dynamic range: stacks, devices. 512 GiB: one root entry that every space shares. */
#define KERNEL_RANGE_LOW 0xffffc00000000000ull
#define KERNEL_RANGE_HIGH 0xffffc08000000000ull
/* The range of kernel_tree; the last page is nobody's. */
#define KERNEL_TREE_LOW BOOT_DIRECT_MAP_BASE
#define KERNEL_TREE_HIGH 0xfffffffffffff000ull
#define KERNEL_ROOT_SLOTS_MAX 256

/* What a range of the kernel's half is for. Kernel regions have no object. */
struct kernel_region {
    struct region_node node;
    uint64_t start; /* nothing is mapped in [base, start) */
    const char *name;
    bool in_heap; /* a mapping of the dynamic range; else reserved from the start, for ever */
};

struct mm {
    struct lock lock;        /* spaces */
    struct list_node spaces; /* struct space.all_link */
    uint64_t space_count;
    struct list_node named; /* struct object.named_link */
    struct lock fork_lock;  /* struct object.fork_copy of those that are not exclusive */

    /* Immutable after mm_start(). */
    phys_t zero_page;
    struct page_directory kernel_directory;
    uint16_t
        root_slots[KERNEL_ROOT_SLOTS_MAX]; /* indices of root entries that every space shares */
    uint32_t root_slot_count;
    void *harness;
    uint64_t harness_bytes;
    struct boot_blob ramdisk; /* what RAM disks begin with */
    uint64_t write_combining; /* bits of entries: ENTRY_UNCACHED on a machine that has none */
    phys_t screen;            /* the machine's framebuffer, in pages; 0 pages: it has none */
    uint64_t screen_pages;
    phys_t physical_window; /* RAM that `object physical at=auto` and `identity` may show */

    struct object *framebuffer;    /* the one there is, or NULL */
    struct random random;          /* seeds of spaces */
    struct frame_reserve squeezed; /* frames that `squeeze` keeps from scenarios */
    unsigned
        map_around; /* policy: pages that a read fault on a resident file page maps; 0: that one */

    struct lock kernel_lock; /* kernel_tree, kernel tables */
    struct region_tree kernel_tree;
};

extern struct mm mm;

#define PHYSICAL_WINDOW_BYTES (2 * MIB)

/* First address of the harness window: the last top-level slot of the user half. */
static inline uint64_t window_base(void)
{
    return machine_user_high() - machine_level_size(machine_levels);
}

static inline uint64_t mm_random_next(void)
{
    return random_next_shared(&mm.random);
}

/* For a frame that will be written in places only, and often. Where firmware has run code in it an emulator looks for its
 * translations at each such write, with a lock that all CPUs share, until all of the code has been written over. */
static inline void frame_wipe(phys_t page)
{
    machine_page_clear(machine_phys_to_virt(page));
}

/* describe.c: what a panic says about an address of the kernel. */
void mm_describe_address(uint64_t address);

/* kernel.c: the kernel's own tables and regions. */
result_t kernel_init(const struct boot_info *boot);
result_t kernel_window_init(void);
enum kernel_page_rights { KERNEL_PAGE_READ_ONLY, KERNEL_PAGE_WRITABLE };
/* Check level 2: the rights of a page in the direct map. Another CPU may go on using the old ones
 * until it loads a root. */
void kernel_page_protect(phys_t page, enum kernel_page_rights rights);
volatile void *kernel_map_device(phys_t start, uint64_t size_bytes);
void kernel_unmap_device(volatile void *mapped);
const void *kernel_map_firmware(phys_t start, uint64_t size_bytes);
void *kernel_stack_create(uint64_t size_bytes);
void *kernel_device_memory_create(uint64_t page_count);
phys_t kernel_identity_root_create(const struct identity_range *ranges, size_t count);
void kernel_identity_root_destroy(phys_t root);

#endif
