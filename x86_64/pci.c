/* PCI configuration space. See pci.h. */
#include "x86_64/pci.h"

#include "core/log.h"
#include "x86_64/acpi.h"
#include "x86_64/instructions.h"

#define PORT_ADDRESS 0xcf8
#define PORT_DATA 0xcfc
#define PORT_ENABLE (1u << 31)

#define REGISTER_ID 0x00
#define REGISTER_COMMAND 0x04
#define REGISTER_CLASS 0x08
#define REGISTER_HEADER 0x0c
#define REGISTER_BAR 0x10

#define COMMAND_MEMORY (1u << 1)
#define COMMAND_MASTER (1u << 2)
#define COMMAND_NO_INTERRUPT (1u << 10)
#define HEADER_MULTIFUNCTION (1u << 23)
#define BAR_IS_PORT 1u
#define BAR_TYPE_MASK 6u
#define BAR_TYPE_64 4u
#define BAR_COUNT 6

#define ABSENT UINT32_MAX
#define DEVICES_MAX 32
#define FUNCTIONS_MAX 8
#define ECAM_SHIFT_BUS 20
#define ECAM_SHIFT_DEVICE 15
#define ECAM_SHIFT_FUNCTION 12
#define ECAM_MAX 64

static uint32_t select(const struct pci_function *function, unsigned offset)
{
    return PORT_ENABLE | (uint32_t)function->bus << 16 | (uint32_t)function->device << 11 |
           (uint32_t)function->function << 8 | (offset & 0xfc);
}

static uint32_t read(const struct pci_function *function, unsigned offset)
{
    if (function->registers != NULL)
        return *(const volatile uint32_t *)(function->registers + offset);
    port_write32(PORT_ADDRESS, select(function, offset));
    return port_read32(PORT_DATA);
}

static void write(const struct pci_function *function, unsigned offset, uint32_t value)
{
    if (function->registers != NULL) {
        *(volatile uint32_t *)(function->registers + offset) = value;
        return;
    }
    port_write32(PORT_ADDRESS, select(function, offset));
    port_write32(PORT_DATA, value);
}

/* --- finding --------------------------------------------------------------------------------------- */

struct search {
    uint32_t class_code;
    bool (*visit)(void *context, const struct pci_function *function);
    void *context;
    bool ended;
};

static void search_device(struct search *search, struct pci_function *function)
{
    volatile uint8_t *registers = function->registers;
    for (unsigned i = 0; i < FUNCTIONS_MAX && !search->ended; i++) {
        function->function = (uint8_t)i;
        if (registers != NULL)
            function->registers = registers + (i << ECAM_SHIFT_FUNCTION);
        bool present = read(function, REGISTER_ID) != ABSENT;
        if (present && read(function, REGISTER_CLASS) >> 8 == search->class_code)
            search->ended = !search->visit(search->context, function);
        if (i == 0 && (!present || (read(function, REGISTER_HEADER) & HEADER_MULTIFUNCTION) == 0))
            return;
    }
}

/* `window` shows bus first_bus and on; NULL: the ports do. */
static void search_buses(struct search *search, const struct acpi_ecam *ecam,
                         volatile uint8_t *window)
{
    for (unsigned bus = ecam->first_bus; bus <= ecam->last_bus; bus++) {
        for (unsigned device = 0; device < DEVICES_MAX && !search->ended; device++) {
            uint64_t offset = (uint64_t)(bus - ecam->first_bus) << ECAM_SHIFT_BUS |
                              (uint64_t)device << ECAM_SHIFT_DEVICE;
            struct pci_function function = {
                .segment = ecam->segment,
                .bus = (uint8_t)bus,
                .device = (uint8_t)device,
                .registers = window != NULL ? window + offset : NULL,
            };
            search_device(search, &function);
        }
    }
}

/* Firmware has been seen to describe a window that is not there. What the ports show is the truth for
 * segment 0: the first device that they have must be in the window as well. */
static bool is_believable(const struct acpi_ecam *ecam, volatile uint8_t *window)
{
    for (unsigned device = 0; ecam->segment == 0 && device < DEVICES_MAX; device++) {
        struct pci_function by_port = {.bus = ecam->first_bus, .device = (uint8_t)device};
        uint32_t id = read(&by_port, REGISTER_ID);
        if (id == ABSENT)
            continue;
        struct pci_function by_window = {.registers = window + (device << ECAM_SHIFT_DEVICE)};
        return read(&by_window, REGISTER_ID) == id;
    }
    return true;
}

static volatile uint8_t *map_ecam(const struct machine_services *services,
                                  const struct acpi_ecam *ecam)
{
    if (ecam->base == 0 || ecam->last_bus < ecam->first_bus)
        return NULL;
    uint64_t start = ecam->base + ((uint64_t)ecam->first_bus << ECAM_SHIFT_BUS);
    uint64_t buses = ecam->last_bus - ecam->first_bus + 1ull;
    volatile uint8_t *window = services->map_device(phys(start), buses << ECAM_SHIFT_BUS);
    if (window != NULL && is_believable(ecam, window))
        return window;
    log_error("PCI: the configuration space that ACPI puts at 0x%llx is not there",
              (unsigned long long)start);
    return NULL;
}

void pci_find(const struct machine_services *services, uint32_t class_code,
              bool (*visit)(void *context, const struct pci_function *function), void *context)
{
    static const struct acpi_ecam by_ports = {.first_bus = 0, .last_bus = 255};
    struct search search = {.class_code = class_code, .visit = visit, .context = context};
    struct acpi_ecam ecam;
    bool by_window = false;
    for (unsigned i = 0; i < ECAM_MAX && !search.ended && acpi_find_ecam(i, &ecam); i++) {
        volatile uint8_t *window = map_ecam(services, &ecam);
        if (window == NULL)
            continue;
        by_window |= ecam.segment == 0;
        search_buses(&search, &ecam, window);
    }
    if (!by_window && !search.ended)
        search_buses(&search, &by_ports, NULL);
}

/* --- one function ---------------------------------------------------------------------------------- */

uint64_t pci_memory_address(const struct pci_function *function, unsigned index)
{
    uint32_t low = read(function, REGISTER_BAR + 4 * index);
    if (low == ABSENT || (low & BAR_IS_PORT) != 0)
        return 0;
    uint64_t address = low & ~0xfu;
    if ((low & BAR_TYPE_MASK) == BAR_TYPE_64 && index + 1 < BAR_COUNT)
        address |= (uint64_t)read(function, REGISTER_BAR + 4 * (index + 1)) << 32;
    return address;
}

/* The upper half of the word is the status, whose bits are cleared by writing them. */
static void change_command(const struct pci_function *function, uint32_t set, uint32_t clear)
{
    uint32_t command = read(function, REGISTER_COMMAND) & 0xffff;
    write(function, REGISTER_COMMAND, (command | set) & ~clear);
}

void pci_enable(const struct pci_function *function)
{
    change_command(function, COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTERRUPT, 0);
}

void pci_disable(const struct pci_function *function)
{
    change_command(function, 0, COMMAND_MASTER);
}
