/* The frequency of the time-stamp counter.
 *
 * Concepts: sources that know it (CPUID 15h, a hypervisor's leaf) come before those that measure it
 * against another clock (HPET, ACPI timer, 8254), and the rounded CPUID 16h comes last. The first
 * that answers is believed, the second that is independent of it is compared with it. Every wait has
 * a limit in turns as well as in ticks: a clock that stands still is a source less. */
#include "x86_64/clock.h"

#include "core/fmt.h"
#include "core/log.h"
#include "x86_64/acpi.h"
#include "x86_64/features.h"
#include "x86_64/instructions.h"

#define MEASURE_US 20000
#define TURNS_MAX 20000000u
#define MOMENT_TRIES 8
/* Before the frequency is known it is taken to be more than any CPU's, so that clocks run late and
 * corrected time is never earlier than what was shown. */
#define UNKNOWN_HZ 10000000000ull
#define PPM_NOTABLE 1000

#define FEMTOSECONDS 1000000000000000ull
#define HPET_CAPABILITIES 0
#define HPET_CONFIGURATION 2 /* in 64-bit words */
#define HPET_COUNTER 30
#define HPET_ENABLE 1ull
#define HPET_PERIOD_MAX 100000000ull

#define ACPI_TIMER_HZ 3579545ull
#define PIT_HZ 1193182ull
#define PIT_PORT_CHANNEL_2 0x42
#define PIT_PORT_COMMAND 0x43
#define PIT_PORT_GATE 0x61
#define PIT_LATCH 0x80          /* channel 2 */
#define PIT_RATE_GENERATOR 0xb4 /* channel 2, both bytes, mode 2 */

struct source {
    const char *name;
    uint64_t (*frequency)(void); /* 0: not available */
};

static ticks_t start;
static uint64_t hertz;
static uint64_t base_us; /* added to the time since start; keeps time from going back */
static const struct machine_services *services;
static char source_names[64] = "none";

void clock_init_early(void)
{
    start = machine_ticks();
}

static uint64_t scale(ticks_t ticks, uint64_t from_hz, uint64_t to_hz)
{
    return ticks / from_hz * to_hz + ticks % from_hz * to_hz / from_hz;
}

/* --- sources that know -------------------------------------------------------------------------- */

static uint64_t from_crystal(void)
{
    if (cpuid(0, 0).eax < 0x15)
        return 0;
    struct cpuid r = cpuid(0x15, 0);
    if (r.eax == 0 || r.ebx == 0 || r.ecx == 0)
        return 0;
    return (uint64_t)r.ecx * r.ebx / r.eax;
}

static uint64_t from_hypervisor(void)
{
    if (!features_have(FEATURE_HYPERVISOR))
        return 0;
    uint32_t last = cpuid(0x40000000, 0).eax;
    if (last < 0x40000010 || last > 0x40010000)
        return 0;
    return cpuid(0x40000010, 0).eax * 1000ull;
}

static uint64_t from_nominal(void)
{
    return cpuid(0, 0).eax < 0x16 ? 0 : (cpuid(0x16, 0).eax & 0xffff) * 1000000ull;
}

/* --- sources that measure ----------------------------------------------------------------------- */

/* A counter that counts up and wraps at `mask`. */
struct counter_clock {
    uint64_t (*read)(void);
    uint64_t mask;
    uint64_t hz;
};

/* Both clocks at one moment: of a few readings the one that took least, since a virtual CPU may be
 * held up between two instructions. */
struct moment {
    uint64_t count;
    ticks_t ticks;
};

static struct moment moment(const struct counter_clock *clock)
{
    struct moment best = {};
    ticks_t least = UINT64_MAX;
    for (unsigned i = 0; i < MOMENT_TRIES; i++) {
        ticks_t before = machine_ticks();
        uint64_t count = clock->read();
        ticks_t took = machine_ticks() - before;
        if (took < least) {
            least = took;
            best = (struct moment){count, before + took / 2};
        }
    }
    return best;
}

static uint64_t measure(const struct counter_clock *clock)
{
    uint64_t wanted = clock->hz * MEASURE_US / 1000000;
    struct moment first = moment(clock);
    uint64_t counted = 0;
    for (unsigned turn = 0; counted < wanted; turn++) {
        counted = (clock->read() - first.count) & clock->mask;
        if (turn == TURNS_MAX || (counted == 0 && turn == TURNS_MAX / 100))
            return 0;
    }
    struct moment last = moment(clock);
    return scale(last.ticks - first.ticks, (last.count - first.count) & clock->mask, clock->hz);
}

static volatile uint64_t *hpet;

static uint64_t read_hpet(void)
{
    return hpet[HPET_COUNTER];
}

