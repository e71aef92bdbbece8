/* CPU features by CPUID, and the control registers that follow from them.
 *
 * Invariants: all CPUs run with the same control_state. Ring 3 has no way in but syscall and exceptions:
 * no SYSENTER, no call gates, IOPL 0, no I/O bitmap, no FSGSBASE; an FPU instruction there is a crash
 * of the user program (CR0.TS), so that no CPU has FPU state to keep. */
#include "x86_64/features.h"

#include "core/fmt.h"
#include "core/machine.h"
#include "core/text.h"
#include "x86_64/access.h"
#include "x86_64/descriptors.h"
#include "x86_64/instructions.h"

#define CR0_WANTED                                                                       \
    (1ull << 0 /* PE */ | 1ull << 1 /* MP */ | 1ull << 3 /* TS */ | 1ull << 4 /* ET */ | \
     1ull << 5 /* NE */ | 1ull << 16 /* WP */ | 1ull << 18 /* AM */ | 1ull << 31 /* PG */)

#define CR4_DE (1ull << 3)
#define CR4_PAE (1ull << 5)
#define CR4_MCE (1ull << 6)
#define CR4_PGE (1ull << 7)
#define CR4_OSFXSR (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define CR4_UMIP (1ull << 11)
#define CR4_LA57 (1ull << 12)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)

#define EFER_SCE (1ull << 0)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define EFER_NXE (1ull << 11)

/* Index 0 write-back, 1 (PWT) write-combining, 2 (PCD) uncached minus, 3 (both) uncached; twice. */
#define PAT_WANTED 0x0007010600070106ull

#define MISC_ENABLE_XD_DISABLE (1ull << 34)

/* syscall takes its segments from bits 47:32, sysret (not used) from 63:48. */
#define STAR_WANTED ((uint64_t)KERNEL_CODE << 32 | (uint64_t)KERNEL_DATA << 48)
/* Every flag that a user can set is clear in the kernel. */
#define SYSCALL_MASK_WANTED 0x257fd5ull

enum cpuid_register { REGISTER_EAX, REGISTER_EBX, REGISTER_ECX, REGISTER_EDX };

struct feature_place {
    const char *name;
    uint32_t leaf;
    uint8_t which; /* enum cpuid_register; subleaf 0 */
    uint8_t bit;
};

/* The names are those of `needs feature:NAME`. */
static const struct feature_place places[FEATURE_COUNT] = {
    [FEATURE_TSC] = {"tsc", 1, REGISTER_EDX, 4},
    [FEATURE_MSR] = {"msr", 1, REGISTER_EDX, 5},
    [FEATURE_APIC] = {"apic", 1, REGISTER_EDX, 9},
    [FEATURE_PGE] = {"pge", 1, REGISTER_EDX, 13},
    [FEATURE_PAT] = {"pat", 1, REGISTER_EDX, 16},
    [FEATURE_X2APIC] = {"x2apic", 1, REGISTER_ECX, 21},
    [FEATURE_TSC_DEADLINE] = {"tsc_deadline", 1, REGISTER_ECX, 24},
    [FEATURE_RDRAND] = {"rdrand", 1, REGISTER_ECX, 30},
    [FEATURE_HYPERVISOR] = {"hypervisor", 1, REGISTER_ECX, 31},
    [FEATURE_PCID] = {"pcid", 1, REGISTER_ECX, 17},
    [FEATURE_FSGSBASE] = {"fsgsbase", 7, REGISTER_EBX, 0},
    [FEATURE_SMEP] = {"smep", 7, REGISTER_EBX, 7},
    [FEATURE_ERMS] = {"erms", 7, REGISTER_EBX, 9},
    [FEATURE_INVPCID] = {"invpcid", 7, REGISTER_EBX, 10},
    [FEATURE_RDSEED] = {"rdseed", 7, REGISTER_EBX, 18},
    [FEATURE_SMAP] = {"smap", 7, REGISTER_EBX, 20},
    [FEATURE_UMIP] = {"umip", 7, REGISTER_ECX, 2},
    [FEATURE_PKU] = {"pku", 7, REGISTER_ECX, 3},
    [FEATURE_LA57] = {"la57", 7, REGISTER_ECX, 16},
    [FEATURE_NX] = {"nx", 0x80000001, REGISTER_EDX, 20},
    [FEATURE_1G] = {"1g", 0x80000001, REGISTER_EDX, 26},
    [FEATURE_RDTSCP] = {"rdtscp", 0x80000001, REGISTER_EDX, 27},
    [FEATURE_INVARIANT_TSC] = {"invariant_tsc", 0x80000007, REGISTER_EDX, 8},
    [FEATURE_INVLPGB] = {"invlpgb", 0x80000008, REGISTER_EBX, 3},
};

