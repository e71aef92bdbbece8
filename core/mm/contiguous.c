/* The contiguous memory type. See contiguous.h. */
#include "core/mm/contiguous.h"

#include "core/mm/audit.h"
#include "core/mm/heap.h"
#include "core/mm/linear.h"
#include "core/mm/reclaim.h"

static const struct object_ops contiguous_ops;

static result_t create_once(uint64_t page_count, uint64_t align_bytes, phys_t below,
                            struct object **object)
{
    if (page_count == 0 || align_bytes < PAGE_SIZE || (align_bytes & (align_bytes - 1)) != 0)
        return EINVAL;
    phys_t first;
    if (frames_take_run(FRAME_DATA, page_count, align_bytes >> PAGE_SHIFT, below, &first) != OK)
        return ENOMEM;
    struct linear *linear;
    if (linear_create(&contiguous_ops, first, page_count, &linear) != OK) {
        frames_give_run(first, page_count);
        return ENOMEM;
    }

    for (uint64_t i = 0; i < page_count; i++)
        machine_page_clear(machine_phys_to_virt(phys(first.value + (i << PAGE_SHIFT))));
    machine_cpu()->counters[COUNTER_PAGE_ZEROED] += page_count;
    *object = &linear->object;
    return OK;
}

result_t contiguous_create(uint64_t page_count, uint64_t align_bytes, phys_t below,
                           struct object **object)
{
    result_t result;
    unsigned tries = reclaim_begin();
    do {
        result = create_once(page_count, align_bytes, below, object);
    } while (reclaim_retry(result, &tries));
    return result;
}

phys_t contiguous_first(struct object *object)
{
    return linear_of(object)->first;
}

static void contiguous_release(struct object *object)
{
    struct linear *linear = linear_of(object);
    frames_give_run(linear->first, object->page_count);
    heap_free(linear, sizeof *linear);
}

static void contiguous_audit(struct object *object, struct audit *audit)
{
    struct linear *linear = linear_of(object);
    audit_count_heap_object(audit);
    for (uint64_t i = 0; i < object->page_count; i++)
        audit_count_frame(audit, frame_of(linear->first) + i, FRAME_DATA);
}

static const struct object_ops contiguous_ops = {
    .name = "contiguous",
    .rights = PROT_READ | PROT_WRITE | PROT_EXEC,
    .set_phase = linear_set_phase,
    .fault = linear_fault,
    .fork = linear_fork,
    .release = contiguous_release,
    .page = linear_page,
    .resident = linear_resident,
    .check_entry = linear_check_entry,
    .audit = contiguous_audit,
};
