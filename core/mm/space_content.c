/* The content of a space, read and written through the objects: no page-table entries, no faults. */
#include "core/crc32.h"
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/part.h"
#include "core/mm/reclaim.h"
#include "core/mm/space.h"
#include "core/random.h"

/* Calls visit for each page of the range with the bytes of it that lie in the range. */
struct page_visit {
    result_t (*visit)(void *context, void *bytes, uint64_t address, uint64_t size_bytes);
    void *context;
    enum page_use use;
    uint64_t reached; /* all below has been visited */
};

static result_t visit_region(struct region *region, uint64_t base, uint64_t end,
                             struct page_visit *visit)
{
    while (base < end) {
        phys_t page;
        uint64_t next = page_floor(base) + PAGE_SIZE;
        uint64_t size_bytes = (next < end ? next : end) - base;
        result_t result =
            region->object->ops->page(region->object, region, page_floor(base), visit->use, &page);
        if (result != OK)
            return result;
        char *bytes = (char *)machine_phys_to_virt(page) + (base & PAGE_MASK);
        result = visit->visit(visit->context, bytes, base, size_bytes);
        if (result != OK)
            return result;
        base += size_bytes;
        visit->reached = base;
    }
    return OK;
}

static result_t visit_range(struct space *space, struct range range, struct page_visit *visit)
    REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    if (!space_is_backed(space, range))
        return ENOENT;
    struct region *region = region_of_node(region_tree_find(&space->tree, range.base));
    for (uint64_t base = range.base; base < end;) {
        uint64_t part_end = region->node.end < end ? region->node.end : end;
        result_t result = visit_region(region, base, part_end, visit);
        if (result != OK)
            return result;
        base = part_end;
        region = region_of_node(region_tree_next(&region->node));
    }
    return OK;
}

static result_t validate(struct range range)
{
    if (range.size_bytes == 0 || (range.base | range.size_bytes) % sizeof(uint64_t) != 0)
        return EINVAL;
    return range.base + range.size_bytes < range.base ? ERANGE : OK;
}

/* The same from outside. When frames run out it reclaims and goes on where it was: what lies behind may
 * be what goes. */
static result_t visit_all(struct space *space, struct range range, struct page_visit *visit)
{
    uint64_t end = range.base + range.size_bytes;
    uint64_t stopped_at = range.base;
    result_t result = validate(range);
    if (result != OK)
        return result;
    unsigned tries = reclaim_begin();
    visit->reached = range.base;
    do {
        if (visit->reached != stopped_at)
            tries = 0;
        stopped_at = visit->reached;
        struct range rest = {stopped_at, end - stopped_at};
        lock_acquire(&space->lock);
        space_set_busy(space, whole_tables(rest));
        result = visit_range(space, rest, visit);
        space_end_busy(space);
        space_unlock(space);
    } while (reclaim_retry(result, &tries));
    return result;
}

struct pattern {
    uint64_t pattern;
    uint64_t index_less_address; /* offset / 8 - address / 8 */
    struct mismatch *mismatch;
};

static result_t fill_page(void *context, void *bytes, uint64_t address, uint64_t size_bytes)
{
    const struct pattern *pattern = context;
    uint64_t index = address / 8 + pattern->index_less_address;
    uint64_t *words = bytes;
    for (uint64_t i = 0; i < size_bytes / 8; i++)
        words[i] = splitmix64(pattern->pattern ^ (index + i));
    return OK;
}

static result_t verify_page(void *context, void *bytes, uint64_t address, uint64_t size_bytes)
{
    const struct pattern *pattern = context;
    uint64_t index = address / 8 + pattern->index_less_address;
    const uint64_t *words = bytes;
    for (uint64_t i = 0; i < size_bytes / 8; i++) {
        uint64_t expected = splitmix64(pattern->pattern ^ (index + i));
        if (words[i] == expected)
            continue;
        *pattern->mismatch = (struct mismatch){address + i * 8, expected, words[i]};
        return EFAULT;
    }
    return OK;
}

result_t space_fill(struct space *space, struct range range, uint64_t pattern, uint64_t offset)
{
    struct pattern what = {pattern, offset / 8 - range.base / 8, NULL};
    struct page_visit visit = {fill_page, &what, PAGE_FOR_WRITING, 0};
    return visit_all(space, range, &visit);
}

result_t space_verify(struct space *space, struct range range, uint64_t pattern, uint64_t offset,
                      struct mismatch *mismatch)
{
    struct pattern what = {pattern, offset / 8 - range.base / 8, mismatch};
    struct page_visit visit = {verify_page, &what, PAGE_FOR_READING, 0};
    return visit_all(space, range, &visit);
}

static result_t set_words(void *context, void *bytes, uint64_t address, uint64_t size_bytes)
{
    (void)address;
    uint64_t *words = bytes;
    for (uint64_t i = 0; i < size_bytes / 8; i++)
        words[i] = *(const uint64_t *)context;
    return OK;
}

result_t space_set_words(struct space *space, struct range range, uint64_t word)
{
    struct page_visit visit = {set_words, &word, PAGE_FOR_WRITING, 0};
    return visit_all(space, range, &visit);
}

static result_t digest_page(void *context, void *bytes, uint64_t address, uint64_t size_bytes)
{
    (void)address;
    uint32_t *crc = context;
    *crc = crc32_update(*crc, bytes, size_bytes);
    return OK;
}

uint32_t space_digest(struct space *space)
{
    uint32_t crc = 0;
    struct page_visit visit = {digest_page, &crc, PAGE_FOR_READING, 0};
    lock_acquire(&space->lock);
    space_set_busy(space, space_everywhere(space));
    for (struct region_node *node = region_tree_first(&space->tree); node;
         node = region_tree_next(node)) {
        struct region *region = region_of_node(node);
        uint64_t head[3] = {node->base, node->end, region->prot};
        crc = crc32_update(crc, head, sizeof head);
        /* Reading makes nothing and so cannot fail. */
        if (region->object && visit_region(region, node->base, node->end, &visit) != OK)
            break;
    }
    space_end_busy(space);
    lock_release(&space->lock);
    return crc;
}
