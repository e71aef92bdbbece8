/* A program's life: its memory, its run over CPUs, its clean-up. And what empty measurements cost,
 * which is measured with a program too. */
#include "core/mm/mm.h"
#include "core/script/run_ops.h"
#include "core/script/runner_internal.h"

#define CALIBRATION_SAMPLES 1000

/* --- memory ------------------------------------------------------------------------------------------------- */

static result_t prepare_metrics(struct compiler *compiler)
{
    struct run *run = compiler->run;
    const struct script *script = compiler->program->script;
    run->metrics = arena_alloc(compiler->arena, script->metric_count * sizeof(*run->metrics));
    if (run->metrics == NULL)
        return ENOMEM;
    for (uint32_t i = 0; i < script->metric_count; i++) {
        const struct metric_name *name = &script->metrics[i];
        bool counts = name->kind == METRIC_COUNT;
        result_t result = metric_init(&run->metrics[i], compiler->arena, name->name,
                                      counts ? UNIT_COUNT : UNIT_TICK);
        if (result != OK)
            return result;
        if (!counts)
            run->metrics[i].overhead_ticks = run->facts->overheads[name->kind];
    }
    return OK;
}

/* Parameters that the script sets start as variables of the file. */
static void set_params(struct compiler *compiler)
{
    const struct program *program = compiler->program;
    for (size_t i = 0; i < program->scenario->param_count; i++) {
        uint32_t slot = program->script->params[i].variable;
        if (slot != NO_SLOT)
            compiler->run->variables[slot].value = program->params[i];
    }
}

result_t runner_prepare(const struct runner *runner, struct compiler *compiler)
{
    struct run *run = compiler->run;
    run->program = compiler->program;
    run->facts = &runner->facts;
    run->random = (struct random){runner->facts.seed};
    run->floor_samples = runner->floor_samples;
    run->floor_pages[0] = runner->floor_pages[0];
    run->floor_pages[1] = runner->floor_pages[1];
    result_t result = run_names_init(run, compiler->arena);
    if (result == OK)
        result = prepare_metrics(compiler);
    if (result == OK)
        result = compile_reserve_cpus(compiler);
    if (result == OK)
        result = compile(compiler);
    if (result == OK)
        set_params(compiler);
    run->stop = (struct stop){.kind = STOP_NONE};
    return result;
}

/* --- running -------------------------------------------------------------------------------------------------- */

/* One turn of this loop is all that stands between two operations. */
static void run_loop(void *argument)
{
    struct run *run = argument;
    const struct op *op = run->next;
    while (op != NULL) {
        run->current = op;
        op = op->run(run, op);
    }
}

void runner_leave_space(void *argument)
{
    (void)argument;
    space_load(NULL);
}

/* The program has left `on` blocks: their CPUs leave its spaces. */
static void leave_blocks(struct run *run)
{
    for (; run->on != run->wanted_on; run->on = run->on->outer)
        machine_cpu_run(run->on->cpu, runner_leave_space, NULL);
}

void runner_execute(struct run *run)
{
    run->next = &run->program->ops[0];
    run->on = NULL;
    run->wanted_on = NULL;
    while (run->next != NULL) {
        if (run->job != NULL)
            run->job(run);
        else if (run->on != NULL)
            machine_cpu_run(run->on->cpu, run_loop, run);
        else
            run_loop(run);
        leave_blocks(run);
    }
}

bool runner_clean_up(struct run *run)
{
    struct stop stop = run->stop;
    mm_inject((struct mm_inject){.nth = 0});
    mm_squeeze_end();
    bool in_order = runner_parallel_clean_up(run);
    in_order &= run_drop_scopes(run, 0);
    for (uint32_t i = 0; i < run->program->script->thing_count && !in_order; i++) {
        if (run->things[i].space != NULL)
            run_drop_space(run, &run->things[i]);
        else if (run->things[i].object != NULL)
            run_drop_object(&run->things[i]);
    }
    run->stop = stop;
    space_load(NULL);
    return in_order;
}

/* --- what empty measurements cost ------------------------------------------------------------------------------- */

static ticks_t median(const struct metric *metric, struct arena *arena)
{
    struct metric_summary summary;
    metric_summarize(metric, arena, &summary);
    return summary.p50_milli / 1000;
}

/* `time` around nothing, by a program like any other. */
static result_t calibrate_time(struct runner *runner)
{
    struct scenario *scenario = arena_alloc(runner->arena, sizeof(*scenario));
    struct compiler *compiler = arena_alloc(runner->arena, sizeof(*compiler));
    struct run *run = arena_alloc(runner->arena, sizeof(*run));
    if (scenario == NULL || compiler == NULL || run == NULL)
        return ENOMEM;
    result_t result = scenario_load(scenario, runner->arena, "overhead.scn",
                                    TEXT("scenario overhead \"the harness alone\"\n"
                                         "repeat 1000 warmup=8 { time time {} }\n"));
    struct program program = {.scenario = scenario, .script = scenario->script};
    if (result != OK || !compile_words(&program, scenario, runner->arena))
        return ENOMEM;
    *compiler = (struct compiler){.program = &program, .run = run, .arena = runner->arena};
    result = runner_prepare(runner, compiler);
    if (result != OK)
        return result;
    run->deadline = UINT64_MAX;
    runner_execute(run);
    runner->facts.overheads[METRIC_TIME] = median(&run->metrics[0], runner->arena);
    /* Only a clock that counts instructions says the same a thousand times. */
    runner->exact = run->metrics[0].min_milli == run->metrics[0].max_milli;
    return OK;
}

static void add_access_samples(struct metric *metric)
{
    while (metric->count < CALIBRATION_SAMPLES) {
        struct machine_access access = {
            .kind = MACHINE_NOTHING, .timed = true, .count = MACHINE_SLOTS};
        machine_access(&access);
        for (uint64_t i = 0; i < access.done; i++)
            metric_add(metric, machine_slots()[i], 1, machine_cpu()->index);
        if (access.end != ACCESS_DONE)
            return;
    }
}

/* `each=` of an access from ring 3, and of a call. */
static result_t calibrate_each(struct runner *runner)
{
    struct metric access;
    struct metric call;
    struct space *space;
    result_t result = metric_init(&access, runner->arena, TEXT("access"), UNIT_TICK);
    if (result == OK)
        result = metric_init(&call, runner->arena, TEXT("call"), UNIT_TICK);
    if (result == OK)
        result = space_create(&space);
    if (result != OK)
        return result;
    space_load(space);
    add_access_samples(&access);
    space_destroy(space);
    while (call.count < CALIBRATION_SAMPLES) {
        ticks_t start = machine_ticks();
        ticks_t end = machine_ticks();
        metric_add(&call, end - start, 1, machine_cpu()->index);
    }
    if (access.count > 0)
        runner->facts.overheads[METRIC_ACCESS] = median(&access, runner->arena);
    runner->facts.overheads[METRIC_CALL] = median(&call, runner->arena);
    return OK;
}

result_t runner_calibrate(struct runner *runner)
{
    size_t mark = arena_mark(runner->arena);
    result_t result = calibrate_time(runner);
    arena_release(runner->arena, mark);
    if (result == OK)
        result = calibrate_each(runner);
    arena_release(runner->arena, mark);
    return result;
}
