/* The end of a run that found itself broken.
 *
 * Concepts: the first CPU to panic reports; others that get here meanwhile stop. A panic within a panic
 * says so in one line and ends at once; a third one halts. */
#include "core/panic.h"

#include "core/blame.h"
#include "core/check.h"
#include "core/display.h"
#include "core/fmt.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/machine.h"

#define STATUS_PANIC 2
#define MESSAGE_MAX 512
/* So many other CPUs are described with the calls that led to where they were. */
#define BACKTRACES_MAX 8

unsigned check_level;
unsigned panic_exit = EXIT_POWEROFF;
void (*panic_describe_scenario)(void);
void (*panic_describe_address)(uint64_t address);
void (*panic_finish_report)(void);

/* 1 + index of the CPU that panics. */
static uint32_t panicking;
static unsigned depth;
static unsigned guilty = CPU_MAX; /* the CPU that does not answer; CPU_MAX: it is not about one */

/* Returns on the reporting CPU only, at its first panic. */
static void enter(const char *message)
{
    (void)machine_irq_disable();
    uint32_t me = machine_cpu()->index + 1;
    uint32_t nobody = 0;
    bool first = __atomic_compare_exchange_n(&panicking, &nobody, me, false, __ATOMIC_ACQ_REL,
                                             __ATOMIC_ACQUIRE);
    if (!first && nobody != me) {
        for (;;)
            machine_halt();
    }
    depth++;
    if (depth == 1)
        return;
    if (depth == 2) {
        log_panic_line("panic within a panic: %s", message);
        machine_end((enum machine_exit)panic_exit, STATUS_PANIC);
    }
    machine_end(EXIT_HALT, STATUS_PANIC);
}

static void describe_locks(void)
{
    const struct cpu *cpu = machine_cpu();
    if (check_level == 0)
        log_panic_line("locks held: not recorded (check=debug records them)");
    else if (cpu->held_count == 0)
        log_panic_line("locks held: none");
}

/* The others have been stopped. Idle ones are passed over. */
static void describe_others(void)
{
    unsigned shown = 0;
    unsigned me = machine_cpu()->index;
    (void)blame_describe(me);
    if (guilty != CPU_MAX) {
        log_panic_line("CPU %u does not answer", guilty);
        machine_describe_other(guilty);
    }
    for (unsigned cpu = 0; cpu < machine_cpu_count(); cpu++) {
        if (cpu != me && blame_describe(cpu) && cpu != guilty && ++shown <= BACKTRACES_MAX)
            machine_describe_other(cpu);
    }
}

[[gnu::noreturn]] static void finish(void)
{
    if (panic_describe_scenario != NULL)
        panic_describe_scenario();
    describe_locks();
    describe_others();
    if (panic_finish_report != NULL)
        panic_finish_report();
    display_wait();
    machine_end((enum machine_exit)panic_exit, STATUS_PANIC);
}

void panic_at(const char *file, int line, const char *format, ...)
{
    char message[MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)fmt_vprint(message, sizeof(message), format, arguments);
    va_end(arguments);

    enter(message);
    machine_stop_others();
    log_panic_line("PANIC on CPU %u: %s", machine_cpu()->index, message);
    log_panic_line("at %s:%d", file, line);
    machine_describe_cpu();
    finish();
}

void panic_hung(unsigned seconds)
{
    unsigned me = machine_cpu()->index;
    unsigned last = blame_find(me);
    if (last == me)
        panic("hung: no sign of life for %u s", seconds);
    guilty = last;
    panic("hung: no sign of life for %u s, CPU %u does not answer", seconds, last);
}

void panic_exception(void (*dump)(const void *context), const void *context, const char *format,
                     ...)
{
    char message[MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)fmt_vprint(message, sizeof(message), format, arguments);
    va_end(arguments);

    enter(message);
    machine_stop_others();
    log_panic_line("PANIC on CPU %u: %s", machine_cpu()->index, message);
    if (dump != NULL)
        dump(context);
    else
        machine_describe_cpu();
    finish();
}