unsigned machine_levels;
uint8_t features_smap;
uint8_t features_no_execute;
static bool present[FEATURE_COUNT];

static bool detect(const struct feature_place *place)
{
    if (cpuid(place->leaf & 0x80000000, 0).eax < place->leaf)
        return false;
    struct cpuid r = cpuid(place->leaf, 0);
    uint32_t registers[] = {r.eax, r.ebx, r.ecx, r.edx};
    return (registers[place->which] >> place->bit & 1) != 0;
}

static bool is_intel(void)
{
    return cpuid(0, 0).ebx == 0x756e6547; /* "Genu" */
}

/* Firmware may have switched no-execute off on Intel CPUs; then CPUID denies it. */
static void enable_no_execute(void)
{
    if (!is_intel() || !detect(&places[FEATURE_MSR]) || detect(&places[FEATURE_HYPERVISOR]))
        return;
    uint64_t value = msr_read(MSR_MISC_ENABLE);
    if ((value & MISC_ENABLE_XD_DISABLE) != 0)
        msr_write(MSR_MISC_ENABLE, value & ~MISC_ENABLE_XD_DISABLE);
}

unsigned features_levels(void)
{
    return (cr4_read() & CR4_LA57) != 0 ? 5 : 4;
}

struct control_state features_with_levels(struct control_state state, unsigned levels)
{
    state.cr4 = levels == 5 ? state.cr4 | CR4_LA57 : state.cr4 & ~CR4_LA57;
    return state;
}

void features_detect(void)
{
    enable_no_execute();
    for (unsigned i = 0; i < FEATURE_COUNT; i++)
        present[i] = detect(&places[i]);
    features_smap = present[FEATURE_SMAP];
    features_no_execute = present[FEATURE_NX];
    machine_levels = features_levels();
}

void features_apply(void)
{
    enable_no_execute();
    if (present[FEATURE_PAT])
        msr_write(MSR_PAT, PAT_WANTED);
    msr_write(MSR_EFER, EFER_SCE | EFER_LME | EFER_LMA | (features_no_execute ? EFER_NXE : 0));
    cr0_write(CR0_WANTED);
    cr4_write(CR4_DE | CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT | (cr4_read() & CR4_LA57) |
              (present[FEATURE_PGE] ? CR4_PGE : 0) | (present[FEATURE_UMIP] ? CR4_UMIP : 0) |
              (present[FEATURE_SMEP] ? CR4_SMEP : 0) | (present[FEATURE_SMAP] ? CR4_SMAP : 0));
    cr3_write(cr3_read()); /* translations that were cached under the old PAT */

    msr_write(MSR_STAR, STAR_WANTED);
    msr_write(MSR_LSTAR, (uint64_t)syscall_entry);
    msr_write(MSR_SYSCALL_MASK, SYSCALL_MASK_WANTED);
    if (is_intel())
        msr_write(MSR_SYSENTER_CS, 0); /* SYSENTER is a protection fault */
}

struct control_state features_state(void)
{
    return (struct control_state){
        .cr0 = cr0_read(),
        .cr4 = cr4_read(),
        .efer = msr_read(MSR_EFER),
        .pat = msr_read(MSR_PAT),
        .star = msr_read(MSR_STAR),
        .lstar = msr_read(MSR_LSTAR),
        .syscall_mask = msr_read(MSR_SYSCALL_MASK),
    };
}

bool features_have(enum feature feature)
{
    return present[feature];
}

int machine_feature(const char *name)
{
    for (unsigned i = 0; i < FEATURE_COUNT; i++) {
        if (text_is(text_of(name), places[i].name))
            return present[i];
    }
    return -1;
}

void features_list(char *text, size_t size_bytes)
{
    size_t length = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < FEATURE_COUNT && length < size_bytes; i++) {
        if (present[i])
            length += fmt_print(text + length, size_bytes - length, "%s%s", length > 0 ? " " : "",
                                places[i].name);
    }
}
