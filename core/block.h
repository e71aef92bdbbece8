/* Devices that keep blocks of bytes: what a file object reads its pages from and writes them back to.
 *
 * Concepts: a transfer is a run of bytes of the device and the frames that it fills or is taken from,
 * a page each, in order; the last frame may be filled in part. A device that has no `write` cannot be
 * written to by any means. Whoever waits for a device waits with a limit: an answer that does not come
 * is EIO, as is a device that has gone; after EIO the frames hold anything.
 * Content made by PageLab itself, here and by tools/pagelab, is block_pattern(): what `fill` writes with
 * pattern 0, so that `verify` knows it.
 * Locking: a device has its own lock, of RANK_BLOCK; callers may hold those outside of it. */
#ifndef CORE_BLOCK_H
#define CORE_BLOCK_H

#include "core/random.h"
#include "core/result.h"
#include "core/types.h"

struct block_device;

struct block_ops {
    /* Blocks first..first+count-1, inside the device, at most `pages_max` pages of them. EIO. */
    result_t (*read)(struct block_device *device, uint64_t first, uint64_t count,
                     const phys_t *pages);
    /* EIO: anything may have been written. NULL: the device is read-only. */
    result_t (*write)(struct block_device *device, uint64_t first, uint64_t count,
                      const phys_t *pages);
    /* Takes whatever memory writing these blocks will need, so that it can be written back when there
     * is none left. ENOMEM. NULL: it needs none. */
    result_t (*reserve)(struct block_device *device, uint64_t first, uint64_t count);
};

/* Immutable once made, as far as its users are concerned. */
struct block_device {
    const struct block_ops *ops;
    const char *name;     /* for people */
    uint32_t block_bytes; /* a power of two, 512 to 4096 */
    uint32_t pages_max;   /* what one call of ops takes at most */
    uint64_t block_count;
};

static inline uint64_t block_device_bytes(const struct block_device *device)
{
    return device->block_count * device->block_bytes;
}

/* Fill the frames from, or write them to, size_bytes of the device from offset_bytes on, in as many
 * steps as it takes. EINVAL: not whole blocks; ERANGE: past the device's end; ENOTSUP: it has no write;
 * else as in block_ops. */
result_t block_read(struct block_device *device, uint64_t offset_bytes, uint64_t size_bytes,
                    const phys_t *pages);
result_t block_write(struct block_device *device, uint64_t offset_bytes, uint64_t size_bytes,
                     const phys_t *pages);

/* Before what will have to be written becomes different from what the device has; errors as above. */
result_t block_reserve(struct block_device *device, uint64_t offset_bytes, uint64_t size_bytes);

/* The eight bytes at this offset (a multiple of 8) of content that PageLab has made. */
static inline uint64_t block_pattern(uint64_t offset_bytes)
{
    return splitmix64(offset_bytes / 8);
}

#endif
