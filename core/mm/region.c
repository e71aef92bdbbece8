/* Merging and ending regions. See region.h. */
#include "core/mm/region.h"

#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/region_cut.h"

void region_destroy(struct region *region)
{
    region_end(region);
}

uint64_t region_cache_bits(const struct region *region, enum cache usual)
{
    const uint64_t bits[] = {0, 0, mm.write_combining, ENTRY_UNCACHED};
    return bits[region->cache == CACHE_DEFAULT ? usual : (enum cache)region->cache];
}

static inline struct region *dig_up(struct dead_regions *dead)
{
    struct region *region = region_of_node(dead->first);
    dead->first = dead->first->parent;
    return region;
}

void region_destroy_buried(struct dead_regions *dead)
{
    space_wait_for_faults(region_of_node(dead->first)->space);
    while (dead->first)
        region_destroy(dig_up(dead));
}

void region_free_buried(struct dead_regions *dead)
{
    space_wait_for_faults(region_of_node(dead->first)->space);
    while (dead->first)
        region_free(dig_up(dead));
}
