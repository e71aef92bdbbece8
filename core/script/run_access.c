/* Operations on contents: accesses from ring 3, patterns written and checked through the object. */
#include "core/script/permutation.h"
#include "core/script/run_ops.h"

/* --- touch ---------------------------------------------------------------------------------------------------- */

enum { WHAT_READ, WHAT_WRITE, WHAT_EXEC };
enum { ORDER_UP, ORDER_DOWN, ORDER_RANDOM };

static bool evaluate_choice(struct run *run, const struct operand *operand, unsigned *choice)
{
    return !operand->given || run_choice(run, operand, choice);
}

bool run_touch_evaluate(struct run *run, const struct op *op)
{
    static const enum machine_access_kind kinds[] = {
        [WHAT_READ] = MACHINE_READ, [WHAT_WRITE] = MACHINE_WRITE, [WHAT_EXEC] = MACHINE_EXEC};
    const struct operand *operands = op->operands;
    struct touch_args *args = op->touch;
    unsigned what = WHAT_READ;
    unsigned kernel = 0;
    int64_t stride = (int64_t)PAGE_SIZE;
    int64_t value = 1;
    args->order = ORDER_UP;
    if (!run_choice(run, &operands[TOUCH_WHAT], &what) ||
        !evaluate_choice(run, &operands[TOUCH_ORDER], &args->order) ||
        !evaluate_choice(run, &operands[TOUCH_AS], &kernel) ||
        (operands[TOUCH_STRIDE].given && !run_number(run, &operands[TOUCH_STRIDE], &stride)) ||
        (operands[TOUCH_VALUE].given && !run_number(run, &operands[TOUCH_VALUE], &value)))
        return false;
    bool exec_value = what == WHAT_EXEC && operands[TOUCH_VALUE].given;
    if (stride <= 0 || exec_value) {
        run->stop = (struct stop){
            .kind = STOP_ERROR,
            .number = EINVAL,
            .detail = exec_value ? "exec takes no value=" : "the stride is not positive",
        };
        return false;
    }
    args->kind = kinds[what];
    args->kernel = kernel != 0;
    args->check = what == WHAT_READ && operands[TOUCH_VALUE].given;
    args->value = (uint64_t)value;
    args->stride = (uint64_t)stride;
    return true;
}

/* A row of accesses under way. */
struct touch {
    struct run *run;
    const struct op *op;
    const struct touch_args *args;
    uint64_t base;
    uint64_t count;
    uint64_t done;
    struct permutation permutation;
    struct machine_access access;
};

static bool is_listed(const struct touch *touch)
{
    return touch->args->order == ORDER_RANDOM;
}

/* Prepares the accesses from touch->done on, at most `count` of them. */
static void prepare(struct touch *touch, uint64_t count)
{
    const struct touch_args *args = touch->args;
    touch->access = (struct machine_access){
        .kind = args->kind,
        .kernel = args->kernel,
        .timed = touch->op->sample != NULL,
        .listed = is_listed(touch),
        .check = args->check,
        .start = touch->base + touch->done * args->stride,
        .stride_bytes = (int64_t)args->stride,
        .count = count,
        .value = args->value,
        .stack_pointer = args->stack_pointer,
    };
    if (args->order == ORDER_DOWN) {
        touch->access.start = touch->base + (touch->count - 1 - touch->done) * args->stride;
        touch->access.stride_bytes = -(int64_t)args->stride;
    }
    uint64_t *slots = machine_slots();
    for (uint64_t i = 0; is_listed(touch) && i < count; i++)
        slots[i] =
            touch->base + permutation_at(&touch->permutation, touch->done + i) * args->stride;
}

static const struct op *refused(struct touch *touch)
{
    struct run *run = touch->run;
    const struct machine_access *access = &touch->access;
    run->stop = (struct stop){
        .has_access = true,
        .address = access->address,
        .done = touch->done + access->done,
        .count = touch->count,
    };
    struct stop *stop = &run->stop;
    if (access->end == ACCESS_MISMATCH) {
        stop->kind = STOP_MISMATCH;
        stop->expected = access->value;
        stop->found = access->observed;
    } else if (access->end == ACCESS_FAULTED && access->outcome != FAULT_NOMEM) {
        stop->kind = STOP_FAULT;
        stop->number = (int)access->outcome;
    } else {
        stop->kind = STOP_ERROR;
        stop->number = access->end == ACCESS_FAULTED ? ENOMEM : EFAULT;
    }
    return run_stop(run, touch->op);
}

/* The latencies of the accesses just made, that of a refused one included. */
static void record(const struct touch *touch)
{
    const struct machine_access *access = &touch->access;
    uint64_t count = access->done + (access->end == ACCESS_FAULTED);
    for (uint64_t i = 0; i < count && i < MACHINE_SLOTS; i++)
        run_sample(touch->op, touch->op->sample, machine_slots()[i]);
}

static uint64_t chunk_count(const struct touch *touch)
{
    uint64_t stride = touch->args->stride;
    uint64_t most = stride >= PAGE_SIZE ? CHUNK_PAGES : CHUNK_BYTES / stride;
    bool slots = touch->op->sample != NULL || is_listed(touch);
    return slots && most > MACHINE_SLOTS ? MACHINE_SLOTS : most;
}

static const struct op *touch_row(struct touch *touch)
{
    uint64_t most = chunk_count(touch);
    for (;;) {
        uint64_t left = touch->count - touch->done;
        prepare(touch, left < most ? left : most);
        machine_access(&touch->access);
        if (touch->access.timed)
            record(touch);
        if (UNLIKELY(touch->access.end != ACCESS_DONE))
            return refused(touch);
        touch->done += touch->access.count;
        if (touch->done == touch->count)
            return touch->op + 1;
        if (run_is_late(touch->run))
            return run_stop(touch->run, touch->op);
    }
}

