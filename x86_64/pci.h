/* PCI devices: finding them, and their configuration space.
 *
 * Concepts: every function of every bus is asked, since buses below further root bridges are named by
 * no bridge; configuration space is in memory where ACPI's MCFG says so and it agrees with what the
 * ports 0xCF8 and 0xCFC show, else behind those ports.
 * Source: PCI Express Base Specification, chapter 7. */
#ifndef X86_64_PCI_H
#define X86_64_PCI_H

#include "core/machine.h"

struct pci_function {
    uint16_t segment;
    uint8_t bus, device, function;
    volatile uint8_t *registers; /* NULL: behind the ports */
};

#define PCI_CLASS_NVME 0x010802u /* mass storage, non-volatile memory, NVM Express */

/* Calls visit(context, function) for each function of this class (class, subclass, interface) until it
 * returns false. */
void pci_find(const struct machine_services *services, uint32_t class_code,
              bool (*visit)(void *context, const struct pci_function *function), void *context);

/* Physical address of a memory register (BAR 0 to 5); 0: it has none, or firmware gave it no address. */
uint64_t pci_memory_address(const struct pci_function *function, unsigned index);
/* Lets the device be reached and reach memory by itself, without interrupts. */
void pci_enable(const struct pci_function *function);
/* Ends the latter. */
void pci_disable(const struct pci_function *function);

#endif
