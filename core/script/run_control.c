/* Operations of control: loops, conditions, variables, blocks that catch stops, CPUs. */
#include "core/log.h"
#include "core/script/run_ops.h"

#define LOG_TEXT_MAX 800

const struct op *run_end(struct run *run, const struct op *op)
{
    (void)op;
    run->next = NULL;
    return NULL;
}

const struct op *run_limit(struct run *run, const struct op *op)
{
    return run_is_late(run) ? run_stop(run, op) : op + 1;
}

const struct op *run_jump(struct run *run, const struct op *op)
{
    (void)run;
    return op->target;
}

const struct op *run_if(struct run *run, const struct op *op)
{
    int64_t condition;
    if (!run_number(run, &op->operands[0], &condition))
        return run_stop(run, op);
    return condition != 0 ? op + 1 : op->target;
}

/* --- loops ----------------------------------------------------------------------------------------------- */

static bool is_warming(const struct loop_state *loop)
{
    return loop->rep < 0 || (loop->outer != NULL && loop->outer->warming);
}

const struct op *run_repeat_begin(struct run *run, const struct op *op)
{
    struct loop_state *loop = op->repeat;
    int64_t count;
    int64_t warmup;
    if (!run_number(run, &op->operands[REPEAT_COUNT], &count) ||
        !run_number(run, &op->operands[REPEAT_WARMUP], &warmup))
        return run_stop(run, op);
    if (count < 0 || warmup < 0)
        return run_error_detail(run, op, EINVAL, "a number of rounds is not negative");
    loop->rep = -warmup;
    loop->end = count;
    loop->warming = is_warming(loop);
    return loop->rep < loop->end ? op + 1 : op->target;
}

const struct op *run_repeat_next(struct run *run, const struct op *op)
{
    struct loop_state *loop = op->repeat;
    loop->rep++;
    loop->warming = is_warming(loop);
    if (loop->rep >= loop->end)
        return op + 1;
    return run_is_late(run) ? run_stop(run, op) : op->target;
}

static void set_variable(struct run *run, const struct op *op, struct value value)
{
    run->variables[op->slot] = (struct variable_slot){.value = value, .owner = op->owner};
}

const struct op *run_foreach_begin(struct run *run, const struct op *op)
{
    (void)run;
    op->foreach->index = 0;
    return op + 1;
}

const struct op *run_foreach_item(struct run *run, const struct op *op)
{
    struct value value;
    if (!run_value(run, &op->foreach->items[op->foreach->index], &value))
        return run_stop(run, op);
    set_variable(run, op, value);
    return op + 1;
}

const struct op *run_foreach_next(struct run *run, const struct op *op)
{
    if (++op->foreach->index >= op->foreach->count)
        return op + 1;
    return run_is_late(run) ? run_stop(run, op) : op->target;
}

const struct op *run_scope_end(struct run *run, const struct op *op)
{
    return run_drop_scope(run, op->owner) ? op + 1 : run_stop(run, op);
}

/* --- variables -------------------------------------------------------------------------------------------- */

const struct op *run_set(struct run *run, const struct op *op)
{
    struct value value;
    if (!run_value(run, &op->operands[0], &value))
        return run_stop(run, op);
    set_variable(run, op, value);
    return op + 1;
}

const struct op *run_random(struct run *run, const struct op *op)
{
    int64_t bound;
    if (!run_number(run, &op->operands[0], &bound))
        return run_stop(run, op);
    if (bound <= 0)
        return run_error_detail(run, op, EINVAL, "a random number is below a positive bound");
    uint64_t number = random_below(&run->random, (uint64_t)bound);
    set_variable(run, op, (struct value){.number = (int64_t)number});
    return op + 1;
}

const struct op *run_log(struct run *run, const struct op *op)
{
    char text[LOG_TEXT_MAX];
    const struct argument *message = command_argument(op->command, ARGUMENT_MESSAGE);
    run_format_string(run, message->string, text, sizeof(text));
    log_info("%.*s: %s", TEXT_ARGS(run->program->scenario->name), text);
    return op + 1;
}

/* --- CPUs ------------------------------------------------------------------------------------------------- */

/* The program leaves this CPU; runner.c goes on at run->next on the wanted one. */
static const struct op *move_on(struct run *run, const struct on_block *on, const struct op *next)
{
    run->wanted_on = on;
    run->next = next;
    return NULL;
}

const struct op *run_on_begin(struct run *run, const struct op *op)
{
    int64_t cpu;
    if (!run_number(run, &op->operands[0], &cpu))
        return run_stop(run, op);
    if (cpu < 0 || cpu >= run->facts->cpu_count)
        return run_error_detail(run, op, ERANGE, "this machine has no such CPU up");
    op->on->cpu = (unsigned)cpu;
    run->on = op->on;
    return move_on(run, op->on, op + 1);
}

const struct op *run_on_end(struct run *run, const struct op *op)
{
    return move_on(run, op->on->outer, op + 1);
}

/* --- conditions and stops ----------------------------------------------------------------------------------- */

const struct op *run_expect(struct run *run, const struct op *op)
{
    int64_t condition;
    if (!run_number(run, &op->operands[0], &condition))
        return run_stop(run, op);
    if (LIKELY(condition != 0))
        return op + 1;
    run->stop = (struct stop){.kind = STOP_EXPECT};
    return run_stop(run, op);
}

/* The ends of blocks that catch are reached with run->stop filled, or without. */
static bool leave_scopes_of_stop(struct run *run, const struct op *op, const struct stop *stop)
{
    if (stop->kind == STOP_NONE)
        return true;
    run->stop = (struct stop){.kind = STOP_NONE};
    return run_drop_scopes(run, op->catches->depth + 1);
}

const struct op *run_try_end(struct run *run, const struct op *op)
{
    struct stop stop = run->stop;
    if (!leave_scopes_of_stop(run, op, &stop))
        return run_stop(run, op);
    int64_t number = stop.kind == STOP_FAULT ? FAULT_NUMBER_BASE + stop.number : stop.number;
    set_variable(run, op, (struct value){.number = stop.kind == STOP_NONE ? 0 : number});
    return op + 1;
}

/* slot: the number that must have stopped the block, as in $E and $F. */
const struct op *run_expect_end(struct run *run, const struct op *op)
{
    struct stop stop = run->stop;
    int number = (int)op->slot;
    bool fault = number > FAULT_NUMBER_BASE;
    enum stop_kind kind = fault ? STOP_FAULT : STOP_ERROR;
    if (fault)
        number -= FAULT_NUMBER_BASE;
    if (!leave_scopes_of_stop(run, op, &stop))
        return run_stop(run, op);
    if (stop.kind == kind && stop.number == number)
        return op + 1;
    run->stop = (struct stop){
        .kind = STOP_NOT_STOPPED,
        .number = number,
        .other_kind = stop.kind,
        .other_number = stop.number,
        .at = stop.kind != STOP_NONE ? stop.op->command->at : NULL,
        .has_access = stop.has_access,
        .address = stop.address,
        .done = stop.done,
        .count = stop.count,
    };
    return run_stop(run, op);
}
