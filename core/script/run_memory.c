/* Operations that build: spaces, objects, regions, forks. */
#include "core/mm/anonymous.h"
#include "core/mm/contiguous.h"
#include "core/mm/file.h"
#include "core/mm/framebuffer.h"
#include "core/mm/object.h"
#include "core/mm/physical.h"
#include "core/script/run_ops.h"

static bool refuse(struct run *run, result_t error, const char *detail)
{
    run->stop = (struct stop){.kind = STOP_ERROR, .number = (int)error, .detail = detail};
    return false;
}

static bool evaluate_switch(struct run *run, const struct operand *operand, bool fallback, bool *on)
{
    unsigned choice = fallback;
    if (operand->given && !run_choice(run, operand, &choice))
        return false;
    *on = choice != 0;
    return true;
}

const struct op *run_space(struct run *run, const struct op *op)
{
    struct thing_slot *slot = op->thing;
    bool aslr;
    if (slot->thing.alive)
        return run_error_detail(run, op, EEXIST, "the name is alive already");
    if (!evaluate_switch(run, &op->operands[SPACE_ASLR], false, &aslr))
        return run_stop(run, op);
    result_t result = space_create(&slot->space);
    if (result != OK) {
        slot->space = NULL;
        return run_error(run, op, result);
    }
    space_set_aslr(slot->space, aslr);
    slot->has_holes = false;
    slot->is_shared = false;
    run_make_alive(&slot->thing, op->scope);
    return op + 1;
}

/* --- object --------------------------------------------------------------------------------------------------- */

struct object_args {
    enum object_kind kind;
    uint64_t size_bytes;
    enum commit commit;
    bool purgeable;
    uint64_t align_bytes;
    phys_t below; /* 0: anywhere */
    phys_t at;
    bool on_disk;
    uint64_t offset_bytes;
};

static bool evaluate_physical_at(struct run *run, const struct operand *operand, phys_t *at)
{
    struct value value;
    unsigned choice;
    uint64_t size_bytes;
    if (!run_value(run, operand, &value))
        return false;
    *at = value.word == WORD_NONE ? phys((uint64_t)value.number) : physical_window(&size_bytes);
    return value.word == WORD_NONE || run_choice(run, operand, &choice);
}

static bool evaluate_object(struct run *run, const struct op *op, struct object_args *args)
{
    const struct operand *operands = op->operands;
    *args = (struct object_args){.kind = (enum object_kind)op->slot, .at = PHYS_NONE};
    int64_t size =
        args->kind == OBJECT_FRAMEBUFFER ? (int64_t)(framebuffer_page_count() << PAGE_SHIFT) : 0;
    int64_t align = (int64_t)PAGE_SIZE;
    int64_t below = 0;
    int64_t offset = 0;
    bool commit;
    if ((operands[OBJECT_SIZE].given && !run_number(run, &operands[OBJECT_SIZE], &size)) ||
        !evaluate_switch(run, &operands[OBJECT_COMMIT], true, &commit) ||
        !evaluate_switch(run, &operands[OBJECT_BACKING], false, &args->on_disk) ||
        (operands[OBJECT_OFFSET].given && !run_number(run, &operands[OBJECT_OFFSET], &offset)) ||
        !evaluate_switch(run, &operands[OBJECT_PURGEABLE], false, &args->purgeable) ||
        (operands[OBJECT_ALIGN].given && !run_number(run, &operands[OBJECT_ALIGN], &align)) ||
        (operands[OBJECT_BELOW].given && !run_number(run, &operands[OBJECT_BELOW], &below)) ||
        (operands[OBJECT_AT].given && !evaluate_physical_at(run, &operands[OBJECT_AT], &args->at)))
        return false;
    args->size_bytes = (uint64_t)size;
    args->commit = commit ? COMMIT_ON : COMMIT_OFF;
    args->align_bytes = (uint64_t)align;
    args->offset_bytes = (uint64_t)offset;
    args->below = phys(page_floor((uint64_t)below));
    if (size <= 0 || !is_page_aligned(args->size_bytes))
        return refuse(run, EINVAL, "the size of an object is a positive number of pages");
    if (operands[OBJECT_BELOW].given && below < (int64_t)PAGE_SIZE)
        return refuse(run, EINVAL, "no frame ends below that");
    if (args->size_bytes > machine_user_high())
        return refuse(run, ERANGE, "no space is as large as that");
    if (offset < 0 || !is_page_aligned(args->offset_bytes))
        return refuse(run, EINVAL, "a file begins at a multiple of 4K of its disk");
    if (args->on_disk && machine_disk() == NULL)
        return refuse(run, ENOTSUP, "this machine has no disk");
    return true;
}