static uint64_t from_hpet(void)
{
    uint64_t address = acpi_find_hpet();
    hpet = address != 0 ? services->map_device(phys(address), 0x400) : NULL;
    if (hpet == NULL)
        return 0;
    uint64_t capabilities = hpet[HPET_CAPABILITIES];
    uint64_t period = capabilities >> 32;
    if (period == 0 || period > HPET_PERIOD_MAX)
        return 0;
    hpet[HPET_CONFIGURATION] |= HPET_ENABLE;
    bool is_64_bit = (capabilities >> 13 & 1) != 0;
    struct counter_clock clock = {read_hpet, is_64_bit ? UINT64_MAX : UINT32_MAX,
                                  FEMTOSECONDS / period};
    return measure(&clock);
}

static uint16_t acpi_timer_port;

static uint64_t read_acpi_timer(void)
{
    return port_read32(acpi_timer_port);
}

static uint64_t from_acpi_timer(void)
{
    struct acpi_power power;
    if (!acpi_find_power(&power) || power.timer_port == 0)
        return 0;
    acpi_timer_port = power.timer_port;
    struct counter_clock clock = {read_acpi_timer, power.timer_is_32_bit ? UINT32_MAX : 0xffffff,
                                  ACPI_TIMER_HZ};
    return measure(&clock);
}

static uint64_t read_pit(void)
{
    port_write8(PIT_PORT_COMMAND, PIT_LATCH);
    uint64_t low = port_read8(PIT_PORT_CHANNEL_2);
    return 0xffff - (low | (uint64_t)port_read8(PIT_PORT_CHANNEL_2) << 8);
}

/* Channel 2, which nothing but the speaker uses, counts down from 65,536 again and again: 55 ms. */
static uint64_t from_pit(void)
{
    uint8_t gate = port_read8(PIT_PORT_GATE) & 0xfc; /* speaker off */
    port_write8(PIT_PORT_GATE, gate | 1);
    port_write8(PIT_PORT_COMMAND, PIT_RATE_GENERATOR);
    port_write8(PIT_PORT_CHANNEL_2, 0);
    port_write8(PIT_PORT_CHANNEL_2, 0);
    struct counter_clock clock = {read_pit, 0xffff, PIT_HZ};
    uint64_t frequency = measure(&clock);
    port_write8(PIT_PORT_GATE, gate);
    return frequency;
}

/* --- choosing ------------------------------------------------------------------------------------ */

static const struct source sources[] = {
    {"cpuid15", from_crystal}, {"hypervisor", from_hypervisor},
    {"hpet", from_hpet},       {"acpi-timer", from_acpi_timer},
    {"pit", from_pit},         {"cpuid16", from_nominal},
};

static void compare(const struct source *first, const struct source *second, uint64_t other)
{
    int64_t difference = (int64_t)(other - hertz);
    int64_t ppm = difference * 1000000 / (int64_t)hertz;
    (void)fmt_print(source_names, sizeof(source_names), "%s+%s", first->name, second->name);
    log_info("time-stamp counter: %llu Hz by %s, %llu Hz by %s: they differ by %lld ppm",
             (unsigned long long)hertz, first->name, (unsigned long long)other, second->name,
             (long long)ppm);
    if (ppm > PPM_NOTABLE || ppm < -PPM_NOTABLE)
        log_error(
            "the clocks disagree by more than %d ppm: seconds in this run are doubtful, ticks "
            "are not",
            PPM_NOTABLE);
}

static void adopt(uint64_t frequency)
{
    uint64_t shown = machine_microseconds();
    hertz = frequency;
    uint64_t now = machine_microseconds();
    base_us = now < shown ? shown - now : 0;
}

result_t clock_init(const struct machine_services *given)
{
    services = given;
    const struct source *first = NULL;
    for (unsigned i = 0; i < ARRAY_COUNT(sources); i++) {
        uint64_t frequency = sources[i].frequency();
        if (frequency == 0)
            continue;
        if (first != NULL) {
            compare(first, &sources[i], frequency);
            return OK;
        }
        first = &sources[i];
        adopt(frequency);
    }
    if (first == NULL) {
        log_error(
            "nothing tells the time-stamp counter's frequency: no CPUID leaf, HPET, ACPI timer "
            "or 8254 answers");
        return ENOTSUP;
    }
    (void)fmt_print(source_names, sizeof(source_names), "%s", first->name);
    log_info("time-stamp counter: %llu Hz by %s, confirmed by nothing", (unsigned long long)hertz,
             first->name);
    return OK;
}

const char *clock_source(void)
{
    return source_names;
}

uint64_t machine_ticks_per_second(void)
{
    return hertz;
}

uint64_t machine_microseconds(void)
{
    uint64_t hz = hertz != 0 ? hertz : UNKNOWN_HZ;
    return base_us + scale(machine_ticks() - start, hz, 1000000);
}

ticks_t clock_ticks(uint64_t microseconds)
{
    return scale(microseconds, 1000000, hertz != 0 ? hertz : UNKNOWN_HZ);
}

void clock_spin(uint64_t microseconds)
{
    ticks_t begin = machine_ticks();
    ticks_t wanted = clock_ticks(microseconds);
    while (machine_ticks() - begin < wanted)
        machine_pause();
}
