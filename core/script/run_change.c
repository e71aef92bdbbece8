/* Operations that change what is mapped: resize, move, advise, sync, share, identity, exec. */
#include "core/mm/framebuffer.h"
#include "core/mm/space_identity.h"
#include "core/script/run_ops.h"

/* --- resize, move ------------------------------------------------------------------------------------------------ */

const struct op *run_resize(struct run *run, const struct op *op)
{
    struct region_cell *cell = op->region;
    uint64_t size_bytes;
    if (!run_is_alive(run, op) || !run_size(run, &op->operands[0], &size_bytes))
        return run_stop(run, op);
    uint64_t base = cell->range.base;
    uint64_t end = base + cell->range.size_bytes;
    bool shrinks =
        size_bytes > 0 && is_page_aligned(size_bytes) && size_bytes < cell->range.size_bytes;
    result_t result = shrinks ? run_unmap_part(run, cell, base + size_bytes, end)
                              : space_resize(op->thing->space, cell->range, size_bytes);
    if (result != OK)
        return run_error(run, op, result);
    cell->range.size_bytes = size_bytes;
    return op + 1;
}

/* Regions that were mapped into the range since have moved with it. */
static void move_names(const struct run *run, const struct region_cell *cell, uint64_t base)
{
    struct range from = cell->range;
    for (uint32_t i = 0; i < run->program->script->region_count; i++) {
        struct region_cell *other = run_cell(run, cell->thing.slot, i);
        if (other->thing.alive && other->range.base >= from.base &&
            other->range.base - from.base + other->range.size_bytes <= from.size_bytes)
            other->range.base += base - from.base;
    }
}

/* Where to: the way in `choice`, the address in `range`. */
bool run_move_prepare(struct run *run, const struct op *op)
{
    enum map_at at;
    struct run_range *target = &op->prepared->range;
    *target = (struct run_range){0};
    if (!run_is_alive(run, op) || !run_evaluate_at(run, &op->operands[0], &at, &target->range.base))
        return false;
    op->prepared->choice = at;
    return true;
}

const struct op *run_move(struct run *run, const struct op *op)
{
    struct region_cell *cell = op->region;
    virt_t base;
    if (!run_prepare(run, op))
        return run_stop(run, op);
    result_t result = space_move(op->thing->space, cell->range, (enum map_at)op->prepared->choice,
                                 op->prepared->range.range.base, &base);
    if (result != OK)
        return run_error(run, op, result);
    run_note_overlap(run, op->thing,
                     (struct range){.base = base.value, .size_bytes = cell->range.size_bytes});
    move_names(run, cell, base.value);
    return op + 1;
}

/* --- advise ------------------------------------------------------------------------------------------------------ */

bool run_advise_prepare(struct run *run, const struct op *op)
{
    return run_resolve_range(run, op, &op->prepared->range) &&
           run_choice(run, &op->operands[ADVISE_WHAT], &op->prepared->choice);
}

const struct op *run_advise(struct run *run, const struct op *op)
{
    enum { DONTNEED, WILLNEED, VOLATILE, NONVOLATILE };
    if (!run_prepare(run, op))
        return run_stop(run, op);
    struct space *space = op->prepared->range.space;
    struct range range = op->prepared->range.range;
    unsigned what = op->prepared->choice;
    bool purged;
    result_t result = what == DONTNEED ? space_advise(space, range, ADVICE_DONTNEED)
                      : what == WILLNEED
                          ? space_advise(space, range, ADVICE_WILLNEED)
                          : space_set_volatile(space, range, what == VOLATILE, &purged);
    if (result != OK)
        return run_error(run, op, result);
    if (what == NONVOLATILE)
        run_set_result(run, op, purged);
    return op + 1;
}

/* --- sync -------------------------------------------------------------------------------------------------------- */

const struct op *run_sync(struct run *run, const struct op *op)
{
    if (!run_is_alive(run, op))
        return run_stop(run, op);
    result_t result = space_sync(op->thing->space, op->region->range);
    return result == OK ? op + 1 : run_error(run, op, result);
}

