/* core/machine.h on Linux: threads for CPUs, everything else in one process. */
#include "machine_sim.h"

#include <execinfo.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/check.h"
#include "core/log.h"
#include "core/machine.h"
#include "core/work.h"
#include "machine_access.h"
#include "machine_disk.h"
#include "machine_memory.h"
#include "machine_protect.h"
#include "machine_tlb.h"

#define BACKTRACE_MAX 32
#define CPUS_DEFAULT 1
#define INTERRUPT_WAKE 1u
#define INTERRUPT_REQUEST 2u

/* A CPU: the core's block of it, and what stands for silicon. */
struct sim_cpu_state {
    pthread_t thread; /* not of the first, which is the process's own thread */
    struct sim_tlb *tlb;
    phys_t root;
    ticks_t exact_ticks;
    ticks_t start_ticks; /* from the order to start until it was up */

    uint32_t pending;      /* interrupts that it has not taken, INTERRUPT_*; atomic */
    pthread_mutex_t mutex; /* between an interrupt and the end of a halt */
    pthread_cond_t changed;
    bool is_up, is_halted; /* guarded by the mutex */
    uint64_t halts;        /* that have ended; atomic */
};

static struct {
    unsigned cpu_present;
    unsigned cpu_count; /* up */
    bool exact;
    uint64_t start_nanoseconds;
    struct sim_cpu_state *states;
    bool stopped; /* by a panic; the CPU that panicked goes on */
    char *collected;
    size_t collected_size;
    size_t collected_used;
} machine = {.cpu_count = 1};

static void nothing_requested(void)
{
}

enum fault_outcome (*machine_fault_handler)(uint64_t address, unsigned access);
void (*machine_request_handler)(void) = nothing_requested;
unsigned machine_levels = 4;
void (*sim_after_page_clear)(void);
void (*sim_after_page_copy)(const void *from);
void (*sim_before_flush)(void);
_Thread_local struct cpu *sim_cpu = &cpus[0];
_Thread_local bool sim_interrupts;
static _Thread_local bool may_go_on; /* this thread has stopped the others */

static struct sim_cpu_state *this_state(void)
{
    return &machine.states[machine_cpu()->index];
}

static uint64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Where a stopped CPU stays. */
static void stop_here(void)
{
    while (__atomic_load_n(&machine.stopped, __ATOMIC_ACQUIRE) && !may_go_on)
        pause();
}

/* --- interrupts -------------------------------------------------------------------------------------------- */

/* Takes what has come, as a CPU does between two instructions while interrupts are on. */
static void take_interrupts(void)
{
    struct sim_cpu_state *state = this_state();
    while (sim_interrupts && __atomic_load_n(&state->pending, __ATOMIC_RELAXED) != 0) {
        uint32_t taken = __atomic_exchange_n(&state->pending, 0, __ATOMIC_ACQ_REL);
        sim_interrupts = false;
        if ((taken & INTERRUPT_REQUEST) != 0)
            machine_request_handler();
        sim_interrupts = true;
    }
}

void sim_interrupts_on(void)
{
    sim_interrupts = true;
    if (machine.states != NULL)
        take_interrupts();
}

static void interrupt(unsigned cpu, uint32_t what)
{
    struct sim_cpu_state *state = &machine.states[cpu];
    (void)__atomic_fetch_or(&state->pending, what, __ATOMIC_ACQ_REL);
    pthread_mutex_lock(&state->mutex);
    pthread_cond_broadcast(&state->changed);
    pthread_mutex_unlock(&state->mutex);
}

void machine_wake(unsigned cpu)
{
    interrupt(cpu, INTERRUPT_WAKE);
}

void machine_request(unsigned cpu)
{
    interrupt(cpu, INTERRUPT_REQUEST);
}

void machine_halt(void)
{
    struct sim_cpu_state *state = this_state();
    bool were_on = sim_interrupts;
    pthread_mutex_lock(&state->mutex);
    state->is_halted = true;
    while (__atomic_load_n(&state->pending, __ATOMIC_RELAXED) == 0)
        pthread_cond_wait(&state->changed, &state->mutex);
    state->is_halted = false;
    pthread_mutex_unlock(&state->mutex);
    stop_here();
    (void)__atomic_fetch_add(&state->halts, 1, __ATOMIC_RELAXED);
    sim_interrupts_on();
    sim_interrupts = were_on;
}

/* --- what machine_inline.h needs ---------------------------------------------------------------------- */

ticks_t sim_ticks(void)
{
    if (machine.exact)
        return ++this_state()->exact_ticks;
    return nanoseconds();
}

void sim_pause(void)
{
    stop_here();
    if (machine.states != NULL)
        take_interrupts();
    sched_yield();
}

