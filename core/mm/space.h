/* An address space: region tree, page directory, accounting; what a process or the kernel sees.
 *
 * Concepts: every operation validates, reserves and commits: on any failure the space is as it was.
 * Ranges are half-open, addresses and sizes are bytes.
 * Errors common to all: EINVAL zero or unaligned size or address; ERANGE outside the space or overflow.
 * Locking: operations take the space's lock themselves; callers hold none of rank space or below. */
#ifndef CORE_MM_SPACE_H
#define CORE_MM_SPACE_H

#include "core/check.h"
#include "core/cpu_set.h"
#include "core/fault_outcome.h"
#include "core/lock.h"
#include "core/mm/page_directory.h"
#include "core/mm/region.h"
#include "core/mm/region_tree.h"
#include "core/result.h"

/* The range in which user regions may be placed; above it lies the harness window. */
#define SPACE_USER_LOW (2 * MIB)
uint64_t space_user_high(void);

struct space {
    struct lock lock;
    struct region_tree tree;
    struct page_directory directory;
    struct cpu_set cpus; /* that have its root loaded: from before they do until after */
    uint32_t cpu_count;  /* how many that are; atomic */
    /* Where an operation keeps faults off; written under the lock, read by faults without; part.h. */
    uint64_t busy_base;
    uint64_t busy_bytes;       /* 0: nowhere */
    uint64_t changes;          /* check level 2: since the tree was walked last */
    struct random random;      /* of random placement */
    struct list_node all_link; /* in mm.spaces */
    bool aslr;                 /* places are drawn where the lowest one would do */
    bool first_fit; /* the lowest place that fits will do: no aslr, nothing mapped one to one */
    struct list_node
        identities; /* struct region.object_link: mapped one to one, space_identity.h */
};

/* Has another CPU the space loaded? Who comes in later knows nothing of how it was before. */
static inline bool space_is_elsewhere(const struct space *space, const struct cpu *cpu)
{
    /* Pairs with enter() in space.c. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(&space->cpu_count, __ATOMIC_ACQUIRE) != (cpu->space == space);
}

struct range {
    uint64_t base;
    uint64_t size_bytes;
};

enum map_at { MAP_AT_ANY, MAP_AT_FIXED, MAP_AT_RANDOM };
enum if_taken { IF_TAKEN_REFUSE, IF_TAKEN_REPLACE, IF_TAKEN_ELSEWHERE };

struct map_args {
    uint64_t size_bytes;
    unsigned prot; /* enum prot, or-ed */
    enum map_at at;
    uint64_t address; /* with MAP_AT_FIXED */
    enum if_taken if_taken;
    uint64_t align_bytes;  /* a power of two, at least a page */
    struct object *object; /* what to show; NULL: fresh anonymous memory */
    uint64_t offset_bytes; /* in the object */
    bool shared;           /* fork shares the object instead of copying it */
    bool stack;            /* a user program's stack pointer may be here */
    bool large;            /* 2 MiB pages where alignment and free memory allow */
    enum cache cache;      /* other than the default: where the memory type allows it */
    bool unbacked;         /* no object: the range is only reserved */
    bool commit;           /* promise every page now: a later fault cannot fail for want of one */
    bool populate; /* map every page now, as writes would (reads, where the rights say so) */
};

/* A new, empty space; costs one frame. ENOMEM. */
result_t space_create(struct space **space);
/* From now on MAP_AT_ANY is MAP_AT_RANDOM, but above SPACE_FIXED_HIGH while there is room, so that the
 * addresses which programs are linked at stay free. Children and new images inherit it. */
#define SPACE_FIXED_HIGH (4 * GIB)
void space_set_aslr(struct space *space, bool on);
/* Unmaps everything and frees the space. If this CPU has it loaded, the kernel's root is loaded first; no
 * other may have it loaded. Flushes nothing. O(pages present / 512 + regions + frames freed). */
void space_destroy(struct space *space);

