/* One alarm for each CPU, made of its local APIC's timer. */
#ifndef X86_64_TIMER_H
#define X86_64_TIMER_H

#include "core/types.h"

/* Measures the timer's rate; the clock must be known. */
void timer_init(void);
/* Halts until *word is `value`, at most for a time; false when it ran out. Whoever changes *word sends
 * this CPU an interrupt, else the change is seen late. */
bool timer_wait_for(const uint32_t *word, uint32_t value, uint64_t microseconds);
/* The alarm's interrupt. */
void timer_interrupt(void);

#endif
