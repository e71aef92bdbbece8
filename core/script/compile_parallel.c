/* Compiles `parallel`: its block once for each CPU, with the CPU's own names, variables, loops and samples,
 * so that CPUs that run it at once share no state of operations. */
#include "core/report/metric_pool.h"
#include "core/script/compiler.h"
#include "core/script/run_ops.h"

static const struct expression *count_of(const struct command *command)
{
    return command_argument(command, ARGUMENT_N)->expression;
}

unsigned compile_cpu_count(struct compiler *compiler, const struct command *command)
{
    unsigned most = compiler->run->facts->cpu_count;
    int64_t count;
    bool known = compile_is_constant(compiler, count_of(command), &count);
    return known && count >= 0 && count < most ? (unsigned)count : most;
}

/* --- memory of the CPUs' runs -------------------------------------------------------------------------------- */

/* What CPUs write lies on pages of their own. */
static void start_page(struct compiler *compiler)
{
    (void)arena_alloc_pages(compiler->arena, 0);
}

/* The names that the block makes get room for holes. */
static void reserve_holes(struct compiler *compiler, struct run *run, const struct command *opener)
{
    const struct command *command = opener->next;
    for (; command->opener != opener; command = command->next) {
        const struct argument *name = command_argument(command, ARGUMENT_NAME);
        if (name == NULL || name->thing == NO_SLOT || name->region == NO_SLOT)
            continue;
        struct region_cell *cell = run_cell(run, name->thing, name->region);
        if (cell->holes == NULL)
            cell->holes = compile_allocate(compiler, sizeof(*cell->holes));
    }
}

static void reserve_metric(struct compiler *compiler, uint32_t index)
{
    struct run *run = compiler->run;
    struct metric_pool *pool = &run->pools[index];
    if (pool->part_count == 0 && metric_pool_init(pool, compiler->arena, run->cpu_run_count) != OK)
        compiler->out_of_memory = true;
}

/* Each metric that is recorded into inside the block gets a pool. */
static void reserve_metrics(struct compiler *compiler, const struct command *opener)
{
    const struct command *command = opener->next;
    for (; command->opener != opener; command = command->next) {
        const struct argument *metric = command_argument(command, ARGUMENT_METRIC);
        if (metric != NULL)
            reserve_metric(compiler, metric->slot);
    }
}

static void reserve_run(struct compiler *compiler, unsigned cpu)
{
    const struct script *script = compiler->program->script;
    struct run *outer = compiler->run;
    start_page(compiler);
    struct run *run = compile_allocate(compiler, sizeof(*run));
    if (run == NULL)
        return;
    outer->cpu_runs[cpu] = run;
    *run = (struct run){.program = outer->program, .facts = outer->facts, .team = outer->team};
    run->metrics = compile_allocate(compiler, script->metric_count * sizeof(*run->metrics));
    if (compiler->out_of_memory || run_names_init(run, compiler->arena) != OK) {
        compiler->out_of_memory = true;
        return;
    }
    for (uint32_t i = 0; i < script->metric_count; i++) {
        if (outer->pools[i].part_count != 0 &&
            metric_pool_add(&outer->pools[i], compiler->arena, cpu, &run->metrics[i]) != OK)
            compiler->out_of_memory = true;
    }
    const struct command *command = script->first;
    for (; command != NULL && !compiler->out_of_memory; command = command->next) {
        if (command->spec->id == COMMAND_PARALLEL)
            reserve_holes(compiler, run, command);
    }
}

/* Also notes how many CPUs are needed where a `parallel` does not depend on an `if`. */
static unsigned count_runs(struct compiler *compiler)
{
    unsigned most = 0;
    unsigned ifs = 0;
    const struct command *command = compiler->program->script->first;
    for (; command != NULL; command = command->next) {
        int64_t wanted;
        ifs += command->spec->id == COMMAND_IF;
        ifs -= command->spec->id == COMMAND_END && command->opener->spec->id == COMMAND_IF;
        if (command->spec->id != COMMAND_PARALLEL)
            continue;
        unsigned count = compile_cpu_count(compiler, command);
        most = count > most ? count : most;
        if (ifs == 0 && compile_is_constant(compiler, count_of(command), &wanted) &&
            wanted > compiler->wanted_cpus)
            compiler->wanted_cpus = wanted;
    }
    return most;
}

