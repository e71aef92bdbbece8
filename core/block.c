/* Transfers to and from block devices: bounds, and cutting to what a device takes. See block.h. */
#include "core/block.h"

typedef result_t transfer_t(struct block_device *device, uint64_t first, uint64_t count,
                            const phys_t *pages);

static result_t validate(const struct block_device *device, uint64_t offset_bytes,
                         uint64_t size_bytes)
{
    uint64_t end_bytes = block_device_bytes(device);
    if ((offset_bytes | size_bytes) % device->block_bytes != 0)
        return EINVAL;
    if (offset_bytes > end_bytes || size_bytes > end_bytes - offset_bytes)
        return ERANGE;
    return OK;
}

static result_t transfer(struct block_device *device, transfer_t *step, uint64_t offset_bytes,
                         uint64_t size_bytes, const phys_t *pages)
{
    result_t valid = validate(device, offset_bytes, size_bytes);
    if (valid != OK)
        return valid;

    uint64_t step_bytes = device->pages_max * PAGE_SIZE;
    while (size_bytes > 0) {
        uint64_t bytes = size_bytes < step_bytes ? size_bytes : step_bytes;
        result_t result =
            step(device, offset_bytes / device->block_bytes, bytes / device->block_bytes, pages);
        if (result != OK)
            return result;
        offset_bytes += bytes;
        size_bytes -= bytes;
        pages += bytes / PAGE_SIZE;
    }
    return OK;
}

result_t block_read(struct block_device *device, uint64_t offset_bytes, uint64_t size_bytes,
                    const phys_t *pages)
{
    return transfer(device, device->ops->read, offset_bytes, size_bytes, pages);
}

result_t block_write(struct block_device *device, uint64_t offset_bytes, uint64_t size_bytes,
                     const phys_t *pages)
{
    if (device->ops->write == NULL)
        return ENOTSUP;
    return transfer(device, device->ops->write, offset_bytes, size_bytes, pages);
}

result_t block_reserve(struct block_device *device, uint64_t offset_bytes, uint64_t size_bytes)
{
    if (device->ops->write == NULL)
        return ENOTSUP;
    result_t valid = validate(device, offset_bytes, size_bytes);
    if (valid != OK || device->ops->reserve == NULL)
        return valid;
    return device->ops->reserve(device, offset_bytes / device->block_bytes,
                                size_bytes / device->block_bytes);
}
