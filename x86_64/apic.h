/* Interrupt controllers: the local APIC of each CPU; 8259 and I/O APIC only to keep them quiet. */
#ifndef X86_64_APIC_H
#define X86_64_APIC_H

#include "core/boot_info.h"
#include "core/machine.h"

/* Low word of the interrupt command register, beside the vector. */
#define APIC_DELIVER_NMI 0x400u
#define APIC_DELIVER_INIT 0x500u
#define APIC_DELIVER_STARTUP 0x600u
#define APIC_LEVEL_ASSERT 0x4000u
#define APIC_LEVEL_TRIGGERED 0x8000u

/* Chooses xAPIC or x2APIC (where firmware left that on, or ids are beyond 8 bits), maps and enables it
 * on this CPU, and masks all other sources. ENOTSUP without a local APIC, ENOMEM. Logs the reason. */
result_t apic_init(const struct machine_services *services);
/* Sends INIT to all other CPUs, whatever they do: they wait for a start-up interrupt then. Before
 * apic_init(), on the loader's page tables. */
void apic_reset_others(const struct boot_info *boot);
/* The same mode on a further CPU. */
void apic_init_cpu(void);
/* Can this id be reached? */
bool apic_can_reach(uint32_t apic_id);
uint32_t apic_id(void);
bool apic_is_x2(void);
void apic_end_of_interrupt(void);
/* Sends an interprocessor interrupt; bounded wait for the one before. */
void apic_send(uint32_t apic_id, uint32_t command);

/* The timer counts down once, at a rate that timer.c measures; 0 stops it. */
void apic_timer_start(uint32_t count);
uint32_t apic_timer_left(void);

#endif
