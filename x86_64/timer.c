/* Alarms: the end of a wait, and the watchdog. */
#include "x86_64/timer.h"

#include "core/machine.h"
#include "core/panic.h"
#include "x86_64/apic.h"
#include "x86_64/clock.h"
#include "x86_64/cpu_local.h"

#define MEASURE_US 2000
/* Longer alarms are made of several: the counter has 32 bits. */
#define ALARM_SECONDS_MAX 60

static uint64_t timer_hz;
static unsigned watchdog_seconds;

void timer_init(void)
{
    apic_timer_start(UINT32_MAX);
    ticks_t begin = machine_ticks();
    clock_spin(MEASURE_US);
    uint32_t left = apic_timer_left();
    ticks_t ticks = machine_ticks() - begin;
    apic_timer_start(0);
    timer_hz = (uint64_t)(UINT32_MAX - left) * machine_ticks_per_second() / ticks;
}

/* Interrupts are off. */
static void arm(const struct cpu_local *local)
{
    ticks_t wake = local->wake_deadline, watchdog = local->watchdog_deadline;
    ticks_t deadline = watchdog == 0 || (wake != 0 && wake < watchdog) ? wake : watchdog;
    if (deadline == 0 || timer_hz == 0) {
        apic_timer_start(0);
        return;
    }
    ticks_t now = machine_ticks();
    ticks_t most = ALARM_SECONDS_MAX * machine_ticks_per_second();
    ticks_t left = deadline <= now ? 0 : deadline - now;
    uint64_t count =
        (left < most ? left : most) / 1000 * timer_hz / (machine_ticks_per_second() / 1000);
    apic_timer_start(count >= UINT32_MAX ? UINT32_MAX : (uint32_t)count + 1);
}

bool timer_wait_for(const uint32_t *word, uint32_t value, uint64_t microseconds)
{
    struct cpu_local *local = cpu_local();
    ticks_t deadline = machine_ticks() + clock_ticks(microseconds);
    uint64_t flags = machine_irq_disable();
    bool equal;
    while (!(equal = __atomic_load_n(word, __ATOMIC_ACQUIRE) == value) &&
           machine_ticks() < deadline) {
        local->wake_deadline = deadline;
        arm(local);
        machine_halt();
    }
    local->wake_deadline = 0;
    arm(local);
    machine_irq_restore(flags);
    return equal;
}

void timer_interrupt(void)
{
    struct cpu_local *local = cpu_local();
    ticks_t now = machine_ticks();
    if (local->watchdog_deadline != 0 && now >= local->watchdog_deadline) {
        local->watchdog_deadline = 0;
        panic_hung(watchdog_seconds);
    }
    if (local->wake_deadline != 0 && now >= local->wake_deadline)
        local->wake_deadline = 0;
    arm(local);
}

void machine_watchdog(unsigned seconds)
{
    struct cpu_local *local = cpu_local();
    uint64_t flags = machine_irq_disable();
    watchdog_seconds = seconds;
    local->watchdog_deadline =
        seconds == 0 ? 0 : machine_ticks() + seconds * machine_ticks_per_second();
    arm(local);
    machine_irq_restore(flags);
}
