/* Waiting for what another CPU does, and telling who waits that it has been done.
 *
 * Concepts: whoever waits names an address, and what it waits for is a condition that only it knows. It
 * looks about 100 turns long, then halts; whoever makes the condition true wakes those that wait for the
 * address. All the time the waiter answers other CPUs' requests (machine_request()), so that two CPUs
 * that want something of each other never wait for ever.
 * Invariants: a CPU waits for one thing at a time; what interrupts a wait does not wait.
 * Locking: none; everything here may be called with locks held and with interrupts off. */
#ifndef CORE_WAIT_H
#define CORE_WAIT_H

#include "core/types.h"

/* Waits until is_over(context) is true; it looks with acquire semantics, and is not asked again then. */
void wait_until(const void *address, bool (*is_over)(void *context), void *context);
/* The same, halted from the start: for what will take longer than a few hundred instructions. */
void wait_halted(const void *address, bool (*is_over)(void *context), void *context);
/* Wakes the CPUs that wait for the address; to be called after the condition has come true. A full
 * barrier comes first. Only the value of the address counts. O(CPUs that are halted). */
void wait_wake(const void *address);

/* One turn of a wait that has no address: answers what other CPUs want. For what is sure to come soon. */
void wait_turn(void);

#endif
