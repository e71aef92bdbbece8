/* Finding and reading ACPI tables. Advanced Configuration and Power Interface Specification 6.5, 5.2. */
#include "x86_64/acpi.h"

#include "core/log.h"
#include "core/text.h"
#include "x86_64/paging.h"

#define TABLE_SIZE_MAX (4 * MIB)
#define POWER_FLAG_TIMER_32 (1u << 8)
#define POWER_FLAG_RESET (1u << 10)
#define CPU_FLAG_ENABLED 1u

struct root_pointer {
    char signature[8]; /* "RSD PTR " */
    uint8_t checksum;
    char oem_id[6];
    uint8_t revision; /* 0: there is no more than the first 20 bytes */
    uint32_t rsdt;
    uint32_t length;
    uint64_t xsdt;
    uint8_t extended_checksum;
    uint8_t reserved[3];
} __attribute__((packed));
#define ROOT_POINTER_OLD_SIZE 20

struct table {
    char signature[4];
    uint32_t length;
    uint8_t revision;
    uint8_t checksum;
    char oem_id[6];
    char oem_table_id[8];
    uint32_t oem_revision;
    uint32_t creator_id;
    uint32_t creator_revision;
} __attribute__((packed));

struct serial_table {
    struct table header;
    uint8_t interface_type;
    uint8_t reserved[3];
    struct acpi_register base;
    uint8_t interrupt[6];
    uint8_t baud;
} __attribute__((packed));

struct power_table {
    struct table header;
    uint8_t skipped1[76 - 36];
    uint32_t timer_port;
    uint8_t skipped2[91 - 80];
    uint8_t timer_length;
    uint8_t skipped3[112 - 92];
    uint32_t flags;
    struct acpi_register reset;
    uint8_t reset_value;
} __attribute__((packed));

struct hpet_table {
    struct table header;
    uint32_t id;
    struct acpi_register base;
} __attribute__((packed));

struct ecam_entry {
    uint64_t base;
    uint16_t segment;
    uint8_t first_bus, last_bus;
    uint32_t reserved;
} __attribute__((packed));

struct ecam_table {
    struct table header;
    uint64_t reserved;
} __attribute__((packed));

struct interrupt_table {
    struct table header;
    uint32_t local_apic;
    uint32_t flags;
} __attribute__((packed));

enum interrupt_entry { ENTRY_LOCAL_APIC = 0, ENTRY_IO_APIC = 1, ENTRY_LOCAL_X2APIC = 9 };

struct local_apic_entry {
    uint8_t type, length;
    uint8_t processor;
    uint8_t apic_id;
    uint32_t flags;
} __attribute__((packed));

struct io_apic_entry {
    uint8_t type, length;
    uint8_t id, reserved;
    uint32_t address;
    uint32_t first_interrupt;
} __attribute__((packed));

struct local_x2apic_entry {
    uint8_t type, length;
    uint16_t reserved;
    uint32_t apic_id;
    uint32_t flags;
    uint32_t processor;
} __attribute__((packed));

_Static_assert(sizeof(struct root_pointer) == 36, "RSDP");
_Static_assert(sizeof(struct table) == 36, "table header");
_Static_assert(offsetof(struct serial_table, baud) == 58, "SPCR");
_Static_assert(offsetof(struct power_table, reset_value) == 128, "FADT");
_Static_assert(offsetof(struct power_table, timer_length) == 91, "FADT");
_Static_assert(offsetof(struct hpet_table, base) == 40, "HPET");
_Static_assert(sizeof(struct ecam_table) == 44 && sizeof(struct ecam_entry) == 16, "MCFG");

static uint64_t root_address;
static const struct machine_services *services;

void acpi_init(const struct boot_info *boot)
{
    root_address = boot->acpi_rsdp;
}

void acpi_set_services(const struct machine_services *given)
{
    services = given;
}

static const void *map(uint64_t start, uint64_t size_bytes)
{
    const void *direct = machine_phys_to_virt(phys(start));
    if (start == 0 || start >= 1ull << 46)
        return NULL;
    if (paging_is_mapped((uint64_t)direct, size_bytes))
        return direct;
    return services != NULL ? services->map_firmware(phys(start), size_bytes) : NULL;
}

static bool sums_to_zero(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return sum == 0;
}

/* The whole table, checked; NULL when it cannot be reached or is broken. */
static const struct table *map_table(uint64_t start)
{
    const struct table *table = map(start, sizeof(*table));
    if (table == NULL || table->length < sizeof(*table) || table->length > TABLE_SIZE_MAX)
        return NULL;
    table = map(start, table->length);
    if (table == NULL)
        return NULL;
    if (!sums_to_zero(table, table->length)) {
        log_error("ACPI table %.4s at 0x%llx is ignored: its checksum is wrong", table->signature,
                  (unsigned long long)start);
        return NULL;
    }
    return table;
}

/* RSDT (4-byte entries) or XSDT (8-byte entries), by *entry_size. */
static const struct table *find_root_table(size_t *entry_size)
{
    const struct root_pointer *root = map(root_address, ROOT_POINTER_OLD_SIZE);
    if (root == NULL || memcmp(root->signature, "RSD PTR ", 8) != 0 ||
        !sums_to_zero(root, ROOT_POINTER_OLD_SIZE))
        return NULL;
    if (root->revision >= 2 && map(root_address, sizeof(*root)) != NULL) {
        const struct table *xsdt = map_table(root->xsdt);
        if (xsdt != NULL) {
            *entry_size = 8;
            return xsdt;
        }
    }
    *entry_size = 4;
    return map_table(root->rsdt);
}