/* Maps an object, fresh anonymous memory, or reserves a range. ERANGE: beyond the object's end; EACCES:
 * rights that the object does not give; ENOTSUP: a memory type that it does not; EEXIST: taken (IF_TAKEN_REFUSE), or mapped one to one;
 * ENOMEM: no hole, commitment, frame or kernel object; what populate has made by then in an object that
 * others know stays there. O(log regions), plus what populate costs. */
result_t space_map(struct space *space, const struct map_args *args, virt_t *base);
/* Unmaps what is mapped in the range, splitting regions at its ends; passes over what is not. ENOMEM
 * when a split has no memory. */
result_t space_unmap(struct space *space, struct range range);
/* Changes rights, splitting at the ends and merging neighbours that fit. ENOENT if any page of the
 * range is not mapped; EACCES: the object does not give the right; ENOMEM. */
result_t space_protect(struct space *space, struct range range, unsigned prot);
/* Grows or shrinks, in place, what was mapped as `range`: its last region ends where the range ends.
 * ENOMEM: no hole behind it, or behind its memory, a part of which was moved away; or no memory;
 * ERANGE: beyond the end of a named object; ENOENT: nothing is mapped at the range's end. */
result_t space_resize(struct space *space, struct range range, uint64_t size_bytes);
/* Moves all regions of the range, which none of them leaves, to another address: page tables move,
 * bytes do not. EEXIST: taken; ENOENT: nothing is mapped; EINVAL: a region crosses the range's end;
 * ENOMEM. O(tables) where source and target are congruent modulo 2 MiB, else O(pages). */
result_t space_move(struct space *space, struct range range, enum map_at at, uint64_t address,
                    virt_t *base);

enum advice { ADVICE_DONTNEED, ADVICE_WILLNEED };
/* DONTNEED forgets the content of private memory (it reads as zero, and its promise is back), and the
 * entries of any other; WILLNEED maps what a read would. ENOENT: a part is not mapped or has no
 * object; ENOMEM. */
result_t space_advise(struct space *space, struct range range, enum advice advice);
/* Content of the object that the range shows, all of it, may go when frames run out, or may not any
 * more; *purged: it has gone since it might. ENOENT; ENOTSUP: this memory cannot be volatile; EINVAL:
 * the range shows more than one object; ENOMEM: no frames for what is to be promised again. */
result_t space_set_volatile(struct space *space, struct range range, bool to_volatile,
                            bool *purged);

/* Writes what has changed in files that the range shares back to their devices. ENOENT: a part is not
 * mapped or has no object; ENOTSUP: a part is no shared file that can be written; EIO. */
result_t space_sync(struct space *space, struct range range);

/* Maps what `from` shows at an address, shared and with the same rights: size_bytes of it, at args->at.
 * args->object, offset, size and rights are ignored. ENOENT: nothing with an object is mapped there; EINVAL: more than one region;
 * else as space_map(). */
result_t space_share(struct space *space, const struct map_args *args, struct space *from,
                     struct range range, virt_t *base);

/* What exec leaves: the three regions of a program. */
struct image {
    struct range text;  /* read and execute, populated, filled with 0xC3 (ret) */
    struct range data;  /* read and write, populated, zero */
    struct range stack; /* read and write, lazy; an unbacked guard page lies below */
};
/* Replaces all that the space maps by a fresh image; sizes are taken from *image, addresses are put
 * there. ENOMEM and EINVAL: the space is as it was. */
result_t space_exec(struct space *space, struct image *image);

/* A copy: private regions copy-on-write; without what is mapped one to one. O(regions + pages with data / 512). ENOMEM. */
result_t space_fork(struct space *parent, struct space **child);

/* Unmapping in two steps, for operations that replace what is there. reserve may fail (ENOMEM) and
 * changes nothing that can be seen, but keeps faults off; commit takes over the plan, cannot fail, and lets them in again. */
struct unmap_plan {
    struct region *first;        /* the lowest region that the range touches; NULL: none */
    struct region *tail;         /* for a hole inside one region */
    struct dead_regions dead;    /* out of the tree, to be destroyed */
    struct frame_reserve frames; /* for what must be copied before a part of it is discarded */
};
result_t space_unmap_reserve_locked(struct space *space, struct range range,
                                    struct unmap_plan *plan) REQUIRES(space->lock);
