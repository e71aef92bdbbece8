/* The few facts that PageLab wants from ACPI's static tables.
 *
 * Concepts: tables are found by signature each time they are asked for, in memory that the direct map
 * shows or, once there are services, that the core maps. Every length in them is distrusted. */
#ifndef X86_64_ACPI_H
#define X86_64_ACPI_H

#include "core/boot_info.h"
#include "core/machine.h"

enum acpi_space { ACPI_MEMORY = 0, ACPI_PORT = 1 };

/* A register somewhere: "Generic Address Structure". */
struct acpi_register {
    uint8_t space; /* enum acpi_space; others are not reachable from here */
    uint8_t bit_width;
    uint8_t bit_offset;
    uint8_t access_size;
    uint64_t address;
} __attribute__((packed));

struct acpi_serial {
    struct acpi_register base;
    uint32_t baud; /* 0: as firmware left it */
};

struct acpi_power {
    bool has_reset;
    struct acpi_register reset;
    uint8_t reset_value;
    uint16_t timer_port; /* of the power-management timer; 0: none */
    bool timer_is_32_bit;
};

/* Where the configuration space of some PCI buses is in memory: `base` is that of bus 0, whether it is
 * among them or not. */
struct acpi_ecam {
    uint64_t base;
    uint16_t segment;
    uint8_t first_bus, last_bus;
};

/* Keeps the root pointer; nothing is read yet. */
void acpi_init(const struct boot_info *boot);
/* From now on tables outside the direct map can be reached. */
void acpi_set_services(const struct machine_services *services);

/* The serial port that firmware uses; false when it names none that is a 16550. */
bool acpi_find_serial(struct acpi_serial *serial);
/* False without a FADT. */
bool acpi_find_power(struct acpi_power *power);
/* Physical address of the first HPET's registers; 0: none. */
uint64_t acpi_find_hpet(void);
/* Local APIC ids of the enabled CPUs, each once, in the order of the table; how many there are, which
 * may be more than `max`. 0 without a MADT. */
unsigned acpi_find_cpus(uint32_t *apic_ids, unsigned max);
/* Physical address of the I/O APIC number `index`; 0: no more. */
uint64_t acpi_find_io_apic(unsigned index);
/* The MCFG's entry number `index`; false: no more. */
bool acpi_find_ecam(unsigned index, struct acpi_ecam *ecam);

#endif
