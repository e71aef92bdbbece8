/* A disk behind NVM Express: reading blocks of its first usable namespace.
 *
 * Concepts: one pair of queues for administration, one for reading; one command at a time, its end
 * looked for by polling. There is no interrupt, and no command that changes what the disk keeps: the
 * opcodes of nvme.c are all there are. A device that does not answer in time is reset, so that it
 * cannot write into memory that somebody else has meanwhile; if that fails too, or it has been pulled
 * out, it is cut off from memory and gone: everything is EIO from then on, at once.
 * Nothing here knows a processor: registers are reached through struct nvme_bus.
 * Source: NVM Express Base Specification 1.4. */
#ifndef X86_64_NVME_H
#define X86_64_NVME_H

#include "core/block.h"
#include "core/lock.h"

/* How the driver reaches the device. Registers that are no longer there read as all ones. */
struct nvme_bus {
    uint32_t (*read)(void *context, uint64_t offset);
    void (*write)(void *context, uint64_t offset, uint32_t value);
    /* From now on the device cannot reach memory. */
    void (*cut_off)(void *context);
    void *context;
};

/* Pages of memory that the device shares, in a row in the direct map. */
#define NVME_MEMORY_PAGES 6
#define NVME_MODEL_SIZE 41

struct nvme_queue {
    unsigned number; /* 0: administration */
    void *submissions;
    volatile void *completions;
    uint16_t depth;
    uint16_t tail; /* next submission */
    uint16_t head; /* next completion */
    uint16_t phase;
    uint16_t command_id;
};

struct nvme {
    struct block_device block; /* the first usable namespace */
    struct nvme_bus bus;
    uint64_t timeout_us; /* of a command */
    uint64_t ready_us;   /* of switching the device on and off, as it says itself */
    uint8_t *memory;
    uint32_t doorbell_stride; /* bytes */
    uint32_t namespace_id;
    char model[NVME_MODEL_SIZE];

    struct lock lock;
    bool gone;
    unsigned complaints; /* how many failures have been logged */
    struct nvme_queue admin;
    struct nvme_queue reads;
};

/* Bytes of registers that the driver reaches, once it may read the first 4 KiB. */
uint64_t nvme_register_bytes(const struct nvme_bus *bus);
/* Resets the device and finds out what it is; takes over the memory. A command may take timeout_us.
 * ENOTSUP: it has nothing that can be read; EIO: it does not work; both with a log line, and then the
 * device is switched off. */
result_t nvme_init(struct nvme *nvme, const struct nvme_bus *bus, void *memory,
                   uint64_t timeout_us);

#endif
