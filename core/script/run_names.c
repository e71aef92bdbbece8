/* Names at run time: what is alive, what a scope drops at its end, what range a name stands for. */
#include "core/mm/mm.h"
#include "core/mm/object.h"
#include "core/script/run.h"

/* --- memory ----------------------------------------------------------------------------------------------- */

result_t run_names_init(struct run *run, struct arena *arena)
{
    const struct script *script = run->program->script;
    uint32_t regions = script->region_count;
    run->variables = arena_alloc(arena, script->variable_count * sizeof(*run->variables));
    run->things = arena_alloc(arena, script->thing_count * sizeof(*run->things));
    run->cells = arena_alloc(arena, script->thing_count * regions * sizeof(*run->cells));
    run->scopes = arena_alloc(arena, (script->depth_max + 1) * sizeof(struct list_node));
    if (!run->variables || !run->things || !run->cells || !run->scopes)
        return ENOMEM;

    for (uint32_t i = 0; i < script->variable_count; i++)
        run->variables[i].value = (struct value){.word = WORD_UNSET};
    for (uint32_t i = 0; i < script->thing_count; i++) {
        run->things[i].thing = (struct thing){.slot = i, .region = NO_SLOT};
        for (uint32_t k = 0; k < regions; k++)
            run_cell(run, i, k)->thing = (struct thing){.slot = i, .region = k};
    }
    for (uint32_t i = 0; i <= script->depth_max; i++)
        list_init(&run->scopes[i]);
    return OK;
}

/* Nothing that it copies is in a list of this run: it will not be dropped here. */
void run_names_copy(struct run *run, const struct run *outer)
{
    const struct script *script = run->program->script;
    memcpy(run->variables, outer->variables, script->variable_count * sizeof(*run->variables));
    for (uint32_t i = 0; i < script->thing_count; i++) {
        run->things[i] = outer->things[i];
        run->things[i].thing.link = (struct list_node){NULL, NULL};
        run->things[i].is_shared = outer->things[i].space != NULL;
    }
    for (uint32_t i = 0; i < script->thing_count * script->region_count; i++) {
        struct cell_holes *holes = run->cells[i].holes;
        run->cells[i] = outer->cells[i];
        run->cells[i].thing.link = (struct list_node){NULL, NULL};
        run->cells[i].holes = holes;
    }
    run->births = outer->births;
}

/* --- dropping --------------------------------------------------------------------------------------------- */

/* The first name of the space that was mapped after the cell and lies over [base, end). */
static const struct region_cell *find_younger(const struct run *run, const struct region_cell *cell,
                                              uint64_t base, uint64_t end)
{
    const struct region_cell *lowest = NULL;
    for (uint32_t i = 0; i < run->program->script->region_count; i++) {
        const struct region_cell *other = run_cell(run, cell->thing.slot, i);
        const struct range *range = &other->range;
        bool overlaps = other->thing.alive && other->born > cell->born && range->base < end &&
                        range->base + range->size_bytes > base;
        if (overlaps && (lowest == NULL || range->base < lowest->range.base))
            lowest = other;
    }
    return lowest;
}

static result_t unmap_around_others(const struct run *run, const struct region_cell *cell,
                                    uint64_t base, uint64_t end)
{
    struct space *space = run->things[cell->thing.slot].space;
    while (base < end) {
        const struct region_cell *other = find_younger(run, cell, base, end);
        uint64_t stop = other == NULL ? end : other->range.base;
        if (stop > base) {
            result_t result =
                space_unmap(space, (struct range){.base = base, .size_bytes = stop - base});
            if (result != OK)
                return result;
        }
        base = other == NULL ? end : other->range.base + other->range.size_bytes;
    }
    return OK;
}

result_t run_unmap_part(const struct run *run, const struct region_cell *cell, uint64_t base,
                        uint64_t end)
{
    const struct thing_slot *slot = &run->things[cell->thing.slot];
    if (slot->has_holes)
        return slot->is_shared ? run_unmap_around_holes(run, cell, base, end)
                               : unmap_around_others(run, cell, base, end);
    return space_unmap(slot->space, (struct range){.base = base, .size_bytes = end - base});
}

result_t run_drop_region(struct run *run, struct region_cell *cell)
{
    uint64_t base = cell->range.base;
    result_t result = run_unmap_part(run, cell, base, base + cell->range.size_bytes);
    if (result == OK)
        run_make_dead(&cell->thing);
    return result;
}

void run_drop_space(struct run *run, struct thing_slot *slot)
{
    uint32_t count = run->program->script->region_count;
    struct region_cell *cells = run_cell(run, slot->thing.slot, 0);
    for (uint32_t i = 0; i < count; i++) {
        if (cells[i].thing.alive)
            run_make_dead(&cells[i].thing);
    }
    run_make_dead(&slot->thing);
    space_destroy(slot->space);
    slot->space = NULL;
}

void run_drop_object(struct thing_slot *slot)
{
    run_make_dead(&slot->thing);
    object_unname(slot->object);
    slot->object = NULL;
}

static result_t drop_thing(struct run *run, struct thing *thing)
{
    if (thing->region != NO_SLOT)
        return run_drop_region(run, CONTAINER_OF(thing, struct region_cell, thing));
    struct thing_slot *slot = CONTAINER_OF(thing, struct thing_slot, thing);
    if (slot->object != NULL)
        run_drop_object(slot);
    else
        run_drop_space(run, slot);
    return OK;
}

