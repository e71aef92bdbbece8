/* Failure on purpose (`inject`): the N-th allocation that a command asks the core for fails, once or
 * again and again, be it a frame or a kernel object, cached or not, whatever CPU asks.
 * Locking: switched on and off while no other CPU allocates; the rest is atomic. */
#ifndef CORE_MM_INJECT_H
#define CORE_MM_INJECT_H

#include "core/types.h"

struct frames_inject {
    uint64_t countdown; /* atomic; 0: off */
    uint64_t every;
    bool fired; /* atomic */
};
extern struct frames_inject frames_inject;
bool frames_inject_strikes(void);

/* True when this allocation must fail. */
static inline bool injected_failure(void)
{
    return UNLIKELY(__atomic_load_n(&frames_inject.countdown, __ATOMIC_RELAXED) != 0) &&
           frames_inject_strikes();
}

#endif
