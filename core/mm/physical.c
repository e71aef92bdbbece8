/* The physical memory type. See physical.h. */
#include "core/mm/physical.h"

#include "core/mm/audit.h"
#include "core/mm/heap.h"
#include "core/mm/internal.h"
#include "core/mm/linear.h"

static const struct object_ops physical_ops;
static const struct object_ops page_zero_ops;

phys_t physical_window(uint64_t *size_bytes)
{
    *size_bytes = PHYSICAL_WINDOW_BYTES;
    return mm.physical_window;
}

bool physical_in_window(phys_t at, uint64_t page_count)
{
    uint64_t window = mm.physical_window.value;
    return at.value >= window && at.value - window < PHYSICAL_WINDOW_BYTES &&
           page_count <= (window + PHYSICAL_WINDOW_BYTES - at.value) >> PAGE_SHIFT;
}

result_t physical_create(phys_t at, uint64_t page_count, struct object **object)
{
    if (page_count == 0 || !is_page_aligned(at.value))
        return EINVAL;
    bool page_zero = at.value == 0 && page_count == 1;
    if (!page_zero && !physical_in_window(at, page_count))
        return ERANGE;

    struct linear *linear;
    const struct object_ops *ops = page_zero ? &page_zero_ops : &physical_ops;
    if (linear_create(ops, at, page_count, &linear) != OK)
        return ENOMEM;
    *object = &linear->object;
    return OK;
}

static void physical_release(struct object *object)
{
    heap_free(linear_of(object), sizeof(struct linear));
}

static void physical_audit(struct object *object, struct audit *audit)
{
    (void)object;
    audit_count_heap_object(audit);
}

static const struct object_ops physical_ops = {
    .name = "physical",
    .rights = PROT_READ | PROT_WRITE,
    .any_cache = true,
    .set_phase = linear_set_phase,
    .fault = linear_fault,
    .fork = linear_fork,
    .release = physical_release,
    .page = linear_page,
    .resident = linear_resident,
    .check_entry = linear_check_entry,
    .audit = physical_audit,
};

/* Firmware's data lives there: to be looked at, not to be changed. */
static const struct object_ops page_zero_ops = {
    .name = "physical",
    .rights = PROT_READ,
    .any_cache = true,
    .set_phase = linear_set_phase,
    .fault = linear_fault,
    .fork = linear_fork,
    .release = physical_release,
    .page = linear_page,
    .resident = linear_resident,
    .check_entry = linear_check_entry,
    .audit = physical_audit,
};
