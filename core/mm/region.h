/* A region: a range of a space, its rights, and the window of an object that it shows.
 *
 * Invariants: base < end, both page aligned; linked into its object's list of regions exactly while it
 * is in a tree and has an object; an unbacked region has no object and nothing mapped.
 * Locking: regions change under their space's lock, while faults, which find them without any lock, are
 * kept off (part.h); and under that of their object, unless it is alone (object.h): so who walks an object's list of
 * regions sees each as it is. */
#ifndef CORE_MM_REGION_H
#define CORE_MM_REGION_H

#include "core/fault_outcome.h"
#include "core/list.h"
#include "core/mm/heap.h"
#include "core/mm/region_tree.h"
#include "core/result.h"

struct object;
struct space;

/* Rights; or-ed. */
enum prot { PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };
#define PROT_ALL (PROT_READ | PROT_WRITE | PROT_EXEC)

/* How the CPU caches what a region shows. */
enum cache { CACHE_DEFAULT, CACHE_WRITE_BACK, CACHE_WRITE_COMBINING, CACHE_UNCACHED };

struct region {
    struct region_node node; /* base, end */
    struct space *space;     /* immutable */
    struct object *object;   /* NULL: unbacked; immutable once `usable` is set; holds a reference */
    struct list_node object_link;
    /* The object's slot at an address is the address's page number plus this, modulo 2^64: so what a fault needs to
     * know stays as it is when the region is cut or joined. Slots: object.h. */
    uint64_t slot_bias;
    uint64_t entry_bits; /* page-table bits that the rights give, ENTRY_WRITE included */
    union {
        struct {
            uint8_t prot;   /* enum prot, or-ed */
            bool shared;    /* fork shares the object */
            bool stack;     /* a user program's stack pointer may be here */
            bool large;     /* 2 MiB pages are wanted; only then may the page tables have them */
            uint8_t cache;  /* enum cache; immutable */
            uint8_t usable; /* the rights that faults may use: none without an object */
            bool in_phase;  /* slot and address are equal modulo 512: a leaf and a table coincide;
                             * false without an object */
        };
        uint64_t traits; /* all of these, to be copied and compared */
    };
};

/* Faults read it before they have a lock: what they need besides was written before. */
static inline void region_set_usable(struct region *region, unsigned prot)
{
    __atomic_store_n(&region->usable, (uint8_t)prot, __ATOMIC_RELEASE);
}

/* The page-table bits that rights give. */
static inline uint64_t region_bits_of(unsigned prot)
{
    static const uint64_t bits[PROT_ALL + 1] = {
        [PROT_NONE] = ENTRY_USER | ENTRY_NO_EXEC,
        [PROT_READ] = ENTRY_USER | ENTRY_NO_EXEC,
        [PROT_WRITE] = ENTRY_USER | ENTRY_NO_EXEC | ENTRY_WRITE,
        [PROT_READ | PROT_WRITE] = ENTRY_USER | ENTRY_NO_EXEC | ENTRY_WRITE,
        [PROT_EXEC] = ENTRY_USER,
        [PROT_READ | PROT_EXEC] = ENTRY_USER,
        [PROT_WRITE | PROT_EXEC] = ENTRY_USER | ENTRY_WRITE,
        [PROT_ALL] = ENTRY_USER | ENTRY_WRITE,
    };
    return bits[prot & PROT_ALL];
}

static inline void region_set_prot(struct region *region, unsigned prot)
{
    region->prot = (uint8_t)prot;
    region->entry_bits = region_bits_of(prot);
    region_set_usable(region, region->object ? prot : PROT_NONE);
}

/* The right that an access needs. */
static inline unsigned region_right_for(unsigned access)
{
    static const uint8_t rights[4] = {
        [ACCESS_READ] = PROT_READ,
        [ACCESS_WRITE] = PROT_WRITE,
        [ACCESS_EXEC] = PROT_EXEC,
        [ACCESS_WRITE | ACCESS_EXEC] = PROT_WRITE,
    };
    return rights[access & 3];
}

/* Does the region, seen without a lock, seem to allow it? */
static inline bool region_allows(const struct region *region, unsigned access)
{
    return (__atomic_load_n(&region->usable, __ATOMIC_ACQUIRE) & region_right_for(access)) != 0;
}

/* Memory for a region, which region_split() or region_carve() makes one. NULL: none. */
static inline struct region *region_alloc(void)
{
    return heap_alloc(sizeof(struct region));
}

static inline void region_free(struct region *region)
{
    heap_free(region, sizeof *region);
}

/* An unplaced region without an object and without rights. NULL: no memory. */
static inline struct region *region_create_bare(struct space *space)
{
    struct region *region = region_alloc();
    if (UNLIKELY(!region))
        return NULL;
    region->space = space;
    region->object = NULL;
    region->slot_bias = 0;
    region->entry_bits = 0;
    region->traits = 0;
    return region;
}

static inline struct region *region_create(struct space *space, unsigned prot)
{
    struct region *region = region_create_bare(space);
    if (LIKELY(region != NULL)) {
        region->prot = (uint8_t)prot;
        region->entry_bits = region_bits_of(prot);
    }
    return region;
}

/* The page-table bits of the region's memory type; `usual` is what CACHE_DEFAULT means. Write-combining
 * is uncached on a machine that has none. */
uint64_t region_cache_bits(const struct region *region, enum cache usual);

/* Of a region that is in no tree and of which nothing is mapped: gives its reference back. */
void region_destroy(struct region *region);
/* What the placed region shows from its base on. */
static inline void region_set_first_slot(struct region *region, uint64_t first_slot)
{
    region->slot_bias = first_slot - (region->node.base >> PAGE_SHIFT);
    region->in_phase = region->slot_bias % MACHINE_TABLE_ENTRIES == 0;
}

/* Regions that have left their tree, and that other CPUs may still look at. */
struct dead_regions {
    struct region_node *first; /* linked by `parent` */
};

static inline void region_bury(struct dead_regions *dead, struct region *region)
{
    region->node.parent = dead->first;
    dead->first = &region->node;
}

void region_destroy_buried(struct dead_regions *dead);

/* Destroys them when no CPU can look at them any more: faults of a CPU that has their space loaded do. Not in
 * a section, nor with a lock held that is taken inside one. */
static inline void region_destroy_dead(struct dead_regions *dead)
{
    if (dead->first)
        region_destroy_buried(dead);
}

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
    return (address >> PAGE_SHIFT) + region->slot_bias;
}

static inline uint64_t region_first_slot(const struct region *region)
{
    return region_slot(region, region->node.base);
}

static inline uint64_t region_end_slot(const struct region *region)
{
    return region_slot(region, region->node.end);
}

static inline uint64_t region_address(const struct region *region, uint64_t slot)
{
    return (slot - region->slot_bias) << PAGE_SHIFT;
}

static inline struct region *region_of_node(struct region_node *node)
{
    return node ? CONTAINER_OF(node, struct region, node) : NULL;
}

#endif