/* Every access lies within the range, or is its only one and lies within the name's. */
static bool count_accesses(const struct run_range *range, uint64_t stride, uint64_t *count)
{
    uint64_t size = range->range.size_bytes;
    *count = size < 8 ? 1 : (size - 8) / stride + 1;
    return size >= 8 || range->end - range->range.base >= 7;
}

/* Where ABIs want it: aligned to 16 bytes, below the end of the stack. */
static bool find_stack_pointer(struct run *run, const struct op *op)
{
    const struct region_cell *stack = op->from;
    const char *problem = !stack->thing.alive ? RUN_NO_REGION
                          : op->touch->kernel ? "as=kernel has no user program's stack pointer"
                                              : NULL;
    op->touch->stack_pointer = stack->range.base + stack->range.size_bytes - 16;
    if (problem != NULL)
        run->stop = (struct stop){
            .kind = STOP_ERROR,
            .number = stack->thing.alive ? EINVAL : ENOENT,
            .detail = problem,
        };
    return problem == NULL;
}

static const struct op *refuse_stack(struct run *run, const struct op *op, uint64_t count)
{
    run->stop = (struct stop){
        .kind = STOP_FAULT,
        .number = FAULT_SEGV,
        .has_access = true,
        .address = op->touch->stack_pointer,
        .count = count,
    };
    return run_stop(run, op);
}

bool run_touch_prepare(struct run *run, const struct op *op)
{
    return run_resolve_range(run, op, &op->prepared->range) &&
           (op->constant || run_touch_evaluate(run, op)) &&
           (op->from == NULL || find_stack_pointer(run, op));
}

const struct op *run_touch(struct run *run, const struct op *op)
{
    struct touch touch;
    if (!run_prepare(run, op))
        return run_stop(run, op);
    const struct run_range *range = &op->prepared->range;
    touch.run = run;
    touch.op = op;
    touch.args = op->touch;
    touch.base = range->range.base;
    touch.done = 0;
    if (!count_accesses(range, op->touch->stride, &touch.count))
        return run_error_detail(run, op, ERANGE, "an access of 8 bytes reaches beyond the region");
    /* In kernel mode the kernel's own half would be there to be written to. */
    if (UNLIKELY(op->touch->kernel &&
                 range->range.base + range->range.size_bytes - 1 >= machine_user_high()))
        return run_error_detail(run, op, ERANGE, "as=kernel reaches the user half only");
    if (op->touch->order == ORDER_RANDOM)
        permutation_init(&touch.permutation, touch.count, random_next(&run->random));
    space_load(range->space);
    if (UNLIKELY(op->from != NULL) &&
        space_check_stack(range->space, op->touch->stack_pointer) != FAULT_RESOLVED)
        return refuse_stack(run, op, touch.count);
    return touch_row(&touch);
}

/* --- fill, verify --------------------------------------------------------------------------------------------- */

/* Cuts the next piece off a range; pieces end at multiples of CHUNK_BYTES of the address. */
static struct range cut_chunk(struct run_range *range)
{
    struct range *rest = &range->range;
    uint64_t to_boundary = CHUNK_BYTES - rest->base % CHUNK_BYTES;
    struct range chunk = {.base = rest->base, .size_bytes = rest->size_bytes};
    if (chunk.size_bytes > to_boundary)
        chunk.size_bytes = to_boundary;
    rest->base += chunk.size_bytes;
    rest->size_bytes -= chunk.size_bytes;
    return chunk;
}

static bool resolve_pattern(struct run *run, const struct op *op, struct run_range *range,
                            uint64_t *pattern)
{
    int64_t number;
    if (!run_resolve_range(run, op, range) ||
        !run_number(run, &op->operands[FILL_PATTERN], &number))
        return false;
    *pattern = (uint64_t)number;
    if (range->range.base % 8 == 0 && range->range.size_bytes % 8 == 0)
        return true;
    run->stop = (struct stop){
        .kind = STOP_ERROR, .number = EINVAL, .detail = "a pattern covers multiples of 8 bytes"};
    return false;
}

const struct op *run_fill(struct run *run, const struct op *op)
{
    struct run_range range;
    uint64_t pattern;
    if (!resolve_pattern(run, op, &range, &pattern))
        return run_stop(run, op);
    while (range.range.size_bytes > 0) {
        struct range chunk = cut_chunk(&range);
        result_t result = space_fill(range.space, chunk, pattern, range.offset);
        if (result != OK)
            return run_error(run, op, result);
        range.offset += chunk.size_bytes;
        if (run_is_late(run))
            return run_stop(run, op);
    }
    return op + 1;
}

const struct op *run_verify(struct run *run, const struct op *op)
{
    struct run_range range;
    uint64_t pattern;
    if (!resolve_pattern(run, op, &range, &pattern))
        return run_stop(run, op);
    while (range.range.size_bytes > 0) {
        struct range chunk = cut_chunk(&range);
        struct mismatch mismatch;
        result_t result = space_verify(range.space, chunk, pattern, range.offset, &mismatch);
        if (result == EFAULT) {
            run->stop = (struct stop){
                .kind = STOP_MISMATCH,
                .address = mismatch.address,
                .expected = mismatch.expected,
                .found = mismatch.found,
            };
            return run_stop(run, op);
        }
        if (result != OK)
            return run_error(run, op, result);
        range.offset += chunk.size_bytes;
        if (run_is_late(run))
            return run_stop(run, op);
    }
    return op + 1;
}
