/* Local APIC, by memory or by MSR. Intel SDM vol. 3A, chapter 11. */
#include "x86_64/apic.h"

#include "core/log.h"
#include "x86_64/acpi.h"
#include "x86_64/descriptors.h"
#include "x86_64/features.h"
#include "x86_64/instructions.h"
#include "x86_64/paging.h"

#define BASE_X2 (1ull << 10)
#define BASE_ENABLE (1ull << 11)
#define MSR_X2APIC 0x800

/* Registers, by their number in x2APIC; in memory each has 16 bytes. */
enum apic_register {
    APIC_ID = 0x02,
    APIC_VERSION = 0x03,
    APIC_TASK_PRIORITY = 0x08,
    APIC_END_OF_INTERRUPT = 0x0b,
    APIC_SPURIOUS = 0x0f,
    APIC_COMMAND = 0x30,
    APIC_COMMAND_HIGH = 0x31, /* memory only */
    APIC_LVT_TIMER = 0x32,
    APIC_LVT_THERMAL = 0x33,
    APIC_LVT_PERFORMANCE = 0x34,
    APIC_LVT_LINT0 = 0x35,
    APIC_LVT_LINT1 = 0x36,
    APIC_LVT_ERROR = 0x37,
    APIC_TIMER_INITIAL = 0x38,
    APIC_TIMER_CURRENT = 0x39,
    APIC_TIMER_DIVIDE = 0x3e,
};

#define LVT_MASKED (1u << 16)
#define SPURIOUS_ENABLE (1u << 8)
#define COMMAND_PENDING (1u << 12)
#define COMMAND_ALL_OTHERS (3u << 18)
#define COMMAND_WAIT_MAX 1000000u
#define DIVIDE_BY_128 0xau

#define IO_APIC_MAX 64
#define IO_APIC_VERSION 1
#define IO_APIC_ENTRY 0x10
#define IO_APIC_MASKED (1u << 16)

enum apic_mode { APIC_NONE, APIC_XAPIC, APIC_X2APIC };

static enum apic_mode mode;
static volatile uint32_t *registers;

static uint32_t read(enum apic_register number)
{
    return mode == APIC_X2APIC ? (uint32_t)msr_read(MSR_X2APIC + (uint32_t)number)
                               : registers[(unsigned)number * 4];
}

static void write(enum apic_register number, uint32_t value)
{
    if (mode == APIC_X2APIC)
        msr_write(MSR_X2APIC + (uint32_t)number, value);
    else
        registers[(unsigned)number * 4] = value;
}

/* The legacy controllers: moved away from the exceptions, in case one still has a spurious interrupt
 * to give, and masked. */
static void silence_8259(void)
{
    static const uint8_t primary[] = {0x11, VECTOR_LEGACY_IRQ, 4, 1};
    static const uint8_t secondary[] = {0x11, VECTOR_LEGACY_IRQ + 8, 2, 1};
    for (unsigned i = 0; i < ARRAY_COUNT(primary); i++) {
        port_write8(i == 0 ? 0x20 : 0x21, primary[i]);
        port_write8(i == 0 ? 0xa0 : 0xa1, secondary[i]);
    }
    port_write8(0x21, 0xff);
    port_write8(0xa1, 0xff);
}

static void silence_io_apics(const struct machine_services *services)
{
    for (unsigned i = 0; i < IO_APIC_MAX; i++) {
        uint64_t address = acpi_find_io_apic(i);
        if (address == 0)
            return;
        volatile uint32_t *window = services->map_device(phys(address), 0x20);
        if (window == NULL)
            return;
        window[0] = IO_APIC_VERSION;
        unsigned last = window[4] >> 16 & 0xff;
        for (unsigned entry = 0; entry <= last; entry++) {
            window[0] = IO_APIC_ENTRY + 2 * entry;
            window[4] = window[4] | IO_APIC_MASKED;
        }
        services->unmap_device(window);
    }
}

/* Does any CPU have an id that xAPIC cannot say? */
static bool has_wide_ids(void)
{
    static uint32_t ids[CPU_MAX];
    unsigned count = acpi_find_cpus(ids, CPU_MAX);
    for (unsigned i = 0; i < count && i < CPU_MAX; i++) {
        if (ids[i] >= 0xff)
            return true;
    }
    return count > CPU_MAX;
}