void space_unmap_commit_locked(struct space *space, struct range range, struct unmap_plan *plan)
    REQUIRES(space->lock);
result_t space_map_locked(struct space *space, const struct map_args *args, virt_t *base)
    REQUIRES(space->lock);
/* Places a node wherever the space would place a region, as space_set_aslr() says. ENOMEM: no hole. */
result_t space_place_node(struct space *space, struct region_node *node, uint64_t size_bytes,
                          uint64_t align_bytes) REQUIRES(space->lock);
/* Takes a whole region away. */
void space_remove_locked(struct space *space, struct region *region) REQUIRES(space->lock);

/* Check level 2, after each change: panics when the space's structures are not sound. O(regions), but
 * large trees are walked only once in as many changes as they have regions. */
void space_verify_structure(struct space *space);

static inline void space_check(struct space *space)
{
    if (UNLIKELY(check_level >= 2))
        space_verify_structure(space);
}

/* Makes the space this CPU's; NULL: the kernel's own. No-op if it is already. */
void space_load(struct space *space);
/* Finds the region at an address as a fault does; NULL if there is none. In a section (section.h), with
 * the space loaded: then nothing is freed that is found. Leaves the section for a moment, and waits for
 * the space's lock, when the tree is being changed. */
const struct region_node *space_lookup_slowly(struct space *space, uint64_t address);
static inline const struct region_node *space_lookup(struct space *space, uint64_t address)
{
    struct region_node *node;
    uint64_t seen;
    if (UNLIKELY(!region_tree_try_find(&space->tree, address, &node, &seen)))
        return space_lookup_slowly(space, address);
    return node;
}

/* What a fault at `address` does; machine_fault_handler is set to a wrapper of it. */
enum fault_outcome space_fault(uint64_t address, unsigned access);
/* The same at check level 2, where no write window may be open when user code faults. */
enum fault_outcome space_fault_checked(uint64_t address, unsigned access);
/* Writes a word of the space's own structure, as it is, outside of any window: *outcome is FAULT_PROT
 * when that was refused, else FAULT_RESOLVED. ENOTSUP below check level 2. */
result_t space_stray_write(struct space *space, enum fault_outcome *outcome);

/* What the kernel asks of a user program's stack pointer whenever it is entered: FAULT_SEGV, counted as a
 * fault that was denied, unless it lies in a region that is a stack, whatever its rights. O(log regions). */
enum fault_outcome space_check_stack(struct space *space, uint64_t stack_pointer);

struct mismatch {
    uint64_t address;
    uint64_t expected;
    uint64_t found;
};
/* Writes or checks splitmix64(pattern ^ (offset / 8)) at every 8 bytes of the range, through the
 * objects: allocates pages, but makes no page-table entries and takes no faults. `offset` is that of the range's first
 * byte. Range may start and end at any multiple of 8. ENOENT: a part is not mapped or has no object;
 * ENOMEM. Verify returns EFAULT with *mismatch at the first difference. */
result_t space_fill(struct space *space, struct range range, uint64_t pattern, uint64_t offset);
result_t space_verify(struct space *space, struct range range, uint64_t pattern, uint64_t offset,
                      struct mismatch *mismatch);

/* Writes the same word to every 8 bytes of the range, in the same way. ENOENT, ENOMEM. */
result_t space_set_words(struct space *space, struct range range, uint64_t word);

/* For the variables of scripts. */
uint64_t space_region_count(const struct space *space);
uint64_t space_resident_pages(struct space *space);                        /* O(tables) */
uint64_t space_resident_pages_in(struct space *space, struct range range); /* O(tables in it) */
uint64_t space_table_frames(const struct space *space);                    /* O(1) */
/* CRC over regions, rights and contents; O(bytes). */
uint32_t space_digest(struct space *space);
/* Longest row of consecutive frames behind the range. */
uint64_t space_frame_run(struct space *space, struct range range);

#endif