result_t compile_reserve_cpus(struct compiler *compiler)
{
    struct run *run = compiler->run;
    const struct script *script = compiler->program->script;
    if (script->skew_metric == NO_SLOT)
        return OK;
    run->cpu_run_count = count_runs(compiler);
    run->pools = compile_allocate(compiler, script->metric_count * sizeof(*run->pools));
    run->cpu_runs = compile_allocate(compiler, run->cpu_run_count * sizeof(*run->cpu_runs));
    start_page(compiler);
    run->team = compile_allocate(compiler, sizeof(*run->team));
    const struct command *command = script->first;
    for (; command != NULL && !compiler->out_of_memory; command = command->next) {
        if (command->spec->id == COMMAND_PARALLEL)
            reserve_metrics(compiler, command);
    }
    for (unsigned cpu = 0; cpu < run->cpu_run_count && !compiler->out_of_memory; cpu++)
        reserve_run(compiler, cpu);
    start_page(compiler);
    return compiler->out_of_memory ? ENOMEM : OK;
}

/* --- the block ------------------------------------------------------------------------------------------------- */

/* Does a command of the block change the variable? Then it is no constant. */
static bool is_set_inside(const struct command *opener, uint32_t slot)
{
    for (const struct command *command = opener->next; command->opener != opener;
         command = command->next) {
        const struct argument *variable = command_argument(command, ARGUMENT_VARIABLE);
        if ((variable != NULL && variable->slot == slot) ||
            (command_result(command->spec->id) != NULL && command->result_slot == slot))
            return true;
    }
    return false;
}

/* One CPU's copy. */
static void compile_copy(struct compiler *compiler, const struct command *opener)
{
    compiler->used_depths &= ~(1ull << (opener->depth + 1));
    compiler->catcher = NULL;
    compiler->on = NULL;
    compiler->blocks[compiler->block_count++] =
        (struct compile_block){.opener = opener, .jump = NO_SLOT, .first_break = NO_SLOT};
    const struct command *command = opener->next;
    for (; command->opener != opener && !compiler->out_of_memory; command = command->next)
        compile_command(compiler, command);
    compiler->block_count--;
    compile_scope_end(compiler, opener);
    compile_emit(compiler, run_end, opener);
}

static void compile_copies(struct compiler *compiler, const struct command *opener,
                           struct parallel_block *block)
{
    struct run *run = compiler->run;
    const struct catcher *catcher = compiler->catcher;
    struct on_block *on = compiler->on;
    compiler->for_cpu = true;
    for (unsigned cpu = 0; cpu < block->cpu_count && !compiler->out_of_memory; cpu++) {
        start_page(compiler);
        compiler->run = run->cpu_runs[cpu];
        compiler->cpu = cpu;
        block->firsts[cpu] = &compiler->program->ops[compiler->program->op_count];
        compile_copy(compiler, opener);
    }
    compiler->run = run;
    compiler->for_cpu = false;
    compiler->catcher = catcher;
    compiler->on = on;
}

/* The sample of how far apart the CPUs started. */
static struct sample_state *skew_sample(struct compiler *compiler)
{
    uint32_t slot = compiler->program->script->skew_metric;
    struct sample_state *sample = compile_allocate(compiler, sizeof(*sample));
    if (sample != NULL)
        *sample = (struct sample_state){.metric = &compiler->run->metrics[slot], .per = 1};
    return sample;
}

const struct command *compile_parallel(struct compiler *compiler, const struct command *opener)
{
    static const enum argument_id ids[] = {ARGUMENT_N};
    const struct argument *variable = command_argument(opener, ARGUMENT_VARIABLE);
    struct parallel_block *block = compile_allocate(compiler, sizeof(*block));
    struct op *op = compile_emit(compiler, run_parallel, opener);
    op->operands = compile_operands(compiler, opener, ids, 1);
    op->sample = skew_sample(compiler);
    op->parallel = block;
    const struct command *end = opener->next;
    while (end->opener != opener)
        end = end->next;
    if (compiler->out_of_memory)
        return end;

    *block = (struct parallel_block){.cpu_count = compile_cpu_count(compiler, opener),
                                     .depth = opener->depth + 1,
                                     .variable = variable != NULL ? variable->slot : NO_SLOT};
    block->firsts = compile_allocate(compiler, block->cpu_count * sizeof(*block->firsts));
    bool is_constant = variable != NULL && !is_set_inside(opener, variable->slot);
    compiler->cpu_slot = is_constant ? variable->slot : NO_SLOT;
    if (!compiler->out_of_memory)
        compile_copies(compiler, opener, block);
    start_page(compiler);
    op->target = &compiler->program->ops[compiler->program->op_count];
    return end;
}
