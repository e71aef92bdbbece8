/* Mapping one to one, outside the tree. See space_identity.h. */
#include "core/mm/space_identity.h"

#include "core/mm/internal.h"
#include "core/mm/part.h"
#include "core/mm/physical.h"

/* The window is one level-1 table's worth: a range lies in one table. */
_Static_assert(PHYSICAL_WINDOW_BYTES == TABLE_BYTES, "the window fills one page table");

static struct region *first_of(const struct space *space)
{
    return list_is_empty(&space->identities) ? NULL : region_of_link(space->identities.next);
}

static struct region *next_of(const struct space *space, const struct region *region)
{
    struct list_node *link = region->object_link.next;
    return link == &space->identities ? NULL : region_of_link(link);
}

bool space_identity_meets(const struct space *space, struct range range)
{
    for (const struct region *region = first_of(space); region; region = next_of(space, region)) {
        if (region->node.base < range.base + range.size_bytes && range.base < region->node.end)
            return true;
    }
    return false;
}

void space_identity_hold_slowly(struct space *space)
{
    for (struct region *region = first_of(space); region; region = next_of(space, region)) {
        result_t result = region_tree_place_specifically(
            &space->tree, &region->node, region->node.base, region_size_bytes(region));
        ASSERT(result == OK); /* no region may have come in its way */
    }
}

void space_identity_release_slowly(struct space *space)
{
    for (struct region *region = first_of(space); region; region = next_of(space, region))
        region_tree_remove(&space->tree, &region->node);
}

/* Tables cannot go while the directory's lock is held. */
static result_t show_frames(const struct region *region)
{
    struct page_directory *directory = &region->space->directory;
    struct table_place place = {0};
    lock_acquire(&directory->lock);
    if (page_directory_add_tables_locked(directory, region->node.base, &place) != OK ||
        !table_lock(place.table)) {
        lock_release(&directory->lock);
        return ENOMEM;
    }
    struct frame *table = place.table;
    if (!entry_is_writable(entry_load(place.upper)))
        page_directory_settle(&place);
    for (uint64_t at = region->node.base; at < region->node.end; at += PAGE_SIZE) {
        page_directory_set(&place, entry_page(phys(at), region->entry_bits, 1), TABLE_MIXED);
        place.entry++;
    }
    table_unlock(table);
    lock_release(&directory->lock);
    return OK;
}

result_t space_identity_map(struct space *space, phys_t at, uint64_t size_bytes)
{
    struct range range = {at.value, size_bytes};
    result_t result = space_validate_range(space, range);
    if (result != OK)
        return result;
    if (!physical_in_window(at, size_bytes >> PAGE_SHIFT))
        return ERANGE;

    struct region *region = region_create_bare(space);
    if (!region)
        return ENOMEM;
    region->node.base = range.base;
    region->node.end = range.base + range.size_bytes;
    region_set_prot(region, PROT_READ | PROT_WRITE);
    lock_acquire(&space->lock);
    if (!region_tree_is_free(&space->tree, range.base, range.size_bytes) ||
        space_identity_meets(space, range))
        result = EEXIST;
    else
        result = show_frames(region);

    if (result == OK) {
        list_add_last(&space->identities, &region->object_link);
        space->first_fit = false;
    }
    lock_release(&space->lock);
    if (result != OK)
        region_destroy(region);
    return result;
}

void space_identity_hand_over(struct space *to, struct space *from)
{
    while (!list_is_empty(&from->identities)) {
        struct region *region = first_of(from);
        list_remove(&region->object_link);
        region->space = to;
        list_add_last(&to->identities, &region->object_link);
        to->first_fit = false;
    }
    from->first_fit = !from->aslr;
}

void space_identity_forget(struct space *space)
{
    while (!list_is_empty(&space->identities)) {
        struct region *region = first_of(space);
        list_remove(&region->object_link);
        region_destroy(region);
    }
}
