/* Runs the block of a `parallel` on its CPUs.
 *
 *   first CPU   ── init ── start others ──┐ start ── block ── end ──┐ finish all ── merge, lead on
 *   CPU 1       ─ ─ ─ ─ ─ ─ ─ ─ ─ copy names ┘ start ── block ── end ──┘
 *
 * Concepts: each CPU has a run of its own with the names and variables from outside as they are when the
 * block begins. All meet at a barrier; the last to come sets the time at which all go, a little ahead,
 * so that those which the barrier had halted are awake by then.
 * The first CPU that is stopped takes team->failed_cpu; the others see that between two operations and in
 * barriers. What it has made stays until its failure has been told. */
#include "core/report/metric_pool.h"
#include "core/script/run_ops.h"
#include "core/script/runner_internal.h"

/* A halted CPU is awake again within this part of a second. */
#define GO_PARTS 20000
/* Looks at the clock, where it does not go on by itself. */
#define GO_LOOKS_MAX 2000

static bool has_failed(const struct team *team)
{
    return __atomic_load_n(&team->failed_cpu, __ATOMIC_RELAXED) != CPU_NONE;
}

/* --- one CPU --------------------------------------------------------------------------------------------------- */

static void wait_for_start(struct run *run)
{
    struct team *team = run->team;
    uint32_t arrived = __atomic_add_fetch(&team->arrived, 1, __ATOMIC_ACQ_REL);
    if (arrived == team->count && team->count > 1)
        team->go = machine_ticks() + run->facts->ticks_per_second / GO_PARTS;
    if (barrier_wait(&team->start)) { /* passes team->go on */
        for (unsigned i = 0; i < GO_LOOKS_MAX && machine_ticks() < team->go; i++)
            machine_pause();
    }
    run->started = machine_ticks();
}

/* The runner's loop, with a look at the other CPUs. */
static void run_block(struct run *run)
{
    const struct team *team = run->team;
    const struct op *op = run->next;
    while (op != NULL && !has_failed(team)) {
        run->current = op;
        op = op->run(run, op);
    }
}

/* Leaves the other CPUs waiting for nothing. */
static void end_block(struct run *run)
{
    struct team *team = run->team;
    uint32_t none = CPU_NONE;
    bool stopped = run->stop.kind != STOP_NONE;
    uint32_t *note = stopped ? &team->failed_cpu : &team->ended_cpu;
    (void)__atomic_compare_exchange_n(note, &none, run->cpu, false, __ATOMIC_ACQ_REL,
                                      __ATOMIC_ACQUIRE);
    barrier_break(&team->barrier);
    space_load(NULL);
    /* What cannot be dropped here is dropped at the end of the combination. */
    uint32_t failed_cpu = __atomic_load_n(&team->failed_cpu, __ATOMIC_RELAXED);
    if (failed_cpu != CPU_NONE && failed_cpu != run->cpu)
        (void)run_drop_scopes(run, run->depth);
}

static void run_on_cpu(void *argument)
{
    struct run *run = argument;
    wait_for_start(run);
    run_block(run);
    end_block(run);
}

/* --- all of them ------------------------------------------------------------------------------------------------- */

/* Each CPU draws other numbers, the same ones in each run of the same seed. */
static struct random random_of_cpu(const struct run *outer, unsigned cpu)
{
    return (struct random){splitmix64(outer->random.state ^ splitmix64(cpu + 1))};
}

static void prepare_run(struct run *run, const struct run *outer, unsigned cpu)
{
    const struct parallel_block *block = outer->job_op->parallel;
    run->cpu = cpu;
    run->depth = block->depth;
    run->next = block->firsts[cpu];
    run->current = run->next;
    run->deadline = outer->deadline;
    run->stop = (struct stop){.kind = STOP_NONE};
    run->random = random_of_cpu(outer, cpu);
    memcpy(run->mark, outer->mark, sizeof(run->mark));
    run_names_copy(run, outer);
    if (block->variable != NO_SLOT)
        run->variables[block->variable] =
            (struct variable_slot){.value = {.number = cpu}, .owner = block->depth};
}

