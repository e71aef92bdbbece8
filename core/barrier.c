/* Rounds of a barrier. See barrier.h. */
#include "core/barrier.h"

#include "core/wait.h"

void barrier_init(struct barrier *barrier, uint32_t count)
{
    *barrier = (struct barrier){.count = count};
}

static bool is_broken(const struct barrier *barrier)
{
    return __atomic_load_n(&barrier->broken, __ATOMIC_ACQUIRE);
}

struct visit {
    const struct barrier *barrier;
    uint32_t round;
};

static bool has_passed(const struct visit *visit)
{
    return __atomic_load_n(&visit->barrier->round, __ATOMIC_ACQUIRE) != visit->round;
}

static bool is_released(void *context)
{
    const struct visit *visit = context;
    return has_passed(visit) || is_broken(visit->barrier);
}

bool barrier_wait(struct barrier *barrier)
{
    /* Cannot change before this CPU has come, too. */
    struct visit visit = {barrier, __atomic_load_n(&barrier->round, __ATOMIC_RELAXED)};
    if (is_broken(barrier))
        return false;
    /* What each did before is released here and acquired by the last, who passes it on. */
    if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL) < barrier->count) {
        wait_until(barrier, is_released, &visit);
        return has_passed(&visit);
    }
    __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&barrier->round, visit.round + 1, __ATOMIC_RELEASE);
    wait_wake(barrier);
    return true;
}

void barrier_break(struct barrier *barrier)
{
    __atomic_store_n(&barrier->broken, true, __ATOMIC_RELEASE);
    wait_wake(barrier);
}