void sim_flush_page(uint64_t address)
{
    if (sim_before_flush != NULL)
        sim_before_flush();
    sim_tlb_flush_page(this_state()->tlb, address);
    if (address >= BOOT_DIRECT_MAP_BASE)
        sim_protect_follow(phys(address - BOOT_DIRECT_MAP_BASE));
}

/* --- start and end ------------------------------------------------------------------------------------- */

const struct boot_info *sim_start(const struct sim_config *config)
{
    if (machine.states != NULL) {
        fprintf(stderr, "simulated machine: started twice\n");
        exit(2);
    }
    machine.cpu_present = config->cpu_count ? config->cpu_count : CPUS_DEFAULT;
    machine.exact = config->exact;
    machine.start_nanoseconds = nanoseconds();
    machine.states = calloc(machine.cpu_present, sizeof(*machine.states));
    if (machine.states == NULL || machine.cpu_present > CPU_MAX) {
        fprintf(stderr, "simulated machine: at most %d CPUs\n", CPU_MAX);
        exit(2);
    }
    for (unsigned i = 0; i < machine.cpu_present; i++) {
        cpus[i].self = &cpus[i];
        cpus[i].index = i;
        cpus[i].tag = (uint16_t)(i + 1);
        machine.states[i].tlb = sim_tlb_create();
        machine.states[i].root = PHYS_NONE;
        pthread_mutex_init(&machine.states[i].mutex, NULL);
        pthread_cond_init(&machine.states[i].changed, NULL);
    }
    sim_disk_init(config->disk_bytes, config->disk_bad_offset);
    if (config->protect_objects)
        sim_protect_enable();
    return sim_memory_build(config);
}

void sim_start_cpus(unsigned cpu_count)
{
    machine_init_early(
        sim_start(&(struct sim_config){.memory_bytes = 16 * MIB, .cpu_count = cpu_count}));
    machine_start_cpus(CPU_MAX);
}

void machine_init_early(const struct boot_info *boot)
{
    ASSERT(boot->magic == BOOT_INFO_MAGIC);
    sim_interrupts = true;
}

bool machine_console_init(const char *serial, const struct boot_info *boot)
{
    (void)serial;
    (void)boot;
    return true;
}

const char *machine_choose_levels(const struct boot_info *boot, unsigned levels)
{
    (void)boot;
    if (levels != 0)
        machine_levels = levels;
    return NULL;
}

result_t machine_load_first_root(phys_t root, const struct machine_services *services)
{
    (void)services;
    machine_load_root(root);
    return OK;
}

result_t machine_init(const struct boot_info *boot, const struct machine_services *services)
{
    (void)boot;
    ASSERT(services->map_device != NULL && services->stack_create != NULL);
    return OK;
}

void machine_end(enum machine_exit how, unsigned status)
{
    (void)how; /* the process ends in any case */
    fflush(stdout);
    /* PAGELAB_ABORT leaves a core dump, or stops in a debugger, where the run was found broken. */
    if (status == 2 && getenv("PAGELAB_ABORT") != NULL)
        abort();
    _exit((int)status);
}

/* --- CPUs ---------------------------------------------------------------------------------------------- */

/* The life of all CPUs but the first. */
static void *cpu_main(void *argument)
{
    struct sim_cpu_state *state = argument;

    sim_cpu = &cpus[state - machine.states];
    sim_interrupts = true;
    pthread_mutex_lock(&state->mutex);
    state->is_up = true;
    pthread_cond_broadcast(&state->changed);
    pthread_mutex_unlock(&state->mutex);
    work_loop();
}

static bool cpu_start(struct sim_cpu_state *state)
{
    ticks_t before = nanoseconds();

    state->root = machine.states[0].root;
    if (pthread_create(&state->thread, NULL, cpu_main, state) != 0)
        return false;
    pthread_mutex_lock(&state->mutex);
    while (!state->is_up)
        pthread_cond_wait(&state->changed, &state->mutex);
    pthread_mutex_unlock(&state->mutex);
    state->start_ticks = nanoseconds() - before;
    return true;
}

void machine_start_cpus(unsigned limit)
{
    unsigned wanted = limit < machine.cpu_present ? limit : machine.cpu_present;

    while (machine.cpu_count < wanted && cpu_start(&machine.states[machine.cpu_count]))
        machine.cpu_count++;
    if (machine.cpu_count < wanted)
        log_error("Linux gives no more than %u threads", machine.cpu_count);
}

unsigned machine_cpu_count(void)
{
    return machine.cpu_count;
}

unsigned machine_cpu_present(void)
{
    return machine.cpu_present;
}

uint64_t sim_halts(unsigned cpu)
{
    return __atomic_load_n(&machine.states[cpu].halts, __ATOMIC_RELAXED);
}

