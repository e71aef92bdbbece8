/* What the audit asks of anonymous memory. See anonymous.h and audit.h. */
#include "core/mm/anonymous_type.h"
#include "core/mm/audit.h"
#include "core/mm/internal.h"

const char *anonymous_check_entry(struct object *object, uint64_t slot, uint64_t entry)
{
    const struct anonymous *anonymous = CONTAINER_OF(object, struct anonymous, object);
    struct leaf *leaf = slot_table_leaf(&anonymous->table, slot);
    uint64_t data = leaf ? leaf->slots[slot % LEAF_SLOTS] : 0;
    bool writable = entry_is_writable(entry);
    if (data == 0) {
        if (entry_phys(entry).value != mm.zero_page.value)
            return "shows a frame where its object has no data";
        return writable ? "the shared zero page is writable" : NULL;
    }
    if (entry_phys(entry).value != slot_phys(data).value)
        return "shows another frame than its object has";
    if (writable && (leaf_is_shared(leaf) || frame_is_shared(slot_frame(data))))
        return "a shared page is writable";
    return NULL;
}

void anonymous_audit(struct object *object, struct audit *audit)
{
    const struct anonymous *anonymous = CONTAINER_OF(object, struct anonymous, object);
    audit_count_heap_object(audit);
    audit_count_slots(audit, &anonymous->table);
    audit_count_promises(audit, anonymous_promised(anonymous));
}
