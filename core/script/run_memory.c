/* Operations that build: spaces, regions, forks. */
#include "core/script/run_ops.h"

const struct op *run_space(struct run *run, const struct op *op)
{
    struct space_slot *slot = op->space;
    if (slot->thing.alive)
        return run_error_detail(run, op, EEXIST, "the space is alive already");
    result_t result = space_create(&slot->space);
    if (result != OK)
        return run_error(run, op, result);
    slot->has_holes = false;
    run_make_alive(&slot->thing, op->scope);
    return op + 1;
}

/* --- map ----------------------------------------------------------------------------------------------------- */

enum { AT_ANY, AT_RANDOM };

static bool evaluate_at(struct run *run, const struct operand *operand, struct map_args *args)
{
    struct value value;
    unsigned choice;
    args->at = MAP_AT_ANY;
    if (!operand->given)
        return true;
    if (!run_value(run, operand, &value))
        return false;
    if (value.word != WORD_NONE)
        return run_choice(run, operand, &choice) && choice == AT_ANY;
    args->at = MAP_AT_FIXED;
    args->address = (uint64_t)value.number;
    return true;
}

static bool evaluate_switch(struct run *run, const struct operand *operand, bool fallback, bool *on)
{
    unsigned choice = fallback;
    if (operand->given && !run_choice(run, operand, &choice))
        return false;
    *on = choice != 0;
    return true;
}

bool run_map_evaluate(struct run *run, const struct op *op)
{
    const struct operand *operands = op->operands;
    struct map_args *args = op->map;
    int64_t size;
    int64_t align = (int64_t)PAGE_SIZE;
    unsigned if_taken = IF_TAKEN_REFUSE;
    args->prot = PROT_READ | PROT_WRITE;
    if (!run_number(run, &operands[MAP_SIZE], &size) ||
        !evaluate_at(run, &operands[MAP_AT], args) ||
        (operands[MAP_PROT].given && !run_prot(run, &operands[MAP_PROT], &args->prot)) ||
        (operands[MAP_ALIGN].given && !run_number(run, &operands[MAP_ALIGN], &align)) ||
        (operands[MAP_IF_TAKEN].given && !run_choice(run, &operands[MAP_IF_TAKEN], &if_taken)) ||
        !evaluate_switch(run, &operands[MAP_COMMIT], true, &args->commit) ||
        !evaluate_switch(run, &operands[MAP_POPULATE], false, &args->populate))
        return false;
    args->size_bytes = (uint64_t)size;
    args->align_bytes = (uint64_t)align;
    args->if_taken = (enum if_taken)if_taken;
    return true;
}

/* Names may lie over one another from here on: `drop` must look. */
static void note_overlap(const struct run *run, struct space_slot *slot, uint64_t base,
                         uint64_t size)
{
    uint32_t space = slot->thing.space;
    for (uint32_t i = 0; i < run->program->script->region_count && !slot->has_holes; i++) {
        const struct region_cell *cell = run_cell(run, space, i);
        slot->has_holes = cell->thing.alive && cell->range.base < base + size &&
                          cell->range.base + cell->range.size_bytes > base;
    }
}

const struct op *run_map(struct run *run, const struct op *op)
{
    struct space_slot *slot = op->space;
    struct region_cell *cell = op->region;
    if (UNLIKELY(!slot->thing.alive))
        return run_error_detail(run, op, ENOENT, "the space is not alive");
    if (UNLIKELY(cell != NULL && cell->thing.alive))
        return run_error_detail(run, op, EEXIST, "the region is alive already");
    if (UNLIKELY(!op->constant && !run_map_evaluate(run, op)))
        return run_stop(run, op);

    virt_t base;
    result_t result = space_map(slot->space, op->map, &base);
    if (UNLIKELY(result != OK))
        return run_error(run, op, result);
    if (UNLIKELY(op->map->at == MAP_AT_FIXED && !slot->has_holes))
        note_overlap(run, slot, base.value, op->map->size_bytes);
    if (cell == NULL)
        return op + 1;
    cell->range = (struct range){.base = base.value, .size_bytes = op->map->size_bytes};
    cell->born = ++run->births;
    run_make_alive(&cell->thing, op->scope);
    return op + 1;
}

/* --- unmap, protect -------------------------------------------------------------------------------------------- */

const struct op *run_unmap(struct run *run, const struct op *op)
{
    struct run_range range;
    if (!run_resolve_range(run, op, &range))
        return run_stop(run, op);
    result_t result = space_unmap(range.space, range.range);
    if (result != OK)
        return run_error(run, op, result);
    op->space->has_holes = true;
    return op + 1;
}

const struct op *run_protect(struct run *run, const struct op *op)
{
    struct run_range range;
    unsigned prot;
    if (!run_resolve_range(run, op, &range) || !run_prot(run, &op->operands[PROTECT_PROT], &prot))
        return run_stop(run, op);
    result_t result = space_protect(range.space, range.range, prot);
    return result == OK ? op + 1 : run_error(run, op, result);
}

/* --- fork, drop ------------------------------------------------------------------------------------------------- */

const struct op *run_fork(struct run *run, const struct op *op)
{
    const struct space_slot *parent = op->space;
    struct space_slot *child = op->child;
    if (!parent->thing.alive)
        return run_error_detail(run, op, ENOENT, "the space is not alive");
    if (child->thing.alive)
        return run_error_detail(run, op, EEXIST, "the child's name is alive already");
    result_t result = space_fork(parent->space, &child->space);
    if (result != OK)
        return run_error(run, op, result);
    child->has_holes = parent->has_holes;
    run_make_alive(&child->thing, op->scope);

    /* The names of the child's regions belong to the child: they are in no scope's list. */
    const struct region_cell *from = run_cell(run, parent->thing.space, 0);
    struct region_cell *to = run_cell(run, child->thing.space, 0);
    for (uint32_t i = 0; i < run->program->script->region_count; i++) {
        to[i].range = from[i].range;
        to[i].born = from[i].born;
        to[i].thing.alive = from[i].thing.alive;
    }
    return op + 1;
}

const struct op *run_drop_thing(struct run *run, const struct op *op)
{
    struct space_slot *slot = op->space;
    if (!slot->thing.alive)
        return run_error_detail(run, op, ENOENT, "the space is not alive");
    if (op->region == NULL) {
        run_drop_space(run, slot);
        return op + 1;
    }
    struct region_cell *cell = op->region;
    if (!cell->thing.alive)
        return run_error_detail(run, op, ENOENT, "the region is not alive");
    result_t result = run_drop_region(run, cell);
    return result == OK ? op + 1 : run_error(run, op, result);
}
