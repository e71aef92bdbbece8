/* The table of contents: how a run of PageLab goes from the core's first C function to its end. */
#include "core/main.h"
#include "core/boot_info.h"
#include "core/check.h"
#include "core/display.h"
#include "core/fmt.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/machine.h"
#include "core/mm/mm.h"
#include "core/panic.h"
#include "core/record.h"
#include "core/report/report.h"
#include "core/script/boot_params.h"
#include "core/script/runner.h"

static struct boot_params params; /* immutable once parsed */
static struct boot_params_error params_error;

static enum machine_exit how_to_exit(void)
{
    switch (params.on_exit) {
    case ON_EXIT_REBOOT:
        return EXIT_REBOOT;
    case ON_EXIT_HALT:
        return EXIT_HALT;
    case ON_EXIT_QEMU:
        return EXIT_QEMU;
    case ON_EXIT_POWEROFF:
        break;
    }
    return EXIT_POWEROFF;
}

static struct text blob_text(struct boot_blob blob)
{
    return (struct text){machine_phys_to_virt(phys(blob.start)), blob.size_bytes};
}

/* The loader has checked them; what it could not accept it has put into boot->fatal. Line by line, so
 * that a bad word does not hide an `on-exit=` behind it. */
static void parse_parameters(const struct boot_info *boot)
{
    struct text rest = blob_text(boot->parameters);
    boot_params_defaults(&params);
    while (rest.size != 0) {
        struct boot_params_error error;
        struct text line = text_cut(&rest, '\n');
        if (boot_params_parse(&params, line, &error) != OK && params_error.text[0] == '\0')
            params_error = error;
    }
    log_set_level(params.log);
    panic_exit = how_to_exit();
    check_level = params.check == CHECK_DEEP ? 2 : params.check == CHECK_DEBUG ? 1 : 0;
}

static void log_lines(struct text text, bool as_error)
{
    while (text.size != 0) {
        struct text line = text_cut(&text, '\n');
        if (line.size == 0)
            continue;
        if (as_error)
            log_error("%.*s", TEXT_ARGS(line));
        else
            log_info("%.*s", TEXT_ARGS(line));
    }
}

[[gnu::noreturn]] static void end(enum run_status status)
{
    display_wait();
    machine_end(how_to_exit(), status);
}

/* A run that cannot start still has a plan, a last line and a status. */
[[gnu::noreturn]] static void refuse(struct text complaint)
{
    report_run_begin(0);
    log_lines(complaint, true);
    report_bad_input();
    end(report_run_end());
}

/* What the screen says at the end, and for how long, if whoever looks at it would miss it else. */
static void plan_ending(bool has_port)
{
    static const char *const nexts[] = {"switch the power off", "reset the machine", NULL, NULL};
    const char *results =
        "Nothing but this screen has seen the results: on-exit=reboot keeps them.";
    if (record_is_open())
        results = "Results: in memory, for the next start to write to \\pagelab\\results\\RUN.log.";
    else if (has_port)
        results = "Results: on the serial port.";
    display_set_ending(&(struct display_ending){
        .results = results,
        .what = nexts[params.on_exit],
        .seconds = params.timeout_seconds,
    });
}

/* The serial port, or none; the run's text in memory, if its end keeps that; and the screen, or none. */
static void open_consoles(const struct boot_info *boot)
{
    if (boot->record.size_bytes != 0)
        record_open(machine_phys_to_virt(phys(boot->record.start)));
    bool has_port = machine_console_init(params.serial, boot);
    plan_ending(has_port);
    const struct boot_framebuffer *framebuffer = &boot->framebuffer;
    if (!params.screen_off && framebuffer->is_mapped != 0)
        (void)display_open(framebuffer, machine_phys_to_virt(phys(framebuffer->start)));
}

/* What the machine cannot do ends the run later, when there is somebody to tell it. */
static void choose_levels(const struct boot_info *boot)
{
    const char *problem = machine_choose_levels(boot, params.paging);
    if (problem != NULL && params_error.text[0] == '\0')
        fmt_print(params_error.text, sizeof(params_error.text), "paging=%u is not possible: %s",
                  params.paging, problem);
}

