/* Compiles the commands without a block: one operation each, with its operands. Those that work on
 * memory are in compile_memory.c. */
#include "core/script/compiler.h"
#include "core/script/run_ops.h"
#include "core/script/run_soak.h"

void *compile_allocate(struct compiler *compiler, size_t size)
{
    void *memory = arena_alloc(compiler->arena, size);
    if (memory == NULL)
        compiler->out_of_memory = true;
    return memory;
}

/* --- operands ---------------------------------------------------------------------------------------------- */

/* Compiles the arguments with the given meanings, in this order. */
const struct operand *compile_operands(struct compiler *compiler, const struct command *command,
                                       const enum argument_id *ids, size_t count)
{
    struct operand *operands = compile_allocate(compiler, count * sizeof(*operands));
    for (size_t i = 0; operands != NULL && i < count; i++) {
        const struct argument_spec *spec = NULL;
        for (size_t k = 0; k < command->spec->argument_count; k++) {
            if (command->spec->arguments[k].id == ids[i])
                spec = &command->spec->arguments[k];
        }
        const struct argument *argument = command_argument(command, ids[i]);
        if (argument == NULL || argument->expression == NULL)
            operands[i].spec = spec;
        else if (!compile_operand(compiler, argument->expression, argument->at, spec, &operands[i]))
            return NULL;
    }
    return operands;
}

bool compile_are_constant(const struct operand *operands, size_t first, size_t count)
{
    for (size_t i = first; i < count; i++) {
        if (operands[i].code != NULL)
            return false;
    }
    return true;
}

/* An operand that was not given is this number. */
void compile_set_default(const struct operand *operands, size_t index, int64_t number)
{
    struct operand *operand = (struct operand *)&operands[index];
    if (!operand->given)
        operand->value.number = number;
}

struct sample_state *compile_sample(struct compiler *compiler, const struct command *command)
{
    const struct argument *metric = command_argument(command, ARGUMENT_METRIC);
    if (metric == NULL)
        return NULL;
    struct sample_state *sample = compile_allocate(compiler, sizeof(*sample));
    if (sample != NULL)
        *sample = (struct sample_state){.metric = &compiler->run->metrics[metric->slot], .per = 1};
    return sample;
}

void compile_use_scope(struct compiler *compiler, uint32_t depth)
{
    compiler->used_depths |= 1ull << depth;
}

void compile_variable(struct compiler *compiler, struct op *op, const struct command *command)
{
    const struct argument *variable = command_argument(command, ARGUMENT_VARIABLE);
    op->slot = variable->slot;
    op->owner = variable->owner;
    compile_use_scope(compiler, variable->owner);
}

void compile_result(struct compiler *compiler, struct op *op, const struct command *command)
{
    op->slot = command->result_slot;
    op->owner = command->result_owner;
    compile_use_scope(compiler, op->owner);
}

/* --- commands without a block --------------------------------------------------------------------------------- */

/* The slots that an argument names. */
static void compile_place(struct compiler *compiler, struct op *op, const struct argument *argument)
{
    op->thing = &compiler->run->things[argument->thing];
    if (argument->region != NO_SLOT)
        op->region = run_cell(compiler->run, argument->thing, argument->region);
}

void compile_thing(struct compiler *compiler, struct op *op, const struct command *command)
{
    compile_place(compiler, op, command_argument(command, ARGUMENT_THING));
}

void compile_making(struct compiler *compiler, struct op *op, const struct command *command)
{
    const struct argument *name = command_argument(command, ARGUMENT_NAME);
    compile_place(compiler, op, name);
    op->scope = &compiler->run->scopes[name->owner];
    compile_use_scope(compiler, name->owner);
}

static void compile_floor(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[FLOOR_OPERANDS] = {
        [FLOOR_WHAT] = ARGUMENT_WHAT, [FLOOR_N] = ARGUMENT_N};
    struct op *op = compile_emit(compiler, run_floor, command);
    op->operands = compile_operands(compiler, command, ids, FLOOR_OPERANDS);
    op->sample = compile_sample(compiler, command);
    if (!compiler->out_of_memory)
        compile_set_default(op->operands, FLOOR_N, 1000);
}

static void compile_lookup(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[LOOKUP_OPERANDS] = {
        [LOOKUP_ADDRESS] = ARGUMENT_THING, [LOOKUP_N] = ARGUMENT_N};
    struct op *op = compile_emit(compiler, run_lookup, command);
    compile_thing(compiler, op, command);
    op->operands = compile_operands(compiler, command, ids, LOOKUP_OPERANDS);
    op->sample = compile_sample(compiler, command);
    compile_result(compiler, op, command);
    if (!compiler->out_of_memory)
        compile_set_default(op->operands, LOOKUP_N, 1000);
}

