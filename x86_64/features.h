/* What the CPU can do, and the state that every CPU is put into. */
#ifndef X86_64_FEATURES_H
#define X86_64_FEATURES_H

#include "core/types.h"

enum feature {
    FEATURE_TSC,
    FEATURE_MSR,
    FEATURE_APIC,
    FEATURE_PGE,
    FEATURE_PAT,
    FEATURE_X2APIC,
    FEATURE_TSC_DEADLINE,
    FEATURE_RDRAND,
    FEATURE_HYPERVISOR,
    FEATURE_PCID,
    FEATURE_FSGSBASE,
    FEATURE_SMEP,
    FEATURE_ERMS,
    FEATURE_INVPCID,
    FEATURE_RDSEED,
    FEATURE_SMAP,
    FEATURE_UMIP,
    FEATURE_PKU,
    FEATURE_LA57,
    FEATURE_NX,
    FEATURE_1G,
    FEATURE_RDTSCP,
    FEATURE_INVARIANT_TSC,
    FEATURE_INVLPGB,
    FEATURE_COUNT,
};

/* The registers that must be the same on every CPU. */
struct control_state {
    uint64_t cr0, cr4, efer, pat, star, lstar, syscall_mask;
};

/* For assembly and for what must be quick: is SMAP on, are there no-execute pages? Immutable after
 * features_detect(). */
extern uint8_t features_smap;
extern uint8_t features_no_execute;

/* Once, on the first CPU. */
void features_detect(void);
/* Puts this CPU into the state that the core wants; %gs and the descriptor tables are not in it. */
void features_apply(void);
struct control_state features_state(void);
/* How many levels the page tables have that this CPU uses now; machine_levels is what it will be. */
unsigned features_levels(void);
struct control_state features_with_levels(struct control_state state, unsigned levels);
bool features_have(enum feature feature);
/* Writes the names of those present, separated by blanks; terminated, cut if need be. */
void features_list(char *text, size_t size_bytes);

#endif
