/* Compiles a combination of a scenario: the flat list of commands to a flat array of operations.
 *
 *   repeat N {A}   begin N ──────────────┐     if C {A} else {B}   if C ────┐
 *                  A           <─┐       │                         A        │
 *                  scope end     │       │                         jump ──┐ │
 *                  next N ───────┘       │                         B  <───│─┘
 *                  ...           <───────┘                         ...<───┘
 *
 *   try V {A}      A, each operation with the catcher; its end sets V, reached with or without a stop
 *   on CPU {A}     begin; A; scope end; end
 *   time M {A}     prepare; begin; A; end
 *   parallel N {A} begin ──┐   once for each CPU (compile_parallel.c)
 *                  A; scope end; end
 *                  ...   <─┘
 *
 * `break` repeats the ends of all blocks between it and its loop, then jumps. */
#include "core/script/compiler.h"

#include "core/fault_outcome.h"
#include "core/script/run_ops.h"

/* Each command becomes at most so many operations; `break` some for each block around it. */
#define OPS_PER_COMMAND 4
#define OPS_PER_BREAK (2 * SCRIPT_NESTING_MAX + 4)

struct op *compile_emit(struct compiler *compiler,
                        const struct op *(*run)(struct run *run, const struct op *op),
                        const struct command *command)
{
    struct op *op = &compiler->program->ops[compiler->program->op_count++];
    *op = (struct op){
        .run = run,
        .command = command,
        .catcher = compiler->catcher,
        .loop = compiler->loop,
    };
    return op;
}

static struct op *op_at(struct compiler *compiler, uint32_t index)
{
    return &compiler->program->ops[index];
}

/* The operation that will be emitted next. */
static const struct op *here(const struct compiler *compiler)
{
    return &compiler->program->ops[compiler->program->op_count];
}

/* --- ends of blocks: emitted where the block ends, and by `break` ---------------------------------------------- */

void compile_scope_end(struct compiler *compiler, const struct command *opener)
{
    uint32_t depth = opener->depth + 1;
    if (compiler->used_depths & 1ull << depth)
        compile_emit(compiler, run_scope_end, opener)->owner = depth;
}

static void emit_sample_end(struct compiler *compiler, const struct compile_block *block)
{
    const struct command *opener = block->opener;
    bool times = opener->spec->id == COMMAND_TIME;
    struct op *op = compile_emit(compiler, times ? run_time_end : run_count_end, opener);
    op->sample = block->sample;
    if (!times)
        op->slot = command_argument(opener, ARGUMENT_COUNTER)->slot;
}

static struct op *emit_catcher_end(struct compiler *compiler, const struct compile_block *block)
{
    const struct command *opener = block->opener;
    bool tries = opener->spec->id == COMMAND_TRY;
    compiler->catcher = block->catcher;
    struct op *op = compile_emit(compiler, tries ? run_try_end : run_expect_end, opener);
    op->catches = block->catches;
    if (tries) {
        compile_variable(compiler, op, opener);
        return op;
    }
    bool fault = opener->spec->id == COMMAND_EXPECT_FAULT;
    op->slot = command_argument(opener, ARGUMENT_WHAT)->slot + 1 + (fault ? FAULT_NUMBER_BASE : 0);
    return op;
}

static void emit_block_end(struct compiler *compiler, const struct compile_block *block)
{
    unsigned flags = block->opener->spec->flags;
    if (flags & SCOPE)
        compile_scope_end(compiler, block->opener);
    if (block->sample != NULL)
        emit_sample_end(compiler, block);
    else if (block->catches != NULL)
        (void)emit_catcher_end(compiler, block);
    else if (block->opener->spec->id == COMMAND_ON)
        compile_emit(compiler, run_on_end, block->opener)->on = compiler->on;
}

static void compile_break(struct compiler *compiler, const struct command *command)
{
    const struct catcher *catcher = compiler->catcher;
    struct on_block *on = compiler->on;
    struct compile_block *block = &compiler->blocks[compiler->block_count - 1];
    for (; (block->opener->spec->flags & LOOP) == 0; block--) {
        emit_block_end(compiler, block);
        compiler->on = block->on;
    }
    compile_scope_end(compiler, block->opener);
    struct op *jump = compile_emit(compiler, run_jump, command);
    jump->slot = block->first_break;
    block->first_break = (uint32_t)(jump - compiler->program->ops);
    compiler->catcher = catcher;
    compiler->on = on;
}

