/* The simulated TLB: as forgetful as a real one may be, and as stubborn.
 *
 * Concepts: two caches for each CPU, as the SDM describes them (vol. 3A, 4.10): translations of pages,
 * with the rights of all levels already combined; and level-2 entries, so that a walk may start from a
 * table that is no longer there. Neither ever holds what is not present. A refused access drops what
 * the caches say about the address and walks once more before it becomes a fault, as CPUs do. Both
 * caches are direct-mapped; a stale translation therefore lives until its slot is needed, which is the
 * longest that hardware may keep it too. Both have tags, which stand for page directories as PCIDs do:
 * translations outlive the time that their root is loaded, and are found again under the same tag
 * unless loading a root of that tag flushed them.
 * Locking: a TLB belongs to its CPU's thread; page tables are read and marked atomically. */
#include "machine_tlb.h"

#include <stdlib.h>

#include "core/machine.h"
#include "core/panic.h"

#define TAGS 4096
#define PAGES_CACHED 1536
#define TABLES_CACHED 64
#define LARGE_ALIGN_BIT 12 /* PAT of a large page: the only bit below its size that may be set */

/* What the levels above allow together, and who asked for it last. */
struct cached {
    bool valid;
    bool writable;
    bool user;
    bool executable;
    bool global;
    bool dirty;
    unsigned level; /* of the page that this is a piece of; 2 for a cached table */
    uint64_t key;   /* address >> 12, or >> 21 for a table */
    unsigned tag;
    uint64_t generation;
    phys_t frame; /* of the 4 KiB piece, or of the table */
};

/* Where a walk has ended, and what was there. */
struct leaf_entry {
    entry_t *place;
    entry_t entry;
};

struct sim_tlb {
    unsigned tag;               /* of the root that is loaded */
    uint64_t generations[TAGS]; /* of what is not global; a flush begins a new one */
    uint64_t table_generation;  /* of all tags */
    bool has_large;
    struct cached pages[PAGES_CACHED];
    struct cached tables[TABLES_CACHED];
};

struct sim_tlb *sim_tlb_create(void)
{
    struct sim_tlb *tlb = calloc(1, sizeof(*tlb));
    if (tlb == NULL)
        abort();
    return tlb;
}

/* --- the caches ------------------------------------------------------------------------------------ */

static struct cached *page_slot(const struct sim_tlb *tlb, uint64_t address)
{
    return (struct cached *)&tlb->pages[(address >> PAGE_SHIFT) % PAGES_CACHED];
}

static struct cached *table_slot(const struct sim_tlb *tlb, uint64_t address)
{
    return (struct cached *)&tlb->tables[(address >> 21) % TABLES_CACHED];
}

static const struct cached *find_page(const struct sim_tlb *tlb, uint64_t address)
{
    const struct cached *slot = page_slot(tlb, address);
    bool current =
        slot->global || (slot->tag == tlb->tag && slot->generation == tlb->generations[slot->tag]);
    return slot->valid && current && slot->key == address >> PAGE_SHIFT ? slot : NULL;
}

static const struct cached *find_table(const struct sim_tlb *tlb, uint64_t address)
{
    const struct cached *slot = table_slot(tlb, address);
    bool current = slot->tag == tlb->tag && slot->generation == tlb->table_generation;
    return slot->valid && current && slot->key == address >> 21 ? slot : NULL;
}

void sim_tlb_flush_page(struct sim_tlb *tlb, uint64_t address)
{
    struct cached *slot = page_slot(tlb, address);
    if (slot->key == address >> PAGE_SHIFT)
        slot->valid = false;
    /* INVLPG drops every cached table, wherever the address is. */
    tlb->table_generation++;
    if (!tlb->has_large)
        return;

    /* One flush ends all pieces of a large page. */
    for (size_t i = 0; i < PAGES_CACHED; i++) {
        uint64_t mask = ~(machine_level_size(tlb->pages[i].valid ? tlb->pages[i].level : 1) - 1);
        if (((tlb->pages[i].key << PAGE_SHIFT) & mask) == (address & mask))
            tlb->pages[i].valid = false;
    }
}

void sim_tlb_flush_all(struct sim_tlb *tlb)
{
    tlb->generations[tlb->tag]++;
    tlb->table_generation++;
}

void sim_tlb_load_root(struct sim_tlb *tlb, phys_t root)
{
    tlb->tag = (root.value >> PAGE_SHIFT) % TAGS;
    sim_tlb_flush_all(tlb);
}

/* --- the walk ---------------------------------------------------------------------------------------- */

static entry_t *entry_at(phys_t table, uint64_t address, unsigned level)
{
    if (!sim_is_ram(table))
        panic("page tables: the level-%u table of 0x%llx is at 0x%llx, which is not memory", level,
              (unsigned long long)address, (unsigned long long)table.value);
    return (entry_t *)machine_phys_to_virt(table) + machine_table_index(address, level);
}

/* What a CPU answers with a page fault for reserved bits, which nothing here could resolve. */
static void check_reserved(entry_t entry, uint64_t address, unsigned level)
{
    uint64_t reserved = 0;
    if (level >= 4)
        reserved = ENTRY_LARGE;
    else if (level > 1 && entry_is_page(entry, level))
        reserved =
            (machine_level_size(level) - 1) & ENTRY_ADDRESS_MASK & ~(1ull << LARGE_ALIGN_BIT);
    if ((entry & reserved) != 0)
        panic("page tables: the level-%u entry of 0x%llx has reserved bits set: 0x%llx", level,
              (unsigned long long)address, (unsigned long long)entry);
}

