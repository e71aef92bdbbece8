/* Compiles the commands that build, change and use memory. */
#include "core/script/compiler.h"
#include "core/script/run_ops.h"

static void compile_prepare(struct compiler *compiler, struct op *op,
                            bool (*prepare)(struct run *run, const struct op *op))
{
    op->prepared = compile_allocate(compiler, sizeof(*op->prepared));
    op->prepare = prepare;
}

static void compile_space(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[SPACE_OPERANDS] = {[SPACE_ASLR] = ARGUMENT_ASLR};
    struct op *op = compile_emit(compiler, run_space, command);
    compile_making(compiler, op, command);
    op->operands = compile_operands(compiler, command, ids, SPACE_OPERANDS);
}

static void compile_object(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[OBJECT_OPERANDS] = {
        [OBJECT_SIZE] = ARGUMENT_SIZE,           [OBJECT_COMMIT] = ARGUMENT_COMMIT,
        [OBJECT_PURGEABLE] = ARGUMENT_PURGEABLE, [OBJECT_ALIGN] = ARGUMENT_ALIGN,
        [OBJECT_BELOW] = ARGUMENT_BELOW,         [OBJECT_AT] = ARGUMENT_AT,
        [OBJECT_BACKING] = ARGUMENT_BACKING,     [OBJECT_OFFSET] = ARGUMENT_OFFSET,
    };
    struct op *op = compile_emit(compiler, run_object, command);
    compile_making(compiler, op, command);
    op->slot = command_argument(command, ARGUMENT_WHAT)->slot;
    op->operands = compile_operands(compiler, command, ids, OBJECT_OPERANDS);
}

static void compile_map(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[MAP_OPERANDS] = {
        [MAP_SIZE] = ARGUMENT_SIZE,
        [MAP_OFFSET] = ARGUMENT_OFFSET,
        [MAP_PROT] = ARGUMENT_PROT,
        [MAP_SHARE] = ARGUMENT_SHARE,
        [MAP_AT] = ARGUMENT_AT,
        [MAP_ALIGN] = ARGUMENT_ALIGN,
        [MAP_IF_TAKEN] = ARGUMENT_IF_TAKEN,
        [MAP_COMMIT] = ARGUMENT_COMMIT,
        [MAP_POPULATE] = ARGUMENT_POPULATE,
        [MAP_PAGE] = ARGUMENT_PAGE,
        [MAP_STACK] = ARGUMENT_STACK,
        [MAP_CACHE] = ARGUMENT_CACHE,
    };
    struct op *op = compile_emit(compiler, run_map, command);
    compile_making(compiler, op, command);
    op->operands = compile_operands(compiler, command, ids, MAP_OPERANDS);
    op->map = compile_allocate(compiler, sizeof(*op->map));
    compile_prepare(compiler, op, run_map_prepare);
    if (compiler->out_of_memory)
        return;
    const struct argument *object = command_argument(command, ARGUMENT_OBJECT);
    if (object != NULL && object->thing != NO_SLOT)
        op->object = &compiler->run->things[object->thing];
    op->map->unbacked = object != NULL && op->object == NULL;
    /* Constants that cannot be evaluated fail when they are reached. */
    op->constant =
        compile_are_constant(op->operands, 0, MAP_OPERANDS) && run_map_evaluate(compiler->run, op);
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
    compile_prepare(compiler, op, run_unmap_prepare);
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
    compile_prepare(compiler, op, run_protect_prepare);
}

static void compile_advise(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[ADVISE_OPERANDS] = {
        [RANGE_ADDRESS] = ARGUMENT_THING,
        [RANGE_OFFSET] = ARGUMENT_OFFSET,
        [RANGE_SIZE] = ARGUMENT_SIZE,
        [ADVISE_WHAT] = ARGUMENT_WHAT,
    };
    struct op *op = compile_emit(compiler, run_advise, command);
    compile_thing(compiler, op, command);
    op->operands = compile_operands(compiler, command, ids, ADVISE_OPERANDS);
    compile_prepare(compiler, op, run_advise_prepare);
    compile_result(compiler, op, command);
}

static void compile_sync(struct compiler *compiler, const struct command *command)
{
    compile_thing(compiler, compile_emit(compiler, run_sync, command), command);
}

static void compile_resize(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[] = {ARGUMENT_SIZE};
    struct op *op = compile_emit(compiler, run_resize, command);
    compile_thing(compiler, op, command);
    op->operands = compile_operands(compiler, command, ids, ARRAY_COUNT(ids));
}

