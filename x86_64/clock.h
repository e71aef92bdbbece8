/* The time-stamp counter as a clock. */
#ifndef X86_64_CLOCK_H
#define X86_64_CLOCK_H

#include "core/machine.h"

/* Notes when the run began; before anything is timed. */
void clock_init_early(void);
/* Measures or reads the counter's frequency from as many sources as there are and logs how they agree.
 * ENOTSUP when there is none. Takes about 50 ms. */
result_t clock_init(const struct machine_services *services);
/* "cpuid15+hpet", ...: what the frequency was taken from, and what confirmed it. */
const char *clock_source(void);
ticks_t clock_ticks(uint64_t microseconds);

/* Waits for a short time, spinning; before and after clock_init(). */
void clock_spin(uint64_t microseconds);

#endif
