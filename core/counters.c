/* Names and sums of the counters. */
#include "core/counters.h"

#include "core/cpu.h"

static const char *const counter_names[COUNTER_COUNT] = {
#define COUNTER_NAME(name, text) [COUNTER_##name] = text,
    COUNTER_LIST(COUNTER_NAME)
#undef COUNTER_NAME
};

const char *counter_name(enum counter counter)
{
    return counter_names[counter];
}

uint64_t counter_read(enum counter counter)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < CPU_MAX; i++)
        sum += __atomic_load_n(&cpus[i].counters[counter], __ATOMIC_RELAXED);
    return sum;
}