static bool allows(const struct cached *cached, const struct sim_request *request)
{
    if (request->user && !cached->user)
        return false;
    switch (request->access) {
    case SIM_READ:
        return true;
    case SIM_WRITE:
        return cached->writable || (!request->user && request->unprotected);
    case SIM_EXEC:
        return cached->executable && cached->user == request->user; /* SMEP */
    }
    return false;
}

/* What a walk has found, with further bits set in the table, as CPUs do that: only if it is still there.
 * False: it has changed, and *entry is what it is now. */
static bool mark_entry(entry_t *place, entry_t *entry, uint64_t bits)
{
    if ((*entry & bits) == bits)
        return true;
    if (!__atomic_compare_exchange_n(place, entry, *entry | bits, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_ACQUIRE))
        return false;
    *entry |= bits;
    return true;
}

/* Walks on from *found, which stands for the entry above `level`, down to a page. With `mark` sets
 * accessed bits on the way. False when something is not present. */
static bool walk(struct cached *found, uint64_t address, unsigned level, bool mark,
                 struct sim_tlb *tlb, struct leaf_entry *leaf)
{
    for (;; level--) {
        entry_t *place = entry_at(found->frame, address, level);
        entry_t entry = __atomic_load_n(place, __ATOMIC_ACQUIRE);
        do {
            if (!entry_is_present(entry))
                return false;
        } while (mark && !mark_entry(place, &entry, ENTRY_ACCESSED));
        check_reserved(entry, address, level);

        found->writable &= entry_is_writable(entry);
        found->user &= entry_is_user(entry);
        found->executable &= entry_is_executable(entry);
        found->frame = entry_phys(entry);
        found->level = level;
        if (entry_is_page(entry, level)) {
            uint64_t size = machine_level_size(level);
            uint64_t base = found->frame.value & ~(size - 1);
            found->frame = phys(base + (address & (size - 1) & ~PAGE_MASK));
            found->global = entry_is_global(entry);
            found->dirty = entry_is_dirty(entry);
            found->key = address >> PAGE_SHIFT;
            *leaf = (struct leaf_entry){place, entry};
            return true;
        }
        if (level == 2 && mark) {
            struct cached *slot = table_slot(tlb, address);
            *slot = *found;
            slot->valid = true;
            slot->key = address >> 21;
            slot->tag = tlb->tag;
            slot->generation = tlb->table_generation;
        }
    }
}

static struct cached above_root(phys_t root)
{
    return (struct cached){.writable = true, .user = true, .executable = true, .frame = root};
}

/* Fills the TLB for a request; false when it must fault. */
static bool fill(struct sim_tlb *tlb, const struct sim_request *request, bool from_cached_table)
{
    const struct cached *table = from_cached_table ? find_table(tlb, request->address) : NULL;
    unsigned level = table != NULL ? 1 : machine_levels;
    uint64_t bits = request->access == SIM_WRITE ? ENTRY_DIRTY : 0;
    struct cached found;
    struct leaf_entry leaf;

    do {
        found = table != NULL ? *table : above_root(request->root);
        if (!walk(&found, request->address, level, true, tlb, &leaf) || !allows(&found, request))
            return false;
    } while (!mark_entry(leaf.place, &leaf.entry, bits));
    found.dirty |= bits != 0;
    found.valid = true;
    found.tag = tlb->tag;
    found.generation = tlb->generations[tlb->tag];
    tlb->has_large |= found.level > 1;
    *page_slot(tlb, request->address) = found;
    return true;
}

phys_t sim_tlb_translate(struct sim_tlb *tlb, const struct sim_request *request)
{
    const struct cached *cached = find_page(tlb, request->address);
    bool usable = cached != NULL && allows(cached, request) &&
                  (request->access != SIM_WRITE || cached->dirty);

    if (!usable) {
        /* The entry goes before the second walk: a fault invalidates what it was about. */
        page_slot(tlb, request->address)->valid = false;
        if (!fill(tlb, request, true)) {
            table_slot(tlb, request->address)->valid = false;
            if (!fill(tlb, request, false))
                return PHYS_NONE;
        }
        cached = find_page(tlb, request->address);
    }
    return phys(cached->frame.value + (request->address & PAGE_MASK));
}

/* --- for tests ----------------------------------------------------------------------------------------- */

static struct sim_translation translation_of(const struct cached *cached)
{
    if (cached == NULL)
        return (struct sim_translation){.frame = PHYS_NONE};
    return (struct sim_translation){
        .present = true,
        .writable = cached->writable,
        .user = cached->user,
        .executable = cached->executable,
        .frame = cached->frame,
    };
}

struct sim_translation sim_tlb_look_up(const struct sim_tlb *tlb, uint64_t address)
{
    return translation_of(find_page(tlb, address));
}

struct sim_translation sim_tables_look_up(phys_t root, uint64_t address)
{
    struct cached found = above_root(root);
    struct leaf_entry leaf;
    bool present = walk(&found, address, machine_levels, false, NULL, &leaf);
    return translation_of(present ? &found : NULL);
}