static void compile_frames(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[FRAMES_OPERANDS] = {
        [FRAMES_COUNT] = ARGUMENT_SIZE, [FRAMES_BELOW] = ARGUMENT_BELOW, [FRAMES_N] = ARGUMENT_N};
    struct op *op = compile_emit(compiler, run_frames, command);
    op->operands = compile_operands(compiler, command, ids, FRAMES_OPERANDS);
    op->sample = compile_sample(compiler, command);
    if (!compiler->out_of_memory)
        compile_set_default(op->operands, FRAMES_N, 1000);
}

static void compile_stray(struct compiler *compiler, const struct command *command)
{
    compile_thing(compiler, compile_emit(compiler, run_stray, command), command);
}

static void compile_inject(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[INJECT_OPERANDS] = {
        [INJECT_NTH] = ARGUMENT_NTH, [INJECT_EVERY] = ARGUMENT_EVERY};
    struct op *op = compile_emit(compiler, run_inject, command);
    op->slot = command_argument(command, ARGUMENT_WHAT)->slot;
    op->operands = compile_operands(compiler, command, ids, INJECT_OPERANDS);
}

static void compile_squeeze(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[] = {ARGUMENT_SIZE};
    struct op *op = compile_emit(compiler, run_squeeze, command);
    op->operands = compile_operands(compiler, command, ids, ARRAY_COUNT(ids));
}

static void compile_reclaim(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[] = {ARGUMENT_N};
    struct op *op = compile_emit(compiler, run_reclaim, command);
    op->operands = compile_operands(compiler, command, ids, ARRAY_COUNT(ids));
    compile_result(compiler, op, command);
}

static void compile_check(struct compiler *compiler, const struct command *command)
{
    compile_emit(compiler, run_check, command);
}

static void compile_mark(struct compiler *compiler, const struct command *command)
{
    compile_emit(compiler, run_mark, command);
}

static void compile_barrier(struct compiler *compiler, const struct command *command)
{
    compile_emit(compiler, run_barrier, command);
}

static void compile_soak(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[SOAK_OPERANDS] = {
        [SOAK_OPS] = ARGUMENT_OPS, [SOAK_CPUS] = ARGUMENT_CPUS};
    struct op *op = compile_emit(compiler, run_soak, command);
    op->operands = compile_operands(compiler, command, ids, SOAK_OPERANDS);
    op->soak = run_soak_create(compiler->run, compiler->arena);
    if (op->soak == NULL)
        compiler->out_of_memory = true;
}

static void compile_log(struct compiler *compiler, const struct command *command)
{
    compile_emit(compiler, run_log, command);
}

static void compile_set(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[] = {ARGUMENT_VALUE};
    struct op *op = compile_emit(compiler, run_set, command);
    op->operands = compile_operands(compiler, command, ids, 1);
    compile_variable(compiler, op, command);
}

static void compile_random(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[] = {ARGUMENT_N};
    struct op *op = compile_emit(compiler, run_random, command);
    op->operands = compile_operands(compiler, command, ids, 1);
    compile_variable(compiler, op, command);
}

static void compile_expect(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[] = {ARGUMENT_VALUE};
    struct op *op = compile_emit(compiler, run_expect, command);
    op->operands = compile_operands(compiler, command, ids, 1);
}

/* --- all of them ----------------------------------------------------------------------------------------------- */

static const struct compile_row rows[] = {
    {COMMAND_FLOOR, true, compile_floor},     {COMMAND_LOOKUP, true, compile_lookup},
    {COMMAND_FRAMES, true, compile_frames},   {COMMAND_CHECK, true, compile_check},
    {COMMAND_STRAY, true, compile_stray},     {COMMAND_INJECT, false, compile_inject},
    {COMMAND_SET, false, compile_set},        {COMMAND_SQUEEZE, true, compile_squeeze},
    {COMMAND_RECLAIM, true, compile_reclaim}, {COMMAND_RANDOM, false, compile_random},
    {COMMAND_LOG, false, compile_log},        {COMMAND_MARK, false, compile_mark},
    {COMMAND_EXPECT, false, compile_expect},  {COMMAND_BARRIER, true, compile_barrier},
    {COMMAND_SOAK, true, compile_soak},
};

static const struct compile_row *find_row(enum command_id id)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (rows[i].id == id)
            return &rows[i];
    }
    for (size_t i = 0; i < compile_memory_row_count; i++) {
        if (compile_memory_rows[i].id == id)
            return &compile_memory_rows[i];
    }
    return NULL; /* the head's */
}

void compile_simple(struct compiler *compiler, const struct command *command)
{
    const struct compile_row *row = find_row(command->spec->id);
    if (row == NULL)
        return;
    uint32_t count = compiler->program->op_count;
    bool starts_time = count > 0 && compiler->program->ops[count - 1].run == run_time_begin;
    if (row->works && !starts_time)
        compile_emit(compiler, run_limit, command);
    row->compile(compiler, command);
}