/* The first table of that signature, at least `size` bytes long. */
static const void *find_table(const char *signature, size_t size)
{
    size_t entry_size;
    const struct table *root = find_root_table(&entry_size);
    if (root == NULL)
        return NULL;
    const char *entries = (const char *)(root + 1);
    size_t count = (root->length - sizeof(*root)) / entry_size;
    for (size_t i = 0; i < count; i++) {
        uint64_t address = 0;
        memcpy(&address, entries + i * entry_size, entry_size);
        const struct table *header = map(address, sizeof(*header));
        if (header == NULL || memcmp(header->signature, signature, 4) != 0)
            continue;
        const struct table *table = map_table(address);
        if (table != NULL && table->length >= size)
            return table;
    }
    return NULL;
}

bool acpi_find_serial(struct acpi_serial *serial)
{
    static const uint32_t bauds[] = {[3] = 9600, [4] = 19200, [6] = 57600, [7] = 115200};
    const struct serial_table *table = find_table("SPCR", sizeof(*table));
    if (table == NULL || table->base.address == 0)
        return false;
    /* 0: 16550, 1: 16450 compatible, 0x12: 16550 as the register structure says. */
    uint8_t type = table->interface_type;
    if ((type != 0 && type != 1 && type != 0x12) || table->base.space > ACPI_PORT)
        return false;
    *serial = (struct acpi_serial){
        .base = table->base,
        .baud = table->baud < ARRAY_COUNT(bauds) ? bauds[table->baud] : 0,
    };
    return true;
}

bool acpi_find_power(struct acpi_power *power)
{
    *power = (struct acpi_power){};
    /* Tables of ACPI 1.0 end before the reset register. */
    size_t least = offsetof(struct power_table, reset);
    const struct power_table *table = find_table("FACP", least);
    if (table == NULL)
        return false;
    if (table->timer_length == 4 && table->timer_port < 0x10000)
        power->timer_port = (uint16_t)table->timer_port;
    power->timer_is_32_bit = (table->flags & POWER_FLAG_TIMER_32) != 0;
    if (table->header.length >= sizeof(*table) && (table->flags & POWER_FLAG_RESET) != 0) {
        power->has_reset = table->reset.space <= ACPI_PORT && table->reset.address != 0;
        power->reset = table->reset;
        power->reset_value = table->reset_value;
    }
    return true;
}

uint64_t acpi_find_hpet(void)
{
    const struct hpet_table *table = find_table("HPET", sizeof(*table));
    return table != NULL && table->base.space == ACPI_MEMORY ? table->base.address : 0;
}

bool acpi_find_ecam(unsigned index, struct acpi_ecam *ecam)
{
    const struct ecam_table *table = find_table("MCFG", sizeof(*table));
    if (table == NULL)
        return false;
    size_t count = (table->header.length - sizeof(*table)) / sizeof(struct ecam_entry);
    if (index >= count)
        return false;
    const struct ecam_entry *entry = (const struct ecam_entry *)(table + 1) + index;
    *ecam = (struct acpi_ecam){entry->base, entry->segment, entry->first_bus, entry->last_bus};
    return true;
}

/* Calls visit(context, entry) for the MADT's entries of at least `size` bytes and that type, until it
 * returns false. */
static void visit_entries(enum interrupt_entry type, size_t size,
                          bool (*visit)(void *context, const void *entry), void *context)
{
    const struct interrupt_table *table = find_table("APIC", sizeof(*table));
    if (table == NULL)
        return;
    const uint8_t *entry = (const uint8_t *)(table + 1);
    const uint8_t *end = (const uint8_t *)table + table->header.length;
    while (end - entry >= 2 && entry[1] >= 2 && entry[1] <= end - entry) {
        if (entry[0] == (uint8_t)type && entry[1] >= size && !visit(context, entry))
            return;
        entry += entry[1];
    }
}

struct cpu_list {
    uint32_t *ids;
    unsigned max;
    unsigned count;
};

static void add_cpu(struct cpu_list *list, uint32_t apic_id, uint32_t flags)
{
    if ((flags & CPU_FLAG_ENABLED) == 0)
        return;
    for (unsigned i = 0; i < list->count && i < list->max; i++) {
        if (list->ids[i] == apic_id)
            return;
    }
    if (list->count < list->max)
        list->ids[list->count] = apic_id;
    list->count++;
}

static bool visit_local_apic(void *context, const void *data)
{
    const struct local_apic_entry *entry = data;
    if (entry->apic_id != 0xff)
        add_cpu(context, entry->apic_id, entry->flags);
    return true;
}

static bool visit_local_x2apic(void *context, const void *data)
{
    const struct local_x2apic_entry *entry = data;
    if (entry->apic_id != UINT32_MAX)
        add_cpu(context, entry->apic_id, entry->flags);
    return true;
}

unsigned acpi_find_cpus(uint32_t *apic_ids, unsigned max)
{
    struct cpu_list list = {apic_ids, max, 0};
    visit_entries(ENTRY_LOCAL_APIC, sizeof(struct local_apic_entry), visit_local_apic, &list);
    visit_entries(ENTRY_LOCAL_X2APIC, sizeof(struct local_x2apic_entry), visit_local_x2apic, &list);
    return list.count;
}

struct io_apic_search {
    unsigned left;
    uint64_t address;
};

static bool visit_io_apic(void *context, const void *data)
{
    const struct io_apic_entry *entry = data;
    struct io_apic_search *search = context;
    if (search->left-- > 0)
        return true;
    search->address = entry->address;
    return false;
}

uint64_t acpi_find_io_apic(unsigned index)
{
    struct io_apic_search search = {.left = index};
    visit_entries(ENTRY_IO_APIC, sizeof(struct io_apic_entry), visit_io_apic, &search);
    return search.address;
}