static void compile_move(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[] = {ARGUMENT_AT};
    struct op *op = compile_emit(compiler, run_move, command);
    compile_thing(compiler, op, command);
    op->operands = compile_operands(compiler, command, ids, ARRAY_COUNT(ids));
    compile_prepare(compiler, op, run_move_prepare);
}

static void compile_share(struct compiler *compiler, const struct command *command)
{
    struct op *op = compile_emit(compiler, run_share, command);
    const struct argument *from = command_argument(command, ARGUMENT_FROM);
    compile_making(compiler, op, command);
    op->from = run_cell(compiler->run, from->thing, from->region);
}

static void compile_switch(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[SWITCH_OPERANDS] = {[SWITCH_FACE] = ARGUMENT_WHAT};
    struct op *op = compile_emit(compiler, run_switch, command);
    const struct argument *object = command_argument(command, ARGUMENT_THING);
    op->object = &compiler->run->things[object->thing];
    op->operands = compile_operands(compiler, command, ids, SWITCH_OPERANDS);
}

static void compile_identity(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[IDENTITY_OPERANDS] = {
        [IDENTITY_AT] = ARGUMENT_AT, [IDENTITY_SIZE] = ARGUMENT_SIZE};
    struct op *op = compile_emit(compiler, run_identity, command);
    compile_thing(compiler, op, command);
    op->operands = compile_operands(compiler, command, ids, IDENTITY_OPERANDS);
}

static struct region_cell *find_cell(struct compiler *compiler, const struct op *op,
                                     const char *region)
{
    const struct script *script = compiler->program->script;
    uint32_t i = 0;
    while (!text_is(script->region_names[i], region))
        i++;
    return run_cell(compiler->run, op->thing->thing.slot, i);
}

static void compile_exec(struct compiler *compiler, const struct command *command)
{
    static const enum argument_id ids[EXEC_OPERANDS] = {
        [EXEC_TEXT] = ARGUMENT_TEXT, [EXEC_DATA] = ARGUMENT_DATA, [EXEC_STACK] = ARGUMENT_STACK};
    struct op *op = compile_emit(compiler, run_exec, command);
    compile_thing(compiler, op, command);
    op->operands = compile_operands(compiler, command, ids, EXEC_OPERANDS);
    op->exec = compile_allocate(compiler, sizeof(*op->exec));
    if (compiler->out_of_memory)
        return;
    op->exec->text = find_cell(compiler, op, "text");
    op->exec->data = find_cell(compiler, op, "data");
    op->exec->stack = find_cell(compiler, op, "stack");
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
    compile_prepare(compiler, op, run_touch_prepare);
    op->sample = compile_sample(compiler, command);
    if (compiler->out_of_memory)
        return;
    const struct argument *stack = command_argument(command, ARGUMENT_FROM);
    if (stack != NULL)
        op->from = run_cell(compiler->run, stack->thing, stack->region);
    op->constant = compile_are_constant(op->operands, RANGE_OPERANDS, TOUCH_OPERANDS) &&
                   run_touch_evaluate(compiler->run, op);
}

static void compile_fork(struct compiler *compiler, const struct command *command)
{
    struct op *op = compile_emit(compiler, run_fork, command);
    compile_making(compiler, op, command);
    op->child = op->thing;
    compile_thing(compiler, op, command);
}

static void compile_drop(struct compiler *compiler, const struct command *command)
{
    struct op *op = compile_emit(compiler, run_drop_thing, command);
    compile_thing(compiler, op, command);
    if (op->region != NULL)
        op->run = run_drop_mapping;
}

const struct compile_row compile_memory_rows[] = {
    {COMMAND_SPACE, true, compile_space},     {COMMAND_OBJECT, true, compile_object},
    {COMMAND_MAP, true, compile_map},         {COMMAND_UNMAP, true, compile_unmap},
    {COMMAND_PROTECT, true, compile_protect}, {COMMAND_SHARE, true, compile_share},
    {COMMAND_RESIZE, true, compile_resize},   {COMMAND_MOVE, true, compile_move},
    {COMMAND_ADVISE, true, compile_advise},   {COMMAND_FORK, true, compile_fork},
    {COMMAND_EXEC, true, compile_exec},       {COMMAND_DROP, true, compile_drop},
    {COMMAND_TOUCH, true, compile_touch},     {COMMAND_FILL, true, compile_fill},
    {COMMAND_VERIFY, true, compile_fill},     {COMMAND_IDENTITY, true, compile_identity},
    {COMMAND_SYNC, true, compile_sync},       {COMMAND_SWITCH, true, compile_switch},
};
const size_t compile_memory_row_count = ARRAY_COUNT(compile_memory_rows);