bool sim_is_halted(unsigned cpu)
{
    struct sim_cpu_state *state = &machine.states[cpu];
    pthread_mutex_lock(&state->mutex);
    bool is_halted = state->is_halted && __atomic_load_n(&state->pending, __ATOMIC_RELAXED) == 0;
    pthread_mutex_unlock(&state->mutex);
    return is_halted;
}

void sim_run_on_all(void (*function)(void *argument), void *argument)
{
    ASSERT(machine_cpu()->index == 0);
    for (unsigned cpu = 1; cpu < machine.cpu_count; cpu++)
        machine_cpu_start(cpu, function, argument);
    function(argument);
    for (unsigned cpu = 1; cpu < machine.cpu_count; cpu++)
        machine_cpu_finish(cpu);
}

void machine_stop_others(void)
{
    may_go_on = true;
    __atomic_store_n(&machine.stopped, true, __ATOMIC_RELEASE);
}

/* --- address translation --------------------------------------------------------------------------------- */

void machine_load_root(phys_t root)
{
    ASSERT(is_page_aligned(root.value) && sim_is_ram(root));
    this_state()->root = root;
    sim_tlb_load_root(this_state()->tlb, root);
}

phys_t machine_root(void)
{
    return this_state()->root;
}

void machine_flush_all(void)
{
    if (sim_before_flush != NULL)
        sim_before_flush();
    sim_tlb_flush_all(this_state()->tlb);
}

const struct image_segment *machine_image_segments(size_t *count)
{
    enum {
        RODATA = SIM_IMAGE_TEXT_PAGES,
        DATA = RODATA + SIM_IMAGE_RODATA_PAGES,
        GUARD = DATA + SIM_IMAGE_DATA_PAGES,
        STACK = GUARD + SIM_IMAGE_GUARD_PAGES,
    };
#define AT(page) (BOOT_CORE_BASE + (page)*PAGE_SIZE)
    static const struct image_segment segments[] = {
        {AT(0), AT(RODATA), 0},
        {AT(RODATA), AT(DATA), ENTRY_NO_EXEC},
        {AT(DATA), AT(GUARD), ENTRY_WRITE | ENTRY_NO_EXEC},
        {AT(STACK), AT(SIM_IMAGE_PAGES), ENTRY_WRITE | ENTRY_NO_EXEC},
    };
#undef AT
    *count = ARRAY_COUNT(segments);
    return segments;
}

bool machine_has_page_level(unsigned level)
{
    return level <= 3;
}

phys_t sim_translate(uint64_t address, enum sim_access access, bool user)
{
    const struct sim_request request = {
        .root = this_state()->root,
        .address = address,
        .access = access,
        .user = user,
        .unprotected = sim_protect_is_off(),
    };
    stop_here();
    take_interrupts();
    return sim_tlb_translate(this_state()->tlb, &request);
}

bool machine_still_translates(virt_t address)
{
    ASSERT(!sim_interrupts);
    return sim_tlb_look_up(this_state()->tlb, address.value).present;
}

struct sim_translation sim_look_up_tlb(uint64_t address)
{
    return sim_tlb_look_up(this_state()->tlb, address);
}

struct sim_translation sim_look_up_tables(uint64_t address)
{
    return sim_tables_look_up(this_state()->root, address);
}

/* --- time, randomness, facts ------------------------------------------------------------------------------ */

size_t sim_ap_start_ticks(ticks_t *samples, size_t count)
{
    size_t filled = 0;
    for (unsigned i = 1; i < machine.cpu_count && filled < count; i++)
        samples[filled++] = machine.states[i].start_ticks;
    return filled;
}

uint64_t machine_ticks_per_second(void)
{
    return 1000000000;
}

uint64_t machine_microseconds(void)
{
    return machine.states == NULL ? 0 : (nanoseconds() - machine.start_nanoseconds) / 1000;
}

uint64_t machine_random_seed(void)
{
    uint64_t seed = 1;
    if (!machine.exact && getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        seed = nanoseconds();
    return seed;
}

/* The names that x86_64/features.c knows. */
static const struct feature {
    const char *name;
    bool present;
} features[] = {
    {"tsc", true},        {"msr", false},     {"apic", false},         {"pge", true},
    {"pat", true},        {"x2apic", false},  {"tsc_deadline", false}, {"rdrand", true},
    {"hypervisor", true}, {"pcid", false},    {"fsgsbase", false},     {"smep", true},
    {"erms", false},      {"invpcid", false}, {"rdseed", false},       {"smap", true},
    {"umip", false},      {"pku", false},     {"la57", true},          {"nx", true},
    {"1g", true},         {"rdtscp", false},  {"invariant_tsc", true}, {"invlpgb", false},
};

int machine_feature(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(features); i++) {
        if (strcmp(features[i].name, name) == 0)
            return features[i].present;
    }
    return -1;
}

