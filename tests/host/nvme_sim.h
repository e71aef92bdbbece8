/* A simulated NVMe device: registers behind struct nvme_bus, content block_pattern(), and every way to
 * go wrong. It does its work inside the accesses to its registers, so that nothing here depends on
 * time but time-outs. */
#ifndef TESTS_HOST_NVME_SIM_H
#define TESTS_HOST_NVME_SIM_H

#include "x86_64/nvme.h"

enum nvme_sim_mood {
    NVME_GOOD,
    NVME_ERROR,  /* reads end with status 0x281, unrecovered read error */
    NVME_LATE,   /* reads end when the status register has been looked at `patience` times */
    NVME_SILENT, /* reads never end, administration does */
    NVME_DEAD,   /* silent, and it does not stop or start either */
    NVME_FATAL,  /* the next read makes it report a fatal error; a reset helps */
    NVME_GONE,   /* all ones */
};

struct nvme_sim_queue {
    uint64_t submissions, completions; /* physical; 0: not made */
    uint32_t depth;
    uint32_t head; /* next submission to look at */
    uint32_t tail; /* next completion to write */
    uint32_t phase;
};

struct nvme_sim {
    /* What it is; set before nvme_init(). */
    uint64_t block_count;
    uint32_t block_shift;
    uint32_t metadata_bytes;
    uint32_t transfer_shift; /* MDTS: 0 no limit */
    uint32_t stride_shift;
    uint32_t entries; /* of a queue, at most */
    uint32_t namespace_id;
    uint32_t command_sets;
    /* What it does; may be changed at any time. */
    enum nvme_sim_mood mood;
    unsigned patience;
    uint64_t
        stall_us; /* a late answer comes after so long a time, in which the driver does not run */
    /* What happened. */
    unsigned reads, resets, cut_offs, foreign; /* foreign: opcodes that are no reading */
    uint64_t accesses;                         /* to registers */
    uint64_t pages_max_seen;

    uint32_t config, status, sizes;
    uint64_t admin_submissions, admin_completions;
    struct nvme_sim_queue queues[2];
    bool pending; /* a read that will be late */
    uint8_t late_command[64];
};

/* A good one: 4096 blocks of 512 bytes. */
void nvme_sim_init(struct nvme_sim *sim);
struct nvme_bus nvme_sim_bus(struct nvme_sim *sim);

#endif
