/* Compiles the commands without a block: one operation each, with its operands. */
#include "core/script/compiler.h"
#include "core/script/run_ops.h"

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

static bool are_constant(const struct operand *operands, size_t first, size_t count)
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

/* --- commands without a block --------------------------------------------------------------------------------- */

/* The slots that an argument names. */
static void compile_place(struct compiler *compiler, struct op *op, const struct argument *argument)
{
    op->space = &compiler->run->spaces[argument->space];
    if (argument->region != NO_SLOT)
        op->region = run_cell(compiler->run, argument->space, argument->region);
}

static void compile_thing(struct compiler *compiler, struct op *op, const struct command *command)
{
    compile_place(compiler, op, command_argument(command, ARGUMENT_THING));
}

static void compile_making(struct compiler *compiler, struct op *op, const struct command *command)
{
    const struct argument *name = command_argument(command, ARGUMENT_NAME);
    compile_place(compiler, op, name);
    op->scope = &compiler->run->scopes[name->owner];
    compile_use_scope(compiler, name->owner);
}

static void compile_space(struct compiler *compiler, const struct command *command)
{
    compile_making(compiler, compile_emit(compiler, run_space, command), command);
}

static void compile_map(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[MAP_OPERANDS] = {
        [MAP_SIZE] = ARGUMENT_SIZE,
        [MAP_PROT] = ARGUMENT_PROT,
        [MAP_AT] = ARGUMENT_AT,
        [MAP_ALIGN] = ARGUMENT_ALIGN,
        [MAP_IF_TAKEN] = ARGUMENT_IF_TAKEN,
        [MAP_COMMIT] = ARGUMENT_COMMIT,
        [MAP_POPULATE] = ARGUMENT_POPULATE,
    };
    struct op *op = compile_emit(compiler, run_map, command);
    compile_making(compiler, op, command);
    op->operands = compile_operands(compiler, command, ids, MAP_OPERANDS);
    op->map = compile_allocate(compiler, sizeof(*op->map));
    if (compiler->out_of_memory)
        return;
    op->map->unbacked = command_argument(command, ARGUMENT_OBJECT) != NULL;
    /* Constants that cannot be evaluated fail when they are reached. */
    op->constant =
        are_constant(op->operands, 0, MAP_OPERANDS) && run_map_evaluate(compiler->run, op);
}

static void compile_unmap(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[RANGE_OPERANDS] = {
        [RANGE_ADDRESS] = ARGUMENT_THING,
        [RANGE_OFFSET] = ARGUMENT_OFFSET,
        [RANGE_SIZE] = ARGUMENT_SIZE,
    };
    struct op *op = compile_emit(compiler, run_unmap, command);
    compile_thing(compiler, op, command);
    op->operands = compile_operands(compiler, command, ids, RANGE_OPERANDS);
}

static void compile_protect(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[PROTECT_OPERANDS] = {
        [RANGE_ADDRESS] = ARGUMENT_THING,
        [RANGE_OFFSET] = ARGUMENT_OFFSET,
        [RANGE_SIZE] = ARGUMENT_SIZE,
        [PROTECT_PROT] = ARGUMENT_PROT,
    };
    struct op *op = compile_emit(compiler, run_protect, command);
    compile_thing(compiler, op, command);
    op->operands = compile_operands(compiler, command, ids, PROTECT_OPERANDS);
}

static void compile_fill(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[FILL_OPERANDS] = {
        [RANGE_ADDRESS] = ARGUMENT_THING,
        [RANGE_OFFSET] = ARGUMENT_OFFSET,
        [RANGE_SIZE] = ARGUMENT_SIZE,
        [FILL_PATTERN] = ARGUMENT_PATTERN,
    };
    bool fills = command->spec->id == COMMAND_FILL;
    struct op *op = compile_emit(compiler, fills ? run_fill : run_verify, command);
    compile_thing(compiler, op, command);
    op->operands = compile_operands(compiler, command, ids, FILL_OPERANDS);
}

static void compile_touch(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[TOUCH_OPERANDS] = {
        [RANGE_ADDRESS] = ARGUMENT_THING, [RANGE_OFFSET] = ARGUMENT_OFFSET,
        [RANGE_SIZE] = ARGUMENT_SIZE,     [TOUCH_WHAT] = ARGUMENT_WHAT,
        [TOUCH_STRIDE] = ARGUMENT_STRIDE, [TOUCH_ORDER] = ARGUMENT_ORDER,
        [TOUCH_VALUE] = ARGUMENT_VALUE,   [TOUCH_AS] = ARGUMENT_AS,
    };
    struct op *op = compile_emit(compiler, run_touch, command);
    compile_thing(compiler, op, command);
    op->operands = compile_operands(compiler, command, ids, TOUCH_OPERANDS);
    op->touch = compile_allocate(compiler, sizeof(*op->touch));
    op->sample = compile_sample(compiler, command);
    if (compiler->out_of_memory)
        return;
    op->constant = are_constant(op->operands, RANGE_OPERANDS, TOUCH_OPERANDS) &&
                   run_touch_evaluate(compiler->run, op);
}

static void compile_fork(struct compiler *compiler, const struct command *command)
{
    struct op *op = compile_emit(compiler, run_fork, command);
    compile_making(compiler, op, command);
    op->child = op->space;
    compile_thing(compiler, op, command);
}

static void compile_drop(struct compiler *compiler, const struct command *command)
{
    compile_thing(compiler, compile_emit(compiler, run_drop_thing, command), command);
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
    op->slot = command->result_slot;
    op->owner = command->result_owner;
    compile_use_scope(compiler, op->owner);
    if (!compiler->out_of_memory)
        compile_set_default(op->operands, LOOKUP_N, 1000);
}

static void compile_check(struct compiler *compiler, const struct command *command)
{
    compile_emit(compiler, run_check, command);
}

static void compile_mark(struct compiler *compiler, const struct command *command)
{
    compile_emit(compiler, run_mark, command);
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

struct compile_row {
    enum command_id id;
    bool works; /* takes its time: the limit is looked at before */
    void (*compile)(struct compiler *compiler, const struct command *command);
};

static const struct compile_row rows[] = {
    {COMMAND_SPACE, true, compile_space},    {COMMAND_MAP, true, compile_map},
    {COMMAND_UNMAP, true, compile_unmap},    {COMMAND_PROTECT, true, compile_protect},
    {COMMAND_FORK, true, compile_fork},      {COMMAND_DROP, true, compile_drop},
    {COMMAND_TOUCH, true, compile_touch},    {COMMAND_FILL, true, compile_fill},
    {COMMAND_VERIFY, true, compile_fill},    {COMMAND_FLOOR, true, compile_floor},
    {COMMAND_LOOKUP, true, compile_lookup},  {COMMAND_CHECK, true, compile_check},
    {COMMAND_SET, false, compile_set},       {COMMAND_RANDOM, false, compile_random},
    {COMMAND_LOG, false, compile_log},       {COMMAND_MARK, false, compile_mark},
    {COMMAND_EXPECT, false, compile_expect},
};

void compile_simple(struct compiler *compiler, const struct command *command)
{
    size_t i = 0;
    while (i < ARRAY_COUNT(rows) && rows[i].id != command->spec->id)
        i++;
    if (i == ARRAY_COUNT(rows))
        return; /* the head's */
    uint32_t count = compiler->program->op_count;
    bool starts_time = count > 0 && compiler->program->ops[count - 1].run == run_time_begin;
    if (rows[i].works && !starts_time)
        compile_emit(compiler, run_limit, command);
    rows[i].compile(compiler, command);
}
