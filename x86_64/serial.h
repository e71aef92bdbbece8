/* The console's device: a 16550, wherever it is. */
#ifndef X86_64_SERIAL_H
#define X86_64_SERIAL_H

#include "core/machine.h"

/* A port in memory can be reached only now: maps and proves it, and sends what was held back. */
void serial_set_services(const struct machine_services *services);
/* Waits, bounded, until everything has left. */
void serial_drain(void);
/* Takes a byte that has come in; false when there is none. */
bool serial_read(uint8_t *byte);
/* "ttyS0,115200", ..., or "none". */
const char *serial_name(void);

#endif
