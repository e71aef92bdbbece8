/* How many levels the page tables have, and the way from the loader's tables to the core's.
 *
 * Concepts: CR4.LA57 changes only with paging off. Where the wanted number of levels is not that of the
 * firmware, the core builds its tables with the wanted number while it still runs on the loader's, and
 * then passes through the page below 1 MiB once. Other CPUs start with the final number. The kernel half
 * has the same addresses with 4 and 5 levels. */
#include "core/log.h"
#include "core/machine.h"
#include "x86_64/cpu_local.h"
#include "x86_64/features.h"
#include "x86_64/paging.h"
#include "x86_64/trampoline.h"

static const struct boot_info *boot_info;

const char *machine_choose_levels(const struct boot_info *boot, unsigned levels)
{
    boot_info = boot;
    if (levels == 0 || levels == features_levels())
        return NULL;
    if (levels == 5 && !features_have(FEATURE_LA57))
        return "this CPU has no five-level page tables (CPUID feature LA57): use paging=4 or "
               "paging=auto";
    if (!trampoline_is_usable(boot))
        return "firmware left no page below 1 MiB, in which the number of levels could be changed: "
               "use paging=auto";
    machine_levels = levels;
    return NULL;
}

/* With tables of the new kind that map the page below 1 MiB one to one. */
static void change_levels(phys_t root)
{
    uint64_t page = boot_info->trampoline;
    struct control_state state = features_with_levels(features_state(), machine_levels);
    uint64_t flags = machine_irq_disable();
    trampoline_pass(page, trampoline_prepare(page, &state, root));
    cpu_local_load(0);
    features_apply();
    machine_irq_restore(flags);
}

result_t machine_load_first_root(phys_t root, const struct machine_services *services)
{
    if (machine_levels != features_levels()) {
        const struct identity_range page = {phys(boot_info->trampoline), PAGE_SIZE};
        phys_t low_root = services->identity_root_create(&page, 1);
        if (low_root.value == PHYS_NONE.value || low_root.value > UINT32_MAX ||
            !paging_map_identity(boot_info, page.start)) {
            log_error("no memory below 4 GiB for changing the number of page-table levels");
            return ENOMEM;
        }
        change_levels(low_root);
        machine_load_root(root);
        services->identity_root_destroy(low_root);
        return OK;
    }
    machine_load_root(root);
    return OK;
}