/* --- share ------------------------------------------------------------------------------------------------------- */

const struct op *run_share(struct run *run, const struct op *op)
{
    const struct region_cell *from = op->from;
    struct space *source = run->things[from->thing.slot].space;
    virt_t base;
    if (op->thing->space == NULL || source == NULL)
        return run_error_detail(run, op, ENOENT, RUN_NO_SPACE);
    if (!from->thing.alive)
        return run_error_detail(run, op, ENOENT, RUN_NO_REGION);
    if (op->region != NULL && op->region->thing.alive)
        return run_error_detail(run, op, EEXIST, "the region is alive already");
    const struct map_args args = {.at = MAP_AT_ANY, .align_bytes = PAGE_SIZE};
    result_t result = space_share(op->thing->space, &args, source, from->range, &base);
    if (result != OK)
        return run_error(run, op, result);
    run_bind_region(run, op,
                    (struct range){.base = base.value, .size_bytes = from->range.size_bytes});
    return op + 1;
}

/* --- switch ------------------------------------------------------------------------------------------------------ */

const struct op *run_switch(struct run *run, const struct op *op)
{
    static const enum framebuffer_face faces[] = {FACE_DEVICE, FACE_MEMORY};
    unsigned face;
    if (op->object->object == NULL)
        return run_error_detail(run, op, ENOENT, RUN_NO_OBJECT);
    if (!run_choice(run, &op->operands[SWITCH_FACE], &face))
        return run_stop(run, op);
    struct framebuffer *framebuffer = framebuffer_of(op->object->object);
    if (framebuffer == NULL)
        return run_error_detail(run, op, ENOTSUP, "only a framebuffer has two faces");
    result_t result = framebuffer_switch(framebuffer, faces[face]);
    return result == OK ? op + 1 : run_error(run, op, result);
}

/* --- identity ---------------------------------------------------------------------------------------------------- */

const struct op *run_identity(struct run *run, const struct op *op)
{
    int64_t at;
    uint64_t size_bytes;
    if (!run_is_alive(run, op) || !run_number(run, &op->operands[IDENTITY_AT], &at) ||
        !run_size(run, &op->operands[IDENTITY_SIZE], &size_bytes))
        return run_stop(run, op);
    result_t result = space_identity_map(op->thing->space, phys((uint64_t)at), size_bytes);
    return result == OK ? op + 1 : run_error(run, op, result);
}

/* --- exec -------------------------------------------------------------------------------------------------------- */

/* The names of the image belong to the space: they are in no scope's list. */
static void bind_part(struct run *run, struct region_cell *cell, struct range range)
{
    cell->range = range;
    cell->born = ++run->births;
    cell->thing.alive = true;
}

static void bind_image(struct run *run, const struct op *op, const struct image *image)
{
    struct region_cell *cells = run_cell(run, op->thing->thing.slot, 0);
    for (uint32_t i = 0; i < run->program->script->region_count; i++) {
        if (cells[i].thing.alive)
            run_make_dead(&cells[i].thing);
    }
    bind_part(run, op->exec->text, image->text);
    bind_part(run, op->exec->data, image->data);
    bind_part(run, op->exec->stack, image->stack);
    op->thing->has_holes = false;
}

const struct op *run_exec(struct run *run, const struct op *op)
{
    struct image image = {0};
    if (!run_is_alive(run, op) ||
        !run_size(run, &op->operands[EXEC_TEXT], &image.text.size_bytes) ||
        !run_size(run, &op->operands[EXEC_DATA], &image.data.size_bytes) ||
        !run_size(run, &op->operands[EXEC_STACK], &image.stack.size_bytes))
        return run_stop(run, op);
    result_t result = space_exec(op->thing->space, &image);
    if (result != OK)
        return run_error(run, op, result);
    bind_image(run, op, &image);
    return op + 1;
}
