/* The RAM disk. See ramdisk.h. */
#include "core/mm/ramdisk.h"

#include "core/mm/audit.h"
#include "core/mm/heap.h"
#include "core/mm/internal.h"

/* A slot's frame is there, but nothing was written to it. */
#define SLOT_UNWRITTEN 2ull
#define PAGES_MAX 64u

static struct ramdisk *ramdisk_of(struct block_device *device)
{
    return CONTAINER_OF(device, struct ramdisk, block);
}

static uint64_t *find_slot(struct ramdisk *ramdisk, uint64_t page)
{
    struct leaf *leaf = slot_table_leaf(&ramdisk->table, page);
    return leaf ? &leaf->slots[page % LEAF_SLOTS] : NULL;
}

/* What the page holds until it is written: the loader's image, and generated content behind it. */
static void read_initial(uint64_t page, uint64_t *words)
{
    if (page < page_ceil(mm.ramdisk.size_bytes) >> PAGE_SHIFT) {
        const char *image = machine_phys_to_virt(phys(mm.ramdisk.start));
        machine_page_copy(words, image + (page << PAGE_SHIFT));
        return;
    }
    for (uint64_t i = 0; i < PAGE_SIZE / 8; i++)
        words[i] = block_pattern((page << PAGE_SHIFT) + 8 * i);
}

static result_t ramdisk_read(struct block_device *device, uint64_t first, uint64_t count,
                             const phys_t *pages)
{
    struct ramdisk *ramdisk = ramdisk_of(device);
    lock_acquire(&ramdisk->lock);
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t *slot = find_slot(ramdisk, first + i);
        void *page = machine_phys_to_virt(pages[i]);
        if (slot && *slot != 0 && (*slot & SLOT_UNWRITTEN) == 0)
            machine_page_copy(page, machine_phys_to_virt(slot_phys(*slot)));
        else
            read_initial(first + i, page);
    }
    lock_release(&ramdisk->lock);
    return OK;
}

static result_t ramdisk_write(struct block_device *device, uint64_t first, uint64_t count,
                              const phys_t *pages)
{
    struct ramdisk *ramdisk = ramdisk_of(device);
    result_t result = OK;
    lock_acquire(&ramdisk->lock);
    for (uint64_t i = 0; i < count && result == OK; i++) {
        uint64_t *slot = find_slot(ramdisk, first + i);
        if (!slot || *slot == 0) {
            result = EIO; /* was not reserved */
            break;
        }
        machine_page_copy(machine_phys_to_virt(slot_phys(*slot)), machine_phys_to_virt(pages[i]));
        *slot &= ~SLOT_UNWRITTEN;
    }
    lock_release(&ramdisk->lock);
    return result;
}

static result_t reserve_page(struct ramdisk *ramdisk, uint64_t page) REQUIRES(ramdisk->lock)
{
    uint64_t *slot = find_slot(ramdisk, page);
    if (slot && *slot != 0)
        return OK;
    phys_t frame;
    struct leaf *leaf;
    struct leaf *before;
    if (frames_take(FRAME_DATA, &frame) != OK)
        return ENOMEM;
    if (slot_table_own_leaf(&ramdisk->table, page, NULL, &leaf, &before) != OK) {
        frames_give(frame);
        return ENOMEM;
    }
    slot = &leaf->slots[page % LEAF_SLOTS];
    (void)slot_put(leaf_frame(leaf), slot, frame);
    *slot |= SLOT_UNWRITTEN;
    return OK;
}

static result_t ramdisk_reserve(struct block_device *device, uint64_t first, uint64_t count)
{
    struct ramdisk *ramdisk = ramdisk_of(device);
    result_t result = OK;
    lock_acquire(&ramdisk->lock);
    for (uint64_t i = 0; i < count && result == OK; i++)
        result = reserve_page(ramdisk, first + i);
    lock_release(&ramdisk->lock);
    return result;
}

static const struct block_ops ramdisk_ops = {
    .read = ramdisk_read,
    .write = ramdisk_write,
    .reserve = ramdisk_reserve,
};

result_t ramdisk_create(uint64_t page_count, struct ramdisk **out)
{
    struct ramdisk *ramdisk = heap_alloc(sizeof *ramdisk);
    if (!ramdisk)
        return ENOMEM;
    ramdisk->block = (struct block_device){
        .ops = &ramdisk_ops,
        .name = "RAM disk",
        .block_bytes = PAGE_SIZE,
        .pages_max = PAGES_MAX,
        .block_count = page_count,
    };
    lock_init(&ramdisk->lock, RANK_BLOCK, "ramdisk");
    slot_table_init(&ramdisk->table, page_count);
    *out = ramdisk;
    return OK;
}

void ramdisk_destroy(struct ramdisk *ramdisk)
{
    struct frame_batch batch;
    frame_batch_init(&batch);
    uint64_t freed = 0;
    uint64_t dropped = 0;
    slot_table_fini(&ramdisk->table, &batch, &freed, &dropped);
    frame_batch_end(&batch);
    heap_free(ramdisk, sizeof *ramdisk);
}

void ramdisk_audit(struct ramdisk *ramdisk, struct audit *audit)
{
    audit_count_heap_object(audit);
    audit_count_slots(audit, &ramdisk->table);
}
