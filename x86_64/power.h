/* The ways to end: reset, power-off, QEMU's exit device. */
#ifndef X86_64_POWER_H
#define X86_64_POWER_H

#include "core/machine.h"
#include "x86_64/trap.h"

/* Prepares the call of firmware's ResetSystem while memory can still be had, since the end may be a
 * panic: page tables with the runtime ranges one to one, and a stack. */
void power_init(const struct boot_info *boot, const struct machine_services *services);
/* Does this exception come from that call? Then the frame is changed to come back from it. */
bool power_firmware_failed(struct trap_frame *frame);

#endif
