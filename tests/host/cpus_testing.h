/* What tests of several CPUs without core/mm have in common: a machine on which CPUS are up. */
#ifndef TESTS_HOST_CPUS_TESTING_H
#define TESTS_HOST_CPUS_TESTING_H

#include "testing.h"

#include "core/check.h"
#include "core/machine.h"
#include "machine_sim.h"

#define CPUS 4

static inline uint32_t load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Waits until that CPU halts in wait_halted(), with nothing on its way that would wake it. What it waits for. */
static inline const void *await_halt(unsigned cpu)
{
    const void *waits_for;
    while ((waits_for = __atomic_load_n(&cpus[cpu].waits_for, __ATOMIC_ACQUIRE)) == NULL ||
           !sim_is_halted(cpu))
        machine_pause();
    return waits_for;
}

static inline int start_cpus(void **state)
{
    (void)state;
    sim_start_cpus(CPUS);
    return 0;
}

/* The body of main(). */
#define RUN_ON_CPUS(name, tests) cmocka_run_group_tests_name(name, tests, start_cpus, NULL)

#endif
