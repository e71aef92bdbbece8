/* Ending a run.
 *
 * Concepts: to reset, try firmware's ResetSystem, ACPI's reset register, port 0xCF9, and at last an
 * exception that cannot be delivered; to power off, ResetSystem, then say that it did not work. Firmware
 * runs on the only page tables with pages that are writable and executable, made here and loaded by
 * nothing else; what it faults on ends the attempt, not the run. */
#include "x86_64/power.h"

#include "core/log.h"
#include "x86_64/acpi.h"
#include "x86_64/clock.h"
#include "x86_64/descriptors.h"
#include "x86_64/instructions.h"
#include "x86_64/serial.h"

#define FIRMWARE_STACK_SIZE 65536
#define RANGES_MAX 64
/* Device memory that firmware may want; larger windows (PCI's) are not worth their page tables. */
#define MMIO_SIZE_MAX GIB

#define QEMU_EXIT_PORT 0xf4
#define QEMU_EXIT_STATUS 0x10
#define RESET_PORT 0xcf9
#define RESET_WAIT_US 200000

enum efi_reset { EFI_RESET_COLD, EFI_RESET_WARM, EFI_RESET_SHUTDOWN };

void power_call(uint64_t function, uint64_t argument, uint64_t root, uint64_t stack);
void power_come_back(void);
extern uint32_t power_in_firmware;

static struct {
    uint64_t reset_system; /* 0: firmware has none, or it cannot be called */
    phys_t root;
    void *stack;
    bool has_register;
    struct acpi_register reset_register;
    volatile void *mapped_register; /* if it is in memory */
    uint8_t reset_value;
} power = {.root = {UINT64_MAX}};

static bool firmware_needs(const struct boot_memory_range *range)
{
    return range->kind == MEMORY_RUNTIME_CODE || range->kind == MEMORY_RUNTIME_DATA ||
           range->kind == MEMORY_ACPI_NVS ||
           (range->kind == MEMORY_MMIO && range->page_count <= MMIO_SIZE_MAX / PAGE_SIZE);
}

static void prepare_firmware_call(const struct boot_info *boot,
                                  const struct machine_services *services)
{
    struct identity_range ranges[RANGES_MAX];
    size_t count = 0;
    const struct boot_memory_range *map = machine_phys_to_virt(phys(boot->memory_map.start));
    size_t entries = boot->memory_map.size_bytes / sizeof(*map);
    for (size_t i = 0; i < entries && count < RANGES_MAX; i++) {
        if (firmware_needs(&map[i]))
            ranges[count++] =
                (struct identity_range){phys(map[i].start), map[i].page_count * PAGE_SIZE};
    }
    if (count == 0 || boot->efi_reset_system == 0)
        return;
    power.root = services->identity_root_create(ranges, count);
    power.stack = services->stack_create(FIRMWARE_STACK_SIZE);
    if (power.root.value != PHYS_NONE.value && power.stack != NULL)
        power.reset_system = boot->efi_reset_system;
}

void power_init(const struct boot_info *boot, const struct machine_services *services)
{
    struct acpi_power found;
    prepare_firmware_call(boot, services);
    if (!acpi_find_power(&found) || !found.has_reset)
        return;
    power.reset_register = found.reset;
    power.reset_value = found.reset_value;
    if (found.reset.space == ACPI_MEMORY)
        power.mapped_register = services->map_device(phys(found.reset.address), 1);
    power.has_register = found.reset.space == ACPI_PORT || power.mapped_register != NULL;
}

bool power_firmware_failed(struct trap_frame *frame)
{
    if (power_in_firmware == 0)
        return false;
    power_in_firmware = 0;
    log_panic_line("firmware's ResetSystem failed with exception %llu at 0x%llx (address 0x%llx)",
                   (unsigned long long)frame->vector, (unsigned long long)frame->rip,
                   (unsigned long long)cr2_read());
    frame->rip = (uint64_t)power_come_back;
    frame->cs = KERNEL_CODE;
    frame->ss = KERNEL_DATA;
    frame->rflags = 2;
    return true;
}

static void call_reset_system(enum efi_reset how)
{
    if (power.reset_system == 0)
        return;
    uint64_t function = power.reset_system;
    power.reset_system = 0; /* a second attempt would fail the same way */
    power_call(function, how, power.root.value, (uint64_t)power.stack);
}

static void write_reset_register(void)
{
    if (!power.has_register)
        return;
    if (power.mapped_register != NULL)
        *(volatile uint8_t *)power.mapped_register = power.reset_value;
    else
        port_write8((uint16_t)power.reset_register.address, power.reset_value);
    clock_spin(RESET_WAIT_US);
}

static void write_reset_port(void)
{
    port_write8(RESET_PORT, 0x02); /* what to do: a hard reset */
    port_write8(RESET_PORT, 0x06); /* and do it */
    clock_spin(RESET_WAIT_US);
}

/* With no gate to deliver it by, an exception resets the CPU. */
static void triple_fault(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) nothing = {};
    __asm__ volatile("lidt %0\n\tint3" : : "m"(nothing));
}

static void end_in_qemu(unsigned status)
{
    port_write32(QEMU_EXIT_PORT, QEMU_EXIT_STATUS + status);
    log_panic_line("status %u: there is no QEMU exit device at port 0x%x (-device "
                   "isa-debug-exit,iobase=0xf4,iosize=0x04); halted",
                   status, QEMU_EXIT_PORT);
}

void machine_end(enum machine_exit how, unsigned status)
{
    (void)machine_irq_disable();
    serial_drain();
    switch (how) {
    case EXIT_POWEROFF:
        call_reset_system(EFI_RESET_SHUTDOWN);
        log_panic_line("firmware did not switch the power off; it is safe to do so by hand");
        break;
    case EXIT_REBOOT:
        caches_write_back(); /* the text of the run is to survive (core/record.h) */
        call_reset_system(EFI_RESET_WARM);
        write_reset_register();
        write_reset_port();
        triple_fault();
        break;
    case EXIT_QEMU:
        end_in_qemu(status);
        break;
    case EXIT_HALT:
        log_panic_line("halted");
        caches_write_back(); /* whoever resets the machine by hand may find the run's text, too */
        break;
    }
    serial_drain();
    halt_for_ever();
}
