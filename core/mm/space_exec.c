/* Exec: a space gets a new image, or stays as it is.
 *
 * Concepts: the new image is built in a space of its own, where everything may fail; then the two
 * exchange trees and page tables, which cannot. */
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/part.h"
#include "core/mm/reclaim.h"
#include "core/mm/space_identity.h"

#define RETURN_INSTRUCTIONS 0xc3c3c3c3c3c3c3c3ull

static result_t map_part(struct space *space, struct range *part, unsigned prot, bool populate)
{
    virt_t base;
    result_t result = space_map(space,
                                &(struct map_args){.size_bytes = part->size_bytes,
                                                   .prot = prot,
                                                   .align_bytes = PAGE_SIZE,
                                                   .commit = true,
                                                   .populate = populate},
                                &base);
    part->base = base.value;
    return result;
}

/* The guard page is what remains of a range that is reserved as a whole first, wherever that comes to lie. */
static result_t map_stack(struct space *space, struct range *stack)
{
    virt_t guard;
    result_t result = space_map(space,
                                &(struct map_args){.size_bytes = PAGE_SIZE + stack->size_bytes,
                                                   .align_bytes = PAGE_SIZE,
                                                   .unbacked = true},
                                &guard);
    if (result != OK)
        return result;
    virt_t base;
    stack->base = guard.value + PAGE_SIZE;
    return space_map(space,
                     &(struct map_args){.size_bytes = stack->size_bytes,
                                        .prot = PROT_READ | PROT_WRITE,
                                        .at = MAP_AT_FIXED,
                                        .address = stack->base,
                                        .if_taken = IF_TAKEN_REPLACE,
                                        .align_bytes = PAGE_SIZE,
                                        .commit = true,
                                        .stack = true},
                     &base);
}

static result_t build(struct space *space, struct image *image)
{
    result_t result = map_part(space, &image->text, PROT_READ | PROT_EXEC, false);
    if (result == OK)
        result = space_set_words(space, image->text, RETURN_INSTRUCTIONS);
    if (result == OK)
        result = space_advise(space, image->text, ADVICE_WILLNEED);
    if (result == OK)
        result = map_part(space, &image->data, PROT_READ | PROT_WRITE, true);
    if (result == OK)
        result = map_stack(space, &image->stack);
    return result;
}

static void adopt(struct space *space)
{
    for (struct region_node *node = region_tree_first(&space->tree); node;
         node = region_tree_next(node))
        region_of_node(node)->space = space;
}

/* The spaces exchange all that they map. `fresh` is known to nobody else. */
static void exchange(struct space *space, struct space *fresh)
{
    lock_acquire(&space->lock);
    /* Faults find one of the trees, and both say that they must wait. */
    space_set_busy(space, space_everywhere(space));
    region_tree_set_busy(&fresh->tree, true);
    struct region_tree tree = space->tree;
    struct page_directory directory = space->directory;
    space->tree = fresh->tree;
    space->directory = fresh->directory;
    fresh->tree = tree;
    fresh->directory = directory;
    adopt(space);
    adopt(fresh);
    space_identity_hand_over(fresh, space);
    tlb_root_changed(space);
    region_tree_set_busy(&fresh->tree, false);
    space_end_busy(space);
    lock_release(&space->lock);
    space_wait_for_faults(space); /* who may still look at the old tree */
}

static result_t exec_once(struct space *space, struct image *image)
{
    struct space *fresh;
    result_t result = space_create(&fresh);
    if (result != OK)
        return result;
    struct image built = *image;
    space_set_aslr(fresh, space->aslr);
    result = build(fresh, &built);
    if (result == OK) {
        exchange(space, fresh);
        *image = built;
    }
    space_destroy(fresh);
    return result;
}

result_t space_exec(struct space *space, struct image *image)
{
    result_t result;
    unsigned tries = reclaim_begin();
    do {
        result = exec_once(space, image);
    } while (reclaim_retry(result, &tries));
    return result;
}
