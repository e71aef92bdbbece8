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
    uint64_t bad_start, bad_end;
    uint64_t reads, bytes;
} disk = {
    .block = {
        .ops = &disk_ops, .name = "simulated disk", .block_bytes = BLOCK_BYTES, .pages_max = 128}};

static result_t disk_read(struct block_device *device, uint64_t first, uint64_t count,
                          const phys_t *pages)
{
    (void)device;
    uint64_t start = first * BLOCK_BYTES;
    uint64_t end = start + count * BLOCK_BYTES;
    disk.reads++;
    disk.bytes += end - start;
    if (start < disk.bad_end && disk.bad_start < end)
        return EIO;
    for (uint64_t at = start; at < end; at += 8) {
        uint64_t *words = machine_phys_to_virt(pages[(at - start) / PAGE_SIZE]);
        words[(at - start) % PAGE_SIZE / 8] = block_pattern(at);
    }
    return OK;
}

void sim_disk_init(uint64_t size_bytes)
{
    disk.block.block_count = size_bytes / BLOCK_BYTES;
}

void sim_disk_break(uint64_t offset_bytes, uint64_t size_bytes)
{
    disk.bad_start = offset_bytes;
    disk.bad_end = offset_bytes + size_bytes;
}

uint64_t sim_disk_reads(uint64_t *bytes)
{
    *bytes = disk.bytes;
    return disk.reads;
}

struct block_device *machine_disk(void)
{
    return disk.block.block_count != 0 ? &disk.block : NULL;
}
