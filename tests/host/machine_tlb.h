/* Address translation of a simulated CPU: page tables walked in software, through a TLB that keeps
 * what it has until it is told otherwise. */
#ifndef TESTS_HOST_MACHINE_TLB_H
#define TESTS_HOST_MACHINE_TLB_H

#include "machine_sim.h"

struct sim_tlb;

struct sim_tlb *sim_tlb_create(void);

enum sim_access { SIM_READ, SIM_WRITE, SIM_EXEC };

struct sim_request {
    phys_t root;
    uint64_t address; /* canonical */
    enum sim_access access;
    bool user;
    bool unprotected; /* CR0.WP is off: the kernel writes what is read-only */
};

/* The physical address, with accessed and dirty bits set as a CPU does; PHYS_NONE: a page fault. */
phys_t sim_tlb_translate(struct sim_tlb *tlb, const struct sim_request *request);

void sim_tlb_flush_page(struct sim_tlb *tlb, uint64_t address);
/* All but the global translations, of the root that is loaded. */
void sim_tlb_flush_all(struct sim_tlb *tlb);
/* From now on translations go by this root; the first of its tag again as after a flush. */
void sim_tlb_load_root(struct sim_tlb *tlb, phys_t root);

struct sim_translation sim_tlb_look_up(const struct sim_tlb *tlb, uint64_t address);
struct sim_translation sim_tables_look_up(phys_t root, uint64_t address);

#endif
