/* A block device in a test's own memory, which counts what is asked of it and fails when told to. */
#ifndef TESTS_HOST_FAKE_DEVICE_H
#define TESTS_HOST_FAKE_DEVICE_H

#include <string.h>

#include "core/block.h"
#include "core/machine.h"

#define DEVICE_PAGES 2048u
#define BLOCK 512u

static struct fake {
    struct block_device block;
    uint8_t bytes[DEVICE_PAGES * PAGE_SIZE];
    uint64_t reads, pages_read, writes, pages_written, failed_reads;
    uint64_t bad_page; /* cannot be read or written; UINT64_MAX: none */
    uint64_t reserved; /* calls */
    bool no_memory;
} fake;

static bool meets_bad_page(uint64_t first, uint64_t count)
{
    uint64_t start = fake.bad_page * PAGE_SIZE;
    return fake.bad_page != UINT64_MAX && first * BLOCK < start + PAGE_SIZE &&
           start < (first + count) * BLOCK;
}

static result_t fake_read(struct block_device *device, uint64_t first, uint64_t count,
                          const phys_t *pages)
{
    (void)device;
    uint64_t bytes = count * BLOCK;
    fake.reads++;
    fake.pages_read += (bytes + PAGE_SIZE - 1) / PAGE_SIZE;
    for (uint64_t at = 0; at < bytes; at += BLOCK)
        memcpy((uint8_t *)machine_phys_to_virt(pages[at / PAGE_SIZE]) + at % PAGE_SIZE,
               fake.bytes + first * BLOCK + at, BLOCK);
    bool failed = meets_bad_page(first, count);
    fake.failed_reads += failed;
    return failed ? EIO : OK;
}

static result_t fake_write(struct block_device *device, uint64_t first, uint64_t count,
                           const phys_t *pages)
{
    (void)device;
    uint64_t bytes = count * BLOCK;
    fake.writes++;
    fake.pages_written += (bytes + PAGE_SIZE - 1) / PAGE_SIZE;
    if (meets_bad_page(first, count))
        return EIO;
    for (uint64_t at = 0; at < bytes; at += BLOCK)
        memcpy(fake.bytes + first * BLOCK + at,
               (uint8_t *)machine_phys_to_virt(pages[at / PAGE_SIZE]) + at % PAGE_SIZE, BLOCK);
    return OK;
}

static result_t fake_reserve(struct block_device *device, uint64_t first, uint64_t count)
{
    (void)device;
    (void)first;
    (void)count;
    fake.reserved++;
    return fake.no_memory ? ENOMEM : OK;
}

static const struct block_ops fake_ops = {fake_read, fake_write, fake_reserve};
static const struct block_ops fake_read_only_ops = {.read = fake_read};

/* The first word of each page says which it is; the rest is filled. */
static uint64_t first_word(uint64_t device_page)
{
    return 0xf11e0000 + device_page;
}

static void fake_init(void)
{
    fake.block = (struct block_device){.ops = &fake_ops,
                                       .name = "fake",
                                       .block_bytes = BLOCK,
                                       .pages_max = 16,
                                       .block_count = DEVICE_PAGES * PAGE_SIZE / BLOCK};
    fake.reads = fake.pages_read = fake.writes = fake.pages_written = fake.failed_reads =
        fake.reserved = 0;
    fake.bad_page = UINT64_MAX;
    fake.no_memory = false;
    for (uint64_t i = 0; i < DEVICE_PAGES; i++) {
        memset(fake.bytes + i * PAGE_SIZE, (int)i, PAGE_SIZE);
        uint64_t word = first_word(i);
        memcpy(fake.bytes + i * PAGE_SIZE, &word, 8);
    }
}

static uint64_t device_word(uint64_t page)
{
    uint64_t word;
    memcpy(&word, fake.bytes + page * PAGE_SIZE, 8);
    return word;
}

#endif