static result_t create_file(const struct object_args *args, struct object **object)
{
    uint64_t page_count = args->size_bytes >> PAGE_SHIFT;
    return args->on_disk ? file_create(machine_disk(), args->offset_bytes, page_count, object)
                         : file_create_on_ramdisk(args->offset_bytes, page_count, object);
}

static result_t create_object(const struct object_args *args, struct thing_slot *slot)
{
    uint64_t page_count = args->size_bytes >> PAGE_SHIFT;
    result_t result = ENOTSUP;
    slot->object_phys = PHYS_NONE;
    if (args->kind == OBJECT_ANON) {
        result = anonymous_create_named(page_count, args->commit, args->purgeable, &slot->object);
    } else if (args->kind == OBJECT_CONTIGUOUS) {
        result = contiguous_create(page_count, args->align_bytes, args->below, &slot->object);
        if (result == OK)
            slot->object_phys = contiguous_first(slot->object);
    } else if (args->kind == OBJECT_PHYSICAL) {
        result = physical_create(args->at, page_count, &slot->object);
        slot->object_phys = args->at;
    } else if (args->kind == OBJECT_FILE) {
        result = create_file(args, &slot->object);
    } else if (args->kind == OBJECT_FRAMEBUFFER) {
        result = framebuffer_create(page_count, &slot->object);
        if (result == OK)
            slot->object_phys = framebuffer_device(slot->object);
    }
    if (result != OK)
        slot->object = NULL;
    return result;
}

const struct op *run_object(struct run *run, const struct op *op)
{
    struct thing_slot *slot = op->thing;
    struct object_args args;
    if (slot->thing.alive)
        return run_error_detail(run, op, EEXIST, "the name is alive already");
    if (!evaluate_object(run, op, &args))
        return run_stop(run, op);
    result_t result = create_object(&args, slot);
    if (result != OK)
        return run_error(run, op, result);
    object_name(slot->object);
    slot->object_bytes = args.size_bytes;
    run_make_alive(&slot->thing, op->scope);
    return op + 1;
}

/* --- map ----------------------------------------------------------------------------------------------------- */

enum { AT_ANY, AT_RANDOM };

bool run_evaluate_at(struct run *run, const struct operand *operand, enum map_at *at,
                     uint64_t *address)
{
    struct value value;
    unsigned choice = AT_ANY;
    *at = MAP_AT_ANY;
    if (!operand->given)
        return true;
    if (!run_value(run, operand, &value))
        return false;
    if (value.word != WORD_NONE && !run_choice(run, operand, &choice))
        return false;
    *at = value.word == WORD_NONE ? MAP_AT_FIXED : choice == AT_RANDOM ? MAP_AT_RANDOM : MAP_AT_ANY;
    *address = (uint64_t)value.number;
    return true;
}

/* `page=4K|2M`. */
static bool evaluate_page(struct run *run, const struct operand *operand, bool *large)
{
    int64_t page = (int64_t)PAGE_SIZE;
    if (operand->given && !run_number(run, operand, &page))
        return false;
    *large = page == (int64_t)TABLE_BYTES;
    return *large || page == (int64_t)PAGE_SIZE || refuse(run, EINVAL, "pages are of 4K or of 2M");
}

