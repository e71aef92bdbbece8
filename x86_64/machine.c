/* The order in which a PC is taken over. */
#include "core/machine.h"
#include "core/log.h"
#include "x86_64/access.h"
#include "x86_64/acpi.h"
#include "x86_64/apic.h"
#include "x86_64/backtrace.h"
#include "x86_64/clock.h"
#include "x86_64/cpu_local.h"
#include "x86_64/descriptors.h"
#include "x86_64/disk.h"
#include "x86_64/features.h"
#include "x86_64/instructions.h"
#include "x86_64/power.h"
#include "x86_64/serial.h"
#include "x86_64/smp.h"
#include "x86_64/timer.h"

/* link.ld */
extern const char nmi_stack_top[], double_fault_stack_top[], machine_check_stack_top[];

static struct machine_services services;

void machine_init_early(const struct boot_info *boot)
{
    struct cpu_local *local = &cpu_locals[0];
    clock_init_early();
    features_detect();
    descriptors_init();
    local->tss.ist[IST_NMI - 1] = (uint64_t)nmi_stack_top;
    local->tss.ist[IST_DOUBLE_FAULT - 1] = (uint64_t)double_fault_stack_top;
    local->tss.ist[IST_MACHINE_CHECK - 1] = (uint64_t)machine_check_stack_top;
    cpu_local_init(0, cpuid(1, 0).ebx >> 24); /* corrected when the APIC can be asked */
    cpu_local_load(0);
    features_apply();
    smp_reset_others(boot);
    access_set_image(boot->core_image.start);
    backtrace_init(boot);
}

result_t machine_init(const struct boot_info *boot, const struct machine_services *given)
{
    services = *given;
    acpi_set_services(&services);
    serial_set_services(&services);
    result_t result = apic_init(&services);
    if (result != OK)
        return result;
    cpu_locals[0].apic_id = apic_id();
    smp_init(boot, &services);
    result = clock_init(&services);
    if (result != OK)
        return result;
    timer_init();
    power_init(boot, &services);
    disk_init(&services);
    machine_irq_restore(X86_FLAG_INTERRUPT);
    return OK;
}