static void prepare_team(struct team *team, unsigned count)
{
    *team = (struct team){.count = count, .failed_cpu = CPU_NONE, .ended_cpu = CPU_NONE};
    barrier_init(&team->start, count);
    barrier_init(&team->barrier, count);
}

/* Holes that CPUs have made where names from outside are. */
static void take_back(struct run *run, const struct run *cpu_run)
{
    for (uint32_t i = 0; i < run->program->script->thing_count; i++) {
        if (run->things[i].space != NULL && cpu_run->things[i].is_shared)
            run->things[i].has_holes |= cpu_run->things[i].has_holes;
    }
}

static void record_skew(const struct run *run, const struct op *op)
{
    ticks_t first = run->cpu_runs[0]->started;
    ticks_t last = first;
    for (unsigned cpu = 1; cpu < run->team->count; cpu++) {
        ticks_t started = run->cpu_runs[cpu]->started;
        first = started < first ? started : first;
        last = started > last ? started : last;
    }
    if (run->team->count > 1)
        run_sample(op, op->sample, last - first);
}

/* A failure that something catches is over: what the CPU had made goes. */
static void lead_on(struct run *run, const struct op *op)
{
    struct run *failed = run->cpu_runs[run->team->failed_cpu];
    run->stop = failed->stop;
    run->failed = failed;
    run_go_on(run, run_lead_on(run, op));
    if (run->next == NULL)
        return;
    run->failed = NULL;
    if (run_drop_scopes(failed, failed->depth))
        return;
    run->stop = failed->stop;
    run->stop.op = op;
    run->next = NULL;
    run->wanted_on = NULL;
}

void runner_parallel(struct run *run)
{
    const struct op *op = run->job_op;
    unsigned count = run->wanted_cpus;
    prepare_team(run->team, count);
    for (unsigned cpu = 0; cpu < count; cpu++)
        prepare_run(run->cpu_runs[cpu], run, cpu);
    run->random.state = splitmix64(run->random.state);
    for (unsigned cpu = 1; cpu < count; cpu++)
        machine_cpu_start(cpu, run_on_cpu, run->cpu_runs[cpu]);
    run_on_cpu(run->cpu_runs[0]);
    for (unsigned cpu = 1; cpu < count; cpu++)
        machine_cpu_finish(cpu);

    run->job = NULL;
    for (unsigned cpu = 0; cpu < count; cpu++)
        take_back(run, run->cpu_runs[cpu]);
    record_skew(run, op);
    if (has_failed(run->team))
        lead_on(run, op);
    else
        run->next = op->target;
}

/* --- after the run --------------------------------------------------------------------------------------------------- */

bool runner_parallel_clean_up(struct run *run)
{
    bool in_order = true;
    for (unsigned cpu = 0; cpu < run->cpu_run_count; cpu++) {
        struct run *cpu_run = run->cpu_runs[cpu];
        if (run_drop_scopes(cpu_run, 0))
            continue;
        in_order = false;
        for (uint32_t i = 0; i < run->program->script->thing_count; i++) {
            struct thing_slot *slot = &cpu_run->things[i];
            bool is_private = slot->thing.alive && slot->thing.link.next != NULL;
            if (is_private && slot->space != NULL)
                run_drop_space(cpu_run, slot);
            else if (is_private)
                run_drop_object(slot);
        }
    }
    return in_order;
}

void runner_parallel_merge(struct run *run)
{
    uint32_t count = run->pools != NULL ? run->program->script->metric_count : 0;
    for (uint32_t i = 0; i < count; i++) {
        if (run->pools[i].part_count != 0)
            metric_pool_merge(&run->pools[i], &run->metrics[i]);
    }
}

const struct run *runner_parallel_run(const struct run *run)
{
    unsigned cpu = machine_cpu()->index;
    bool parallel =
        run->job == runner_parallel && cpu < run->wanted_cpus && cpu < run->cpu_run_count;
    return parallel ? run->cpu_runs[cpu] : run;
}