bool run_map_evaluate(struct run *run, const struct op *op)
{
    const struct operand *operands = op->operands;
    struct map_args *args = op->map;
    args->size_bytes = 0;
    int64_t offset = 0;
    int64_t align = (int64_t)PAGE_SIZE;
    unsigned if_taken = IF_TAKEN_REFUSE;
    unsigned cache = 0;
    args->prot = PROT_READ | PROT_WRITE;
    if ((operands[MAP_SIZE].given && !run_size(run, &operands[MAP_SIZE], &args->size_bytes)) ||
        (operands[MAP_OFFSET].given && !run_number(run, &operands[MAP_OFFSET], &offset)) ||
        !run_evaluate_at(run, &operands[MAP_AT], &args->at, &args->address) ||
        (operands[MAP_PROT].given && !run_prot(run, &operands[MAP_PROT], &args->prot)) ||
        (operands[MAP_ALIGN].given && !run_number(run, &operands[MAP_ALIGN], &align)) ||
        (operands[MAP_IF_TAKEN].given && !run_choice(run, &operands[MAP_IF_TAKEN], &if_taken)) ||
        !evaluate_switch(run, &operands[MAP_SHARE], false, &args->shared) ||
        !evaluate_switch(run, &operands[MAP_COMMIT], true, &args->commit) ||
        !evaluate_switch(run, &operands[MAP_POPULATE], false, &args->populate) ||
        !evaluate_page(run, &operands[MAP_PAGE], &args->large) ||
        !evaluate_switch(run, &operands[MAP_STACK], false, &args->stack) ||
        (operands[MAP_CACHE].given && !run_choice(run, &operands[MAP_CACHE], &cache)))
        return false;
    args->offset_bytes = (uint64_t)offset;
    args->align_bytes = (uint64_t)align;
    args->if_taken = (enum if_taken)if_taken;
    args->cache = operands[MAP_CACHE].given ? CACHE_WRITE_BACK + (enum cache)cache : CACHE_DEFAULT;
    return true;
}

/* The object that a name stands for now, and how much of it there is to map. */
static bool choose_object(struct run *run, const struct op *op)
{
    const struct thing_slot *slot = op->object;
    struct map_args *args = op->map;
    if (slot->object == NULL)
        return refuse(run, ENOENT, RUN_NO_OBJECT);
    args->object = slot->object;
    if (op->operands[MAP_SIZE].given)
        return true;
    if (args->offset_bytes >= slot->object_bytes)
        return refuse(run, ERANGE, "the offset is outside of the object");
    args->size_bytes = slot->object_bytes - args->offset_bytes;
    return true;
}

static inline void bind_region(struct run *run, const struct op *op, struct range range)
{
    struct region_cell *cell = op->region;
    if (cell == NULL)
        return;
    cell->range = range;
    cell->born = ++run->births;
    if (UNLIKELY(cell->holes != NULL))
        cell->holes->count = 0;
    run_make_alive(&cell->thing, op->scope);
}

void run_bind_region(struct run *run, const struct op *op, struct range range)
{
    bind_region(run, op, range);
}

bool run_map_prepare(struct run *run, const struct op *op)
{
    return (op->constant || run_map_evaluate(run, op)) &&
           (op->object == NULL || choose_object(run, op));
}

/* A region that takes the place of others makes holes in their names. */
static bool may_replace(struct run *run, const struct thing_slot *slot, const struct map_args *args)
{
    const struct range range = {.base = args->address, .size_bytes = args->size_bytes};
    return args->at != MAP_AT_FIXED || run_hole_reserve(run, slot, range);
}

__attribute__((noinline)) static const struct op *cannot_map(struct run *run, const struct op *op)
{
    return op->thing->space == NULL
               ? run_error_detail(run, op, ENOENT, RUN_NO_SPACE)
               : run_error_detail(run, op, EEXIST, "the region is alive already");
}

const struct op *run_map(struct run *run, const struct op *op)
{
    struct thing_slot *slot = op->thing;
    const struct region_cell *cell = op->region;
    if (UNLIKELY(slot->space == NULL) || UNLIKELY(cell != NULL && cell->thing.alive))
        return cannot_map(run, op);
    if (UNLIKELY(!run_prepare(run, op)))
        return run_stop(run, op);
    if (UNLIKELY(slot->is_shared) && !may_replace(run, slot, op->map))
        return run_stop(run, op);

    virt_t base;
    result_t result = space_map(slot->space, op->map, &base);
    if (UNLIKELY(result != OK))
        return run_error(run, op, result);
    if (UNLIKELY(op->map->at == MAP_AT_FIXED))
        run_note_overlap(run, op->thing, (struct range){base.value, op->map->size_bytes});
    bind_region(run, op, (struct range){base.value, op->map->size_bytes});
    return op + 1;
}

