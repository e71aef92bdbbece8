/* Finding the disk, and the way from its driver to its registers. See disk.h. */
#include "x86_64/disk.h"

#include "core/log.h"
#include "x86_64/nvme.h"
#include "x86_64/pci.h"

#define COMMAND_TIMEOUT_US 5000000ull
#define REGISTERS_FIRST_BYTES PAGE_SIZE

static struct {
    const struct machine_services *services;
    struct pci_function function;
    volatile uint8_t *registers;
    void *memory;
    struct nvme nvme;
    bool found;
} disk;

static uint32_t read_register(void *context, uint64_t offset)
{
    (void)context;
    return *(volatile uint32_t *)(disk.registers + offset);
}

static void write_register(void *context, uint64_t offset, uint32_t value)
{
    (void)context;
    *(volatile uint32_t *)(disk.registers + offset) = value;
}

static void cut_off(void *context)
{
    (void)context;
    pci_disable(&disk.function);
}

static const struct nvme_bus bus = {
    .read = read_register,
    .write = write_register,
    .cut_off = cut_off,
};

/* Its registers, and memory that it shares. False: no memory. */
static bool reach(uint64_t address)
{
    disk.registers = disk.services->map_device(phys(address), REGISTERS_FIRST_BYTES);
    if (disk.registers != NULL) {
        uint64_t size_bytes = nvme_register_bytes(&bus);
        disk.services->unmap_device(disk.registers);
        disk.registers = disk.services->map_device(phys(address), size_bytes);
    }
    if (disk.memory == NULL)
        disk.memory = disk.services->device_memory_create(NVME_MEMORY_PAGES);
    return disk.registers != NULL && disk.memory != NULL;
}

static bool try(void *context, const struct pci_function *function)
{
    (void)context;
    uint64_t address = pci_memory_address(function, 0);
    if (address == 0) {
        log_error("NVMe device %02x:%02x.%x: firmware gave it no address; it is not used",
                  function->bus, function->device, function->function);
        return true;
    }
    disk.function = *function;
    pci_enable(function);
    if (!reach(address)) {
        pci_disable(function);
        log_error("no memory for the NVMe device %02x:%02x.%x", function->bus, function->device,
                  function->function);
        return false;
    }
    disk.found = nvme_init(&disk.nvme, &bus, disk.memory, COMMAND_TIMEOUT_US) == OK;
    if (disk.found)
        log_info("disk: %s at %02x:%02x.%x, %lu MiB in blocks of %u bytes, read-only",
                 disk.nvme.model, function->bus, function->device, function->function,
                 (unsigned long)(block_device_bytes(&disk.nvme.block) / MIB),
                 disk.nvme.block.block_bytes);
    return !disk.found;
}

void disk_init(const struct machine_services *services)
{
    disk.services = services;
    pci_find(services, PCI_CLASS_NVME, try, NULL);
}

struct block_device *machine_disk(void)
{
    return disk.found ? &disk.nvme.block : NULL;
}