/* --- beginnings of blocks ---------------------------------------------------------------------------------------- */

static void open_repeat(struct compiler *compiler, struct compile_block *block)
{
    static const enum argument_id ids[REPEAT_OPERANDS] = {
        [REPEAT_COUNT] = ARGUMENT_N, [REPEAT_WARMUP] = ARGUMENT_WARMUP};
    struct op *op = compile_emit(compiler, run_repeat_begin, block->opener);
    op->operands = compile_operands(compiler, block->opener, ids, REPEAT_OPERANDS);
    block->repeat = &compiler->program->loops[compiler->program->loop_count++];
    *block->repeat = (struct loop_state){.outer = compiler->loop};
    op->repeat = block->repeat;
    compiler->loop = block->repeat;
}

static void open_foreach(struct compiler *compiler, struct compile_block *block)
{
    const struct command *opener = block->opener;
    const struct argument *list = command_argument(opener, ARGUMENT_LIST);
    struct foreach_state *state = compile_allocate(compiler, sizeof(*state));
    uint32_t count = 0;
    for (const struct list_item *item = list->items; item != NULL; item = item->next)
        count++;
    struct operand *items = compile_allocate(compiler, count * sizeof(*items));
    if (compiler->out_of_memory)
        return;
    uint32_t i = 0;
    for (const struct list_item *item = list->items; item != NULL; item = item->next)
        (void)compile_operand(compiler, item->value, list->at, NULL, &items[i++]);
    *state = (struct foreach_state){.count = count, .items = items};
    block->foreach = state;
    compile_emit(compiler, run_foreach_begin, opener)->foreach = state;
    struct op *op = compile_emit(compiler, run_foreach_item, opener);
    op->foreach = state;
    compile_variable(compiler, op, opener);
}

static void open_if(struct compiler *compiler, struct compile_block *block)
{
    static const enum argument_id ids[] = {ARGUMENT_VALUE};
    struct op *op = compile_emit(compiler, run_if, block->opener);
    op->operands = compile_operands(compiler, block->opener, ids, 1);
}

static void open_on(struct compiler *compiler, struct compile_block *block)
{
    static const enum argument_id ids[] = {ARGUMENT_N};
    struct op *op = compile_emit(compiler, run_on_begin, block->opener);
    op->operands = compile_operands(compiler, block->opener, ids, 1);
    op->on = compile_allocate(compiler, sizeof(*op->on));
    if (op->on == NULL)
        return;
    op->on->outer = compiler->on;
    compiler->on = op->on;
}

static void open_sample(struct compiler *compiler, struct compile_block *block)
{
    static const enum argument_id ids[] = {ARGUMENT_PER};
    bool times = block->opener->spec->id == COMMAND_TIME;
    block->sample = compile_sample(compiler, block->opener);
    struct op *op =
        compile_emit(compiler, times ? run_time_prepare : run_count_begin, block->opener);
    op->sample = block->sample;
    if (!times) {
        op->slot = command_argument(block->opener, ARGUMENT_COUNTER)->slot;
        return;
    }
    op->operands = compile_operands(compiler, block->opener, ids, 1);
    if (!compiler->out_of_memory)
        compile_set_default(op->operands, 0, 1);
    compile_emit(compiler, run_time_begin, block->opener)->sample = block->sample;
}

static void open_catcher(struct compiler *compiler, struct compile_block *block)
{
    block->catches = compile_allocate(compiler, sizeof(*block->catches));
    if (block->catches == NULL)
        return;
    block->catches->on = compiler->on;
    block->catches->depth = block->opener->depth;
    compiler->catcher = block->catches;
}

static void open_block(struct compiler *compiler, const struct command *command)
{
    enum command_id id = command->spec->id;
    struct compile_block *block = &compiler->blocks[compiler->block_count++];
    *block = (struct compile_block){
        .opener = command,
        .catcher = compiler->catcher,
        .loop = compiler->loop,
        .on = compiler->on,
        .begin = compiler->program->op_count,
        .jump = NO_SLOT,
        .first_break = NO_SLOT,
    };
    if (command->spec->flags & SCOPE)
        compiler->used_depths &= ~(1ull << (command->depth + 1));
    if (id == COMMAND_REPEAT)
        open_repeat(compiler, block);
    else if (id == COMMAND_FOREACH)
        open_foreach(compiler, block);
    else if (id == COMMAND_IF)
        open_if(compiler, block);
    else if (id == COMMAND_ON)
        open_on(compiler, block);
    else if (id == COMMAND_TIME || id == COMMAND_COUNT)
        open_sample(compiler, block);
    else
        open_catcher(compiler, block);
}