/* --- unmap, protect -------------------------------------------------------------------------------------------- */

bool run_unmap_prepare(struct run *run, const struct op *op)
{
    return run_resolve_range(run, op, &op->prepared->range);
}

const struct op *run_unmap(struct run *run, const struct op *op)
{
    if (!run_prepare(run, op))
        return run_stop(run, op);
    const struct run_range *range = &op->prepared->range;
    bool is_shared = op->thing->is_shared;
    if (UNLIKELY(is_shared) && !run_hole_reserve(run, op->thing, range->range))
        return run_stop(run, op);
    result_t result = space_unmap(range->space, range->range);
    if (result != OK)
        return run_error(run, op, result);
    op->thing->has_holes = true;
    if (UNLIKELY(is_shared))
        run_hole_note(run, op->thing, range->range);
    return op + 1;
}

bool run_protect_prepare(struct run *run, const struct op *op)
{
    return run_resolve_range(run, op, &op->prepared->range) &&
           run_prot(run, &op->operands[PROTECT_PROT], &op->prepared->choice);
}

const struct op *run_protect(struct run *run, const struct op *op)
{
    if (!run_prepare(run, op))
        return run_stop(run, op);
    const struct run_range *range = &op->prepared->range;
    result_t result = space_protect(range->space, range->range, op->prepared->choice);
    return result == OK ? op + 1 : run_error(run, op, result);
}

/* --- fork, drop ------------------------------------------------------------------------------------------------- */

const struct op *run_fork(struct run *run, const struct op *op)
{
    const struct thing_slot *parent = op->thing;
    struct thing_slot *child = op->child;
    if (parent->space == NULL)
        return run_error_detail(run, op, ENOENT, RUN_NO_SPACE);
    if (child->thing.alive)
        return run_error_detail(run, op, EEXIST, "the child's name is alive already");
    result_t result = space_fork(parent->space, &child->space);
    if (result != OK) {
        child->space = NULL;
        return run_error(run, op, result);
    }
    child->has_holes = parent->has_holes;
    child->is_shared = false;
    run_make_alive(&child->thing, op->scope);

    /* The names of the child's regions belong to the child: they are in no scope's list. */
    const struct region_cell *from = run_cell(run, parent->thing.slot, 0);
    struct region_cell *to = run_cell(run, child->thing.slot, 0);
    for (uint32_t i = 0; i < run->program->script->region_count; i++) {
        to[i].range = from[i].range;
        to[i].born = from[i].born;
        to[i].thing.alive = from[i].thing.alive;
    }
    return op + 1;
}

static const struct op *drop_object(struct run *run, const struct op *op)
{
    if (object_region_count(op->thing->object) != 0)
        return run_error_detail(run, op, EBUSY, "regions show the object");
    run_drop_object(op->thing);
    return op + 1;
}

const struct op *run_drop_thing(struct run *run, const struct op *op)
{
    if (op->thing->object != NULL)
        return drop_object(run, op);
    if (!run_is_alive(run, op))
        return run_stop(run, op);
    run_drop_space(run, op->thing);
    return op + 1;
}

const struct op *run_drop_mapping(struct run *run, const struct op *op)
{
    struct region_cell *cell = op->region;
    const struct thing_slot *slot = op->thing;
    if (!run_is_alive(run, op))
        return run_stop(run, op);
    result_t result = LIKELY(!slot->has_holes)
                          ? space_unmap(slot->space, cell->range)
                          : run_unmap_part(run, cell, cell->range.base,
                                           cell->range.base + cell->range.size_bytes);
    if (UNLIKELY(result != OK))
        return run_error(run, op, result);
    run_make_dead(&cell->thing);
    return op + 1;
}
