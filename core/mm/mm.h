/* The virtual-memory core as a whole: start, figures, audit.
 *
 * Locking: mm_init() before other CPUs run; the rest anywhere without locks held. */
#ifndef CORE_MM_MM_H
#define CORE_MM_MM_H

#include "core/boot_info.h"
#include "core/machine.h"
#include "core/result.h"

/* Builds the frame database from the memory map, the kernel's own page tables and regions, and loads
 * them. ENOMEM with a log line when the machine has too little memory. */
result_t mm_init(const struct boot_info *boot);
/* What core/machine.h wants of the core. */
const struct machine_services *mm_machine_services(void);
/* With all CPUs up: gives back the boot-time memory, builds the harness window shared by all spaces, arms the fault
 * handler. */
result_t mm_start(void);

/* Memory for the harness (scripts, samples), in no counter; taken once, for ever. At least 4 MiB,
 * about 1/16 of memory, at most 64 MiB. Direct map. */
void *mm_harness_memory(uint64_t *size_bytes);

uint64_t mm_memory_bytes(void);    /* all RAM of the machine */
uint64_t mm_usable_bytes(void);    /* `$memory`: frames that scenarios can ever have */
uint64_t mm_free_bytes(void);      /* `$free`: free and promised to nobody */
uint64_t mm_committed_pages(void); /* promised and not yet used */

/* Everything random in the core follows from this; set before the first space is made. */
void mm_set_seed(uint64_t seed);

/* policy.map_around: how many pages a read fault on a resident page of a file maps, 0 (that one) or 16. */
void mm_set_map_around(unsigned page_count);

/* Fails the N-th of the allocations to come (frames and kernel objects alike), or every N-th; 0: off. */
struct mm_inject {
    uint64_t nth;
    bool every;
};
void mm_inject(struct mm_inject inject);
/* Has an allocation failed since mm_inject() was last switched on? */
bool mm_inject_fired(void);
/* What this CPU asks for in between, for the harness, does not count. */
void mm_inject_suspend(void);
void mm_inject_resume(void);

/* Takes `count` frames in a row that end at `below` or lower (0: anywhere), uncleared; for measuring. A
 * single one comes the way all others do. ENOMEM. */
result_t mm_frames_take(uint64_t count, phys_t below, phys_t *first);
void mm_frames_give(phys_t first, uint64_t count);

/* Takes frames from scenarios until `free_bytes` are left free and unpromised; never reclaims. EINVAL: there
 * is less already. mm_squeeze_end() gives them back. */
result_t mm_squeeze(uint64_t free_bytes);
void mm_squeeze_end(void);
/* Wins frames as an allocation would; returns how many. */
uint64_t mm_reclaim(uint64_t page_count);

/* What is wrong, in one line; says which object, region or frame. */
struct audit_report {
    char text[256];
};
/* Proves from scratch, for the whole machine, that every frame has one use and the right count, every
 * entry of a page table is what its region and object say, trees are sound, commitments add up. False with the first
 * finding in *report. O(frames + entries). */
bool mm_audit(struct audit_report *report);

/* Test hooks, for `make mutants`, panics on purpose and audits that must find something: nothing here
 * is called by the core itself. */
void mm_debug_leak_frame(void);
/* Takes a page away from all CPUs, but flushes only this one, if there are others: the check panics. */
void mm_debug_stale_translation(void);

#endif
