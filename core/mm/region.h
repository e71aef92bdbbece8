/* A region: a range of a space, its rights, and the window of an object that it shows.
 *
 * Invariants: base < end, both page aligned; linked into its object's list of regions exactly while it
 * is in a tree and has an object; an unbacked region has no object and nothing mapped. */
#ifndef CORE_MM_REGION_H
#define CORE_MM_REGION_H

#include "core/list.h"
#include "core/mm/heap.h"
#include "core/mm/region_tree.h"
#include "core/result.h"

struct object;
struct space;

/* Rights; or-ed. */
enum prot { PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };

/* How the CPU caches what a region shows. */
enum cache { CACHE_DEFAULT, CACHE_WRITE_BACK, CACHE_WRITE_COMBINING, CACHE_UNCACHED };

/* The tree guards node, prot, object and first_slot: the space's lock to write, the lock or the fault
 * path to read. */
struct region {
    struct region_node node; /* base, end */
    struct space *space;     /* immutable */
    struct object *object;   /* NULL: unbacked; immutable; holds a reference */
    struct list_node object_link;
    /* Index of the object's slot at base is first_slot; slots are page indices plus the object's
     * phase, see object.h. */
    uint64_t first_slot;
    uint64_t entry_bits; /* page-table bits that the rights give, ENTRY_WRITE included */
    uint8_t prot;        /* enum prot, or-ed */
    bool shared;         /* fork shares the object */
    bool stack;          /* a user program's stack pointer may be here */
    bool large;          /* 2 MiB pages are wanted; only then may the page tables have them */
    uint8_t cache;       /* enum cache; immutable */
    uint8_t usable;      /* the rights that faults may use: none without an object or when going */
    bool going;          /* being removed: a fault on it is segv */
    bool in_phase;       /* slot and address are equal modulo 512: a leaf and a table coincide */
};

static inline void region_set_prot(struct region *region, unsigned prot)
{
    uint64_t bits = ENTRY_USER;
    bits |= (prot & PROT_WRITE) != 0 ? ENTRY_WRITE : 0;
    bits |= (prot & PROT_EXEC) != 0 ? 0 : ENTRY_NO_EXEC;
    region->prot = (uint8_t)prot;
    region->usable = region->object ? (uint8_t)prot : PROT_NONE;
    region->entry_bits = bits;
}

/* The region is about to lose its entries: a fault on it is segv from here on. */
static inline void region_set_going(struct region *region)
{
    region->going = true;
    region->usable = PROT_NONE;
}

/* An unplaced region without an object and without rights. NULL: no memory. */
static inline struct region *region_create_bare(struct space *space)
{
    struct region *region = heap_alloc(sizeof *region);
    if (UNLIKELY(!region))
        return NULL;
    region->space = space;
    region->object = NULL;
    region->first_slot = 0;
    region->entry_bits = 0;
    region->prot = PROT_NONE;
    region->shared = false;
    region->stack = false;
    region->large = false;
    region->cache = CACHE_DEFAULT;
    region->usable = PROT_NONE;
    region->going = false;
    region->in_phase = false;
    return region;
}

static inline struct region *region_create(struct space *space, unsigned prot)
{
    struct region *region = region_create_bare(space);
    if (region)
        region_set_prot(region, prot);
    return region;
}

/* The page-table bits of the region's memory type; `usual` is what CACHE_DEFAULT means. */
static inline uint64_t region_cache_bits(const struct region *region, enum cache usual)
{
    static const uint64_t bits[] = {0, 0, ENTRY_WRITE_COMBINING, ENTRY_UNCACHED};
    return bits[region->cache == CACHE_DEFAULT ? usual : (enum cache)region->cache];
}

/* Of a region that is in no tree and of which nothing is mapped: gives its reference back. */
void region_destroy(struct region *region);
/* After first_slot or base has changed. */
static inline void region_update_phase(struct region *region)
{
    uint64_t page = region->node.base >> PAGE_SHIFT;
    region->in_phase = ((region->first_slot ^ page) % MACHINE_TABLE_ENTRIES) == 0;
}

/* Swallows the next region if it goes on where this one ends. As region_tree_join(). */
bool region_merge_next(struct region_tree *tree, struct region *region);

static inline virt_t region_base(const struct region *region)
{
    return virt(region->node.base);
}

static inline uint64_t region_size_bytes(const struct region *region)
{
    return region->node.end - region->node.base;
}

static inline uint64_t region_slot(const struct region *region, uint64_t address)
{
    return region->first_slot + ((address - region->node.base) >> PAGE_SHIFT);
}

static inline struct region *region_of_node(struct region_node *node)
{
    return node ? CONTAINER_OF(node, struct region, node) : NULL;
}

#endif