static void start_machine(const struct boot_info *boot)
{
    choose_levels(boot);
    if (mm_init(boot) != OK)
        panic("the virtual-memory core cannot start");
    if (machine_init(boot, mm_machine_services()) != OK)
        panic("the machine lacks something that PageLab needs; see the lines above");
    machine_start_cpus(params.cpus == 0 ? CPU_MAX : params.cpus);
    if (mm_start() != OK)
        panic("the virtual-memory core cannot start");
    log_info("%u of %u CPUs up, %lu MiB of memory, %lu MiB for scenarios", machine_cpu_count(),
             machine_cpu_present(), (unsigned long)(mm_memory_bytes() / MIB),
             (unsigned long)(mm_usable_bytes() / MIB));
    display_facts("%u CPU%s  %lu MiB", machine_cpu_count(), machine_cpu_count() == 1 ? "" : "s",
                  (unsigned long)(mm_memory_bytes() / MIB));
}

/* For the test of what a panic prints: its name must stand in the backtrace. */
__attribute__((noinline)) static void selftest_panic(void)
{
    panic("asked for by selftest=panic");
}

/* For the test of the watchdog: CPU 2, if there is one, waits for what CPU 1 does not give back. */
static struct lock selftest_lock;

__attribute__((noinline)) static void selftest_hang_here(void *argument)
{
    lock_acquire(argument);
    if (machine_cpu()->index != 0) /* which has the watchdog */
        (void)machine_irq_disable();
    for (;;)
        machine_pause();
}

static void selftest_wait_for_lock(void *argument)
{
    lock_acquire(argument);
    lock_release(argument);
}

/* The watchdog is set when everybody is where it is to find them. */
static void selftest_hang(void)
{
    unsigned last = 1;
    lock_init(&selftest_lock, RANK_SPACES, "selftest");
    if (machine_cpu_count() < 2) {
        machine_watchdog(2);
        selftest_hang_here(&selftest_lock);
    }
    machine_cpu_start(1, selftest_hang_here, &selftest_lock);
    while (!lock_is_held(&selftest_lock))
        machine_pause();
    if (machine_cpu_count() > 2) {
        last = 2;
        machine_cpu_start(last, selftest_wait_for_lock, &selftest_lock);
        while (__atomic_load_n(&cpus[last].waits_for, __ATOMIC_ACQUIRE) == NULL)
            machine_pause();
    }
    machine_watchdog(2);
    machine_cpu_finish(last);
}

static void run_selftest(enum selftest selftest)
{
    if (selftest == SELFTEST_PANIC)
        selftest_panic();
    if (selftest == SELFTEST_HANG)
        selftest_hang();
    if (selftest == SELFTEST_STALE)
        mm_debug_stale_translation();
}

static enum run_status run_scenarios(const struct boot_info *boot)
{
    struct arena arena;
    uint64_t harness_bytes;
    void *harness = mm_harness_memory(&harness_bytes);
    arena_init(&arena, harness, harness_bytes);
    return runner_run(&(struct run_args){.boot = boot, .params = &params, .arena = &arena});
}

[[gnu::noreturn]] void core_main(const struct boot_info *boot)
{
    report_init();            /* whatever happens, the last line will be printed */
    machine_init_early(boot); /* descriptor tables: from here on a panic can speak */
    parse_parameters(boot);   /* the same words, by the same code as in the loader */
    open_consoles(boot);      /* serial port, screen, kept text: what there is */
    log_lines(blob_text(boot->notes), false);
    start_machine(boot); /* frames, own page tables, clock, all CPUs, harness window */
    if (boot->fatal.size_bytes != 0)
        refuse(blob_text(boot->fatal));
    if (params_error.text[0] != '\0')
        refuse(text_of(params_error.text));
    run_selftest(params.selftest);
    end(run_scenarios(boot));
}
