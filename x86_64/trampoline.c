/* Filling in the page below 1 MiB. See trampoline.h. */
#include "x86_64/trampoline.h"

#include "core/machine.h"
#include "core/text.h"

#define TRAMPOLINE_MAX 0x100000ull

#define CR0_CACHE_OFF (3ull << 29)
#define CR4_NEEDED (1ull << 5 | 1ull << 12) /* PAE, LA57 */
#define EFER_LMA (1ull << 10)

extern const char trampoline_start[], trampoline_data[], trampoline_end[];
void trampoline_cross(uint64_t page, uint64_t *stack);
void trampoline_crossed(void);

_Static_assert(offsetof(struct trampoline_data, expected) == 64, "trampoline.asm");

bool trampoline_is_usable(const struct boot_info *boot)
{
    return boot->trampoline != 0 && boot->trampoline < TRAMPOLINE_MAX;
}

struct trampoline_data *trampoline_prepare(uint64_t page, const struct control_state *state,
                                           phys_t root)
{
    char *copy = machine_phys_to_virt(phys(page));
    memcpy(copy, trampoline_start, (size_t)(trampoline_end - trampoline_start));
    struct trampoline_data *data =
        (struct trampoline_data *)(copy + (trampoline_data - trampoline_start));
    data->gdt_base += page;
    data->protected_entry += (uint32_t)page;
    data->paging_off_entry += (uint32_t)page;
    data->long_entry += (uint32_t)page;
    /* What changes only with paging off, or must be there before it is on; features_apply() does the
     * rest. */
    data->cr4 = (uint32_t)(state->cr4 & CR4_NEEDED);
    data->efer = (uint32_t)(state->efer & ~EFER_LMA); /* LMA is not for us to set */
    data->cr0 = (uint32_t)(state->cr0 & ~CR0_CACHE_OFF);
    data->cr3 = root.value;
    __atomic_store_n(&data->expected, TRAMPOLINE_NOBODY, __ATOMIC_RELEASE);
    return data;
}

void trampoline_pass(uint64_t page, struct trampoline_data *data)
{
    data->entry = (uint64_t)trampoline_crossed;
    trampoline_cross(page, &data->stack);
}