void apic_reset_others(const struct boot_info *boot)
{
    uint64_t base = features_have(FEATURE_APIC) ? msr_read(MSR_APIC_BASE) : 0;
    if ((base & BASE_ENABLE) == 0)
        return;
    uint32_t command = APIC_DELIVER_INIT | APIC_LEVEL_ASSERT | COMMAND_ALL_OTHERS;
    if ((base & BASE_X2) != 0) {
        msr_write(MSR_X2APIC + APIC_COMMAND, command);
        return;
    }
    volatile uint32_t *early = paging_map_early(boot, phys(base & ENTRY_ADDRESS_MASK));
    if (early != NULL)
        early[APIC_COMMAND * 4] = command;
}

result_t apic_init(const struct machine_services *services)
{
    if (!features_have(FEATURE_APIC)) {
        log_error("this CPU reports no local APIC: is it switched off in the firmware's setup?");
        return ENOTSUP;
    }
    uint64_t base = msr_read(MSR_APIC_BASE);
    bool wide = features_have(FEATURE_X2APIC) && ((base & BASE_X2) != 0 || has_wide_ids());
    if (!wide) {
        registers = services->map_device(phys(base & ENTRY_ADDRESS_MASK), PAGE_SIZE);
        if (registers == NULL) {
            log_error("no memory to map the local APIC at 0x%llx",
                      (unsigned long long)(base & ENTRY_ADDRESS_MASK));
            return ENOMEM;
        }
    }
    silence_8259();
    silence_io_apics(services);
    mode = wide ? APIC_X2APIC : APIC_XAPIC;
    apic_init_cpu();
    write(APIC_LVT_LINT1, APIC_DELIVER_NMI);
    return OK;
}

void apic_init_cpu(void)
{
    uint64_t base = msr_read(MSR_APIC_BASE);
    if ((base & BASE_ENABLE) == 0)
        msr_write(MSR_APIC_BASE, base |= BASE_ENABLE);
    /* x2APIC is entered through xAPIC and left only by a reset. */
    if (mode == APIC_X2APIC && (base & BASE_X2) == 0)
        msr_write(MSR_APIC_BASE, base | BASE_X2);

    /* In the order of their number in the version register; an x2APIC traps on one it lacks. */
    static const enum apic_register sources[] = {APIC_LVT_TIMER,       APIC_LVT_LINT0,
                                                 APIC_LVT_LINT1,       APIC_LVT_ERROR,
                                                 APIC_LVT_PERFORMANCE, APIC_LVT_THERMAL};
    unsigned last = read(APIC_VERSION) >> 16 & 0xff;
    write(APIC_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
    for (unsigned i = 0; i < ARRAY_COUNT(sources) && i <= last; i++)
        write(sources[i], LVT_MASKED | VECTOR_SPURIOUS);
    write(APIC_TASK_PRIORITY, 0);
    write(APIC_TIMER_DIVIDE, DIVIDE_BY_128);
    write(APIC_LVT_TIMER, VECTOR_TIMER);
    write(APIC_TIMER_INITIAL, 0);
    write(APIC_END_OF_INTERRUPT, 0); /* one that firmware may have left in service */
}

bool apic_can_reach(uint32_t id)
{
    return mode == APIC_X2APIC || id < 0xff;
}

uint32_t apic_id(void)
{
    return mode == APIC_X2APIC ? read(APIC_ID) : read(APIC_ID) >> 24;
}

bool apic_is_x2(void)
{
    return mode == APIC_X2APIC;
}

void apic_end_of_interrupt(void)
{
    if (mode != APIC_NONE)
        write(APIC_END_OF_INTERRUPT, 0);
}

void apic_send(uint32_t id, uint32_t command)
{
    if (mode == APIC_X2APIC) {
        /* Unlike a write to memory, this one does not wait for the stores before it; they are what
         * the other CPU will look for. Pairs with the atomic loads of whoever is woken. */
        __asm__ volatile("mfence\n\tlfence" : : : "memory");
        msr_write(MSR_X2APIC + APIC_COMMAND, (uint64_t)id << 32 | command);
        return;
    }
    /* An interrupt in between could send another. */
    uint64_t flags = machine_irq_disable();
    for (unsigned i = 0; i < COMMAND_WAIT_MAX && (read(APIC_COMMAND) & COMMAND_PENDING) != 0; i++)
        machine_pause();
    write(APIC_COMMAND_HIGH, id << 24);
    write(APIC_COMMAND, command);
    machine_irq_restore(flags);
}

void apic_timer_start(uint32_t count)
{
    write(APIC_TIMER_INITIAL, count);
}

uint32_t apic_timer_left(void)
{
    return read(APIC_TIMER_CURRENT);
}