static const char *feature_list(void)
{
    static char list[256];
    list[0] = '\0';
    for (size_t i = 0; i < ARRAY_COUNT(features); i++) {
        if (!features[i].present)
            continue;
        strcat(list, list[0] == '\0' ? "" : " ");
        strcat(list, features[i].name);
    }
    return list;
}

void machine_describe(void (*emit)(void *context, const char *key, const char *value),
                      void *context)
{
    emit(context, "cpu_vendor", "simulated");
    emit(context, "cpu_model", "simulated CPU (tests/host)");
    emit(context, "tsc_source", machine.exact ? "counter" : "clock_gettime");
    emit(context, "tsc_invariant", "1");
    emit(context, "hypervisor", "simulated");
    emit(context, "features", feature_list());
    emit(context, "microcode", "");
    emit(context, "topology", "");
    emit(context, "serial", "stdout");
}

static struct {
    unsigned seconds;
    pthread_t owner;
} watchdog;

/* Linux interrupts any thread. */
static void on_alarm(int signal_number)
{
    if (pthread_equal(pthread_self(), watchdog.owner))
        panic_hung(watchdog.seconds);
    pthread_kill(watchdog.owner, signal_number);
}

void machine_watchdog(unsigned seconds)
{
    watchdog.seconds = seconds;
    watchdog.owner = pthread_self();
    signal(SIGALRM, on_alarm);
    alarm(seconds);
}

/* --- console and panic -------------------------------------------------------------------------------------- */

void machine_console_write(const char *bytes, size_t size_bytes)
{
    if (machine.collected == NULL) {
        fwrite(bytes, 1, size_bytes, stdout);
        fflush(stdout);
        return;
    }
    for (size_t i = 0; i < size_bytes; i++) {
        if (bytes[i] != '\r' && machine.collected_used + 1 < machine.collected_size)
            machine.collected[machine.collected_used++] = bytes[i];
    }
}

bool machine_key_pressed(void)
{
    return true; /* nobody looks at the simulated screen */
}

void sim_console_collect(char *buffer, size_t size_bytes)
{
    machine.collected = buffer;
    machine.collected_size = size_bytes;
    machine.collected_used = 0;
}

const char *sim_console_text(void)
{
    machine.collected[machine.collected_used] = '\0';
    return machine.collected;
}

void machine_describe_cpu(void)
{
    log_panic_line("CPU %u, root 0x%llx", machine_cpu()->index,
                   machine.states ? (unsigned long long)this_state()->root.value : 0ull);
    machine_backtrace();
}

void machine_describe_other(unsigned cpu)
{
    log_panic_line("CPU %u is a thread; a debugger knows where it is", cpu);
}

void machine_backtrace(void)
{
    void *frames[BACKTRACE_MAX];
    int count = backtrace(frames, BACKTRACE_MAX);
    char **names = backtrace_symbols(frames, count);

    for (int i = 0; names != NULL && i < count; i++)
        log_panic_line("  %s", names[i]);
    free(names);
}

/* --- tests of what panics --------------------------------------------------------------------------------- */

/* fork() takes no other thread along: they can be started again. */
static void lose_other_cpus(void)
{
    machine.cpu_count = 1;
    for (unsigned i = 0; machine.states != NULL && i < machine.cpu_present; i++) {
        pthread_mutex_init(&machine.states[i].mutex, NULL);
        pthread_cond_init(&machine.states[i].changed, NULL);
        machine.states[i].is_up = false;
    }
}

int sim_in_child(void (*function)(void *argument), void *argument, char *output, size_t size_bytes)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    int pipes[2];
    fflush(stdout);
    if (pipe(pipes) != 0)
        abort();

    pid_t child = fork();
    if (child == 0) {
        dup2(pipes[1], STDOUT_FILENO);
        dup2(pipes[1], STDERR_FILENO);
        close(pipes[0]);
        sim_console_collect(NULL, 0);
        lose_other_cpus();
        for (size_t i = 0; i < ARRAY_COUNT(deadly); i++)
            signal(deadly[i], SIG_DFL); /* cmocka would go on with the next test */
        sim_protect_in_child();
        function(argument);
        fflush(stdout);
        _exit(0);
    }
    close(pipes[1]);
    size_t used = 0;
    char byte;
    while (read(pipes[0], &byte, 1) == 1) {
        if (byte != '\r' && used + 1 < size_bytes)
            output[used++] = byte;
    }
    output[used] = '\0';
    close(pipes[0]);

    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return 255;
    return WEXITSTATUS(status);
}