/* --- ends of blocks ------------------------------------------------------------------------------------------------ */

static void close_loop(struct compiler *compiler, const struct compile_block *block)
{
    const struct command *opener = block->opener;
    bool repeats = opener->spec->id == COMMAND_REPEAT;
    compile_scope_end(compiler, opener);
    struct op *next = compile_emit(compiler, repeats ? run_repeat_next : run_foreach_next, opener);
    next->target = op_at(compiler, block->begin + 1);
    if (repeats) {
        next->repeat = block->repeat;
        op_at(compiler, block->begin)->target = here(compiler);
    } else {
        next->foreach = block->foreach;
    }
    for (uint32_t i = block->first_break; i != NO_SLOT; i = op_at(compiler, i)->slot)
        op_at(compiler, i)->target = here(compiler);
}

static void turn_to_else(struct compiler *compiler, struct compile_block *block)
{
    struct op *jump = compile_emit(compiler, run_jump, block->opener);
    block->jump = (uint32_t)(jump - compiler->program->ops);
    op_at(compiler, block->begin)->target = here(compiler);
}

static void close_if(struct compiler *compiler, const struct compile_block *block)
{
    uint32_t index = block->jump != NO_SLOT ? block->jump : block->begin;
    op_at(compiler, index)->target = here(compiler);
}

static void close_block(struct compiler *compiler)
{
    struct compile_block *block = &compiler->blocks[--compiler->block_count];
    if (block->opener->spec->flags & LOOP)
        close_loop(compiler, block);
    else if (block->opener->spec->id == COMMAND_IF)
        close_if(compiler, block);
    else if (block->catches != NULL)
        block->catches->end = emit_catcher_end(compiler, block);
    else
        emit_block_end(compiler, block);
    compiler->catcher = block->catcher;
    compiler->loop = block->loop;
    compiler->on = block->on;
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

static bool reserve(struct compiler *compiler)
{
    struct program *program = compiler->program;
    size_t op_count = 1;
    size_t loop_count = 0;
    const struct command *parallel = NULL; /* that the command is in */
    size_t copies = 1;
    const struct command *command = program->script->first;
    for (; command != NULL; command = command->next) {
        if (command->spec->id == COMMAND_PARALLEL) {
            parallel = command;
            copies = compile_cpu_count(compiler, command);
        }
        op_count += copies * (command->spec->id == COMMAND_BREAK ? OPS_PER_BREAK : OPS_PER_COMMAND);
        loop_count += command->spec->id == COMMAND_REPEAT ? copies : 0;
        if (parallel != NULL && command->opener == parallel) {
            parallel = NULL;
            copies = 1;
        }
    }
    program->ops = compile_allocate(compiler, op_count * sizeof(struct op));
    program->loops = compile_allocate(compiler, loop_count * sizeof(struct loop_state));
    return !compiler->out_of_memory;
}

void compile_command(struct compiler *compiler, const struct command *command)
{
    if (command->spec->id == COMMAND_ELSE)
        turn_to_else(compiler, &compiler->blocks[compiler->block_count - 1]);
    else if (command->spec->id == COMMAND_END)
        close_block(compiler);
    else if (command->spec->id == COMMAND_BREAK)
        compile_break(compiler, command);
    else if (command->spec->flags & BLOCK)
        open_block(compiler, command);
    else
        compile_simple(compiler, command);
}

result_t compile(struct compiler *compiler)
{
    const struct command *command = compiler->program->script->first;
    if (!reserve(compiler))
        return ENOMEM;
    for (; command != NULL && !compiler->out_of_memory; command = command->next) {
        if (command->spec->id == COMMAND_PARALLEL)
            command = compile_parallel(compiler, command);
        else
            compile_command(compiler, command);
    }
    compile_emit(compiler, run_end, NULL);
    return compiler->out_of_memory ? ENOMEM : OK;
}
