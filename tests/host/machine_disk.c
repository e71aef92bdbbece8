/* The simulated machine's disk. See machine_disk.h. */
#include "machine_disk.h"

#include "core/block.h"
#include "core/machine.h"

#define BLOCK_BYTES 512u

static result_t disk_read(struct block_device *device, uint64_t first, uint64_t count,
                          const phys_t *pages);

static const struct block_ops disk_ops = {.read = disk_read};

static struct {
    struct block_device block;
    uint64_t bad_offset;
} disk = {
    .block = {
        .ops = &disk_ops, .name = "simulated disk", .block_bytes = BLOCK_BYTES, .pages_max = 128}};

static result_t disk_read(struct block_device *device, uint64_t first, uint64_t count,
                          const phys_t *pages)
{
    (void)device;
    uint64_t start = first * BLOCK_BYTES;
    uint64_t end = start + count * BLOCK_BYTES;
    if (disk.bad_offset != 0 && start < disk.bad_offset + PAGE_SIZE && disk.bad_offset < end)
        return EIO;
    for (uint64_t at = start; at < end; at += 8) {
        uint64_t *words = machine_phys_to_virt(pages[(at - start) / PAGE_SIZE]);
        words[(at - start) % PAGE_SIZE / 8] = block_pattern(at);
    }
    return OK;
}

void sim_disk_init(uint64_t size_bytes, uint64_t bad_offset)
{
    disk.block.block_count = size_bytes / BLOCK_BYTES;
    disk.bad_offset = bad_offset;
}

struct block_device *machine_disk(void)
{
    return disk.block.block_count != 0 ? &disk.block : NULL;
}