/* What this asks the core for is no command's: it neither fails on purpose nor counts. */
static result_t drop_things(struct run *run, struct list_node *scope)
{
    mm_inject_suspend();
    result_t result = OK;
    while (!list_is_empty(scope) && result == OK)
        result = drop_thing(run, CONTAINER_OF(scope->previous, struct thing, link));
    mm_inject_resume();
    return result;
}

bool run_drop_scope(struct run *run, uint32_t depth)
{
    result_t result = drop_things(run, &run->scopes[depth]);
    if (result != OK) {
        run->stop = (struct stop){.kind = STOP_CLEANUP, .number = (int)result};
        return false;
    }
    for (uint32_t i = 0; i < run->program->script->variable_count; i++) {
        if (run->variables[i].owner == depth)
            run->variables[i].value = (struct value){.word = WORD_UNSET};
    }
    return true;
}

bool run_drop_scopes(struct run *run, uint32_t depth)
{
    for (uint32_t i = run->program->script->depth_max; i + 1 > depth; i--) {
        if (!run_drop_scope(run, i))
            return false;
        if (i == 0)
            break;
    }
    return true;
}

void run_note_overlap(const struct run *run, struct thing_slot *slot, struct range range)
{
    if (slot->is_shared) {
        run_hole_note(run, slot, range);
        slot->has_holes = true;
        return;
    }
    for (uint32_t i = 0; i < run->program->script->region_count && !slot->has_holes; i++) {
        const struct region_cell *cell = run_cell(run, slot->thing.slot, i);
        slot->has_holes = cell->thing.alive && cell->range.base < range.base + range.size_bytes &&
                          cell->range.base + cell->range.size_bytes > range.base;
    }
}

/* --- ranges -------------------------------------------------------------------------------------------------- */

static bool refuse(struct run *run, result_t error, const char *detail)
{
    run->stop = (struct stop){.kind = STOP_ERROR, .number = (int)error, .detail = detail};
    return false;
}

/* S@EXPR: the whole address space is the name's range. */
static bool resolve_bare(struct run *run, const struct op *op, struct run_range *range,
                         uint64_t offset)
{
    const struct operand *operands = op->operands;
    int64_t address;
    int64_t size = 8;
    if (!run_number(run, &operands[RANGE_ADDRESS], &address))
        return false;
    if (operands[RANGE_SIZE].given && !run_number(run, &operands[RANGE_SIZE], &size))
        return false;
    uint64_t base;
    uint64_t last;
    if (size == 0)
        return refuse(run, EINVAL, "the size is zero");
    /* An access has 8 bytes, however small the range. */
    uint64_t reach = (uint64_t)size < 8 ? 8 : (uint64_t)size;
    if (size < 0 || __builtin_add_overflow((uint64_t)address, offset, &base) ||
        __builtin_add_overflow(base, reach - 1, &last))
        return refuse(run, ERANGE, "the range does not fit into 64 bits");
    if (base < machine_user_high() && last >= space_user_high())
        return refuse(run, ERANGE, "the range meets the harness window");
    range->range = (struct range){.base = base, .size_bytes = (uint64_t)size};
    range->end = UINT64_MAX;
    return true;
}

static bool resolve_named(struct run *run, const struct op *op, struct run_range *range,
                          uint64_t offset)
{
    const struct region_cell *cell = op->region;
    if (!cell->thing.alive)
        return refuse(run, ENOENT, RUN_NO_REGION);
    if (offset > cell->range.size_bytes)
        return refuse(run, ERANGE, "the offset is outside of the region");
    const struct operand *operand = &op->operands[RANGE_SIZE];
    uint64_t rest = cell->range.size_bytes - offset;
    uint64_t size = rest;
    int64_t number;
    bool is_rest = !operand->given || (operand->code == NULL && operand->value.word != WORD_NONE);
    if (!is_rest) {
        if (!run_number(run, operand, &number))
            return false;
        size = (uint64_t)number;
    }
    if (size == 0)
        return refuse(run, EINVAL, "the size is zero");
    if (size > rest)
        return refuse(run, ERANGE, "the range ends outside of the region");
    range->range = (struct range){.base = cell->range.base + offset, .size_bytes = size};
    range->end = cell->range.base + cell->range.size_bytes - 1;
    return true;
}

bool run_is_alive(struct run *run, const struct op *op)
{
    if (op->thing->space == NULL)
        return refuse(run, ENOENT, RUN_NO_SPACE);
    return op->region == NULL || op->region->thing.alive || refuse(run, ENOENT, RUN_NO_REGION);
}

bool run_resolve_range(struct run *run, const struct op *op, struct run_range *range)
{
    const struct thing_slot *slot = op->thing;
    int64_t offset = 0;
    if (slot->space == NULL)
        return refuse(run, ENOENT, RUN_NO_SPACE);
    if (op->operands[RANGE_OFFSET].given && !run_number(run, &op->operands[RANGE_OFFSET], &offset))
        return false;
    range->space = slot->space;
    range->offset = (uint64_t)offset;
    return op->region == NULL ? resolve_bare(run, op, range, range->offset)
                              : resolve_named(run, op, range, range->offset);
}
