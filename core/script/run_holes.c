/* Names in a space that other CPUs use at the same time.
 *
 * What a CPU has unmapped of a region it has named may be another's by the time that the name is dropped: the
 * lowest place that fits is often just that. So each name remembers what is not its own any more, and
 * dropping it leaves that alone. In a space of one CPU the other names alive there say as much
 * (run_names.c), without any limit. */
#include "core/script/run.h"

/* The part of a range that is in the name's, counted from its first address. False: none is. */
static bool clip(const struct region_cell *cell, struct range range, uint64_t *low, uint64_t *high)
{
    uint64_t base = cell->range.base;
    uint64_t end = base + cell->range.size_bytes;
    uint64_t range_end = range.base + range.size_bytes;
    /* Names from outside of `parallel` are in no list of this run; they are not dropped here. */
    if (!cell->thing.alive || cell->thing.link.next == NULL || cell->holes == NULL)
        return false;
    if (range_end < range.base)
        range_end = UINT64_MAX; /* a bare range up to the end of all addresses */
    if (range.base >= end || range_end <= base)
        return false;
    *low = range.base > base ? range.base - base : 0;
    *high = (range_end < end ? range_end : end) - base;
    return true;
}

static bool touches(const struct range *hole, uint64_t low, uint64_t high)
{
    return hole->base <= high && low <= hole->base + hole->size_bytes;
}

static bool has_room(const struct cell_holes *holes, uint64_t low, uint64_t high)
{
    for (unsigned i = 0; i < holes->count; i++) {
        if (touches(&holes->ranges[i], low, high))
            return true;
    }
    return holes->count < CELL_HOLES_MAX;
}

bool run_hole_reserve(struct run *run, const struct thing_slot *slot, struct range range)
{
    for (uint32_t i = 0; i < run->program->script->region_count; i++) {
        const struct region_cell *cell = run_cell(run, slot->thing.slot, i);
        uint64_t low;
        uint64_t high;
        if (!clip(cell, range, &low, &high) || has_room(cell->holes, low, high))
            continue;
        run->stop = (struct stop){
            .kind = STOP_ERROR,
            .number = ENOMEM,
            .detail = "a region of a space that CPUs share has too many holes",
        };
        return false;
    }
    return true;
}

/* Holes that touch become one. */
static void add_hole(struct cell_holes *holes, uint64_t low, uint64_t high)
{
    for (unsigned i = 0; i < holes->count;) {
        const struct range *hole = &holes->ranges[i];
        if (!touches(hole, low, high)) {
            i++;
            continue;
        }
        uint64_t end = hole->base + hole->size_bytes;
        low = hole->base < low ? hole->base : low;
        high = end > high ? end : high;
        holes->ranges[i] = holes->ranges[--holes->count];
    }
    holes->ranges[holes->count++] = (struct range){.base = low, .size_bytes = high - low};
}

void run_hole_note(const struct run *run, const struct thing_slot *slot, struct range range)
{
    for (uint32_t i = 0; i < run->program->script->region_count; i++) {
        const struct region_cell *cell = run_cell(run, slot->thing.slot, i);
        uint64_t low;
        uint64_t high;
        if (clip(cell, range, &low, &high))
            add_hole(cell->holes, low, high);
    }
}

/* The hole that begins lowest of those which end above an offset. */
static const struct range *next_hole(const struct cell_holes *holes, uint64_t offset)
{
    const struct range *lowest = NULL;
    for (unsigned i = 0; holes != NULL && i < holes->count; i++) {
        const struct range *hole = &holes->ranges[i];
        if (hole->base + hole->size_bytes > offset && (lowest == NULL || hole->base < lowest->base))
            lowest = hole;
    }
    return lowest;
}

result_t run_unmap_around_holes(const struct run *run, const struct region_cell *cell,
                                uint64_t base, uint64_t end)
{
    struct space *space = run->things[cell->thing.slot].space;
    uint64_t first = cell->range.base;
    while (base < end) {
        const struct range *hole = next_hole(cell->holes, base - first);
        uint64_t stop = hole == NULL || first + hole->base > end ? end : first + hole->base;
        result_t result = OK;
        if (stop > base)
            result = space_unmap(space, (struct range){.base = base, .size_bytes = stop - base});
        if (result != OK)
            return result;
        base = hole == NULL ? end : first + hole->base + hole->size_bytes;
    }
    return OK;
}
