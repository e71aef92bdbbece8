/* What an NVMe device does, read from the specification a second time, independently of the driver. */
#include "nvme_sim.h"

#include <assert.h>
#include <string.h>

#include "core/machine.h"
#include "machine_sim.h"

#define DOORBELLS 0x1000
#define STATUS_UNRECOVERED 0x281
#define STATUS_INVALID_FIELD 0x002
#define STATUS_INVALID_OPCODE 0x001

void nvme_sim_init(struct nvme_sim *sim)
{
    *sim = (struct nvme_sim){
        .block_count = 4096,
        .block_shift = 9,
        .entries = 1024,
        .namespace_id = 1,
        .command_sets = 1,
    };
}

/* What the device is told must be memory that there is, a page at a time. */
static void *dma(uint64_t address)
{
    assert(address != 0 && sim_is_ram(phys(address)));
    return machine_phys_to_virt(phys(address));
}

static uint32_t word(const uint8_t *command, unsigned number)
{
    uint32_t value;
    memcpy(&value, command + 4 * number, 4);
    return value;
}

static uint64_t pair(const uint8_t *command, unsigned number)
{
    return word(command, number) | (uint64_t)word(command, number + 1) << 32;
}

static void complete(struct nvme_sim *sim, unsigned queue_number, const uint8_t *command,
                     unsigned status)
{
    struct nvme_sim_queue *queue = &sim->queues[queue_number];
    uint8_t *entry = (uint8_t *)dma(queue->completions) + 16ul * queue->tail;
    uint16_t tail[4] = {(uint16_t)queue->head, (uint16_t)queue_number,
                        (uint16_t)(word(command, 0) >> 16), (uint16_t)(status << 1 | queue->phase)};
    memset(entry, 0, 8);
    memcpy(entry + 8, tail, 8);
    queue->tail = (queue->tail + 1) % queue->depth;
    if (queue->tail == 0)
        queue->phase ^= 1;
}

/* --- reading --------------------------------------------------------------------------------------- */

static void fill_page(uint64_t address, uint64_t offset, uint64_t bytes)
{
    uint64_t *words = dma(address);
    for (uint64_t i = 0; i < bytes / 8; i++)
        words[i] = block_pattern(offset + 8 * i);
}

static void read_blocks(struct nvme_sim *sim, const uint8_t *command)
{
    uint64_t first = pair(command, 10);
    uint64_t bytes = ((word(command, 12) & 0xffff) + 1ull) << sim->block_shift;
    uint64_t offset = first << sim->block_shift;
    uint64_t pages = (bytes + PAGE_SIZE - 1) / PAGE_SIZE;
    sim->reads++;
    if (pages > sim->pages_max_seen)
        sim->pages_max_seen = pages;
    bool too_long = sim->transfer_shift != 0 && pages > 1u << sim->transfer_shift;
    if (too_long || word(command, 1) != sim->namespace_id ||
        offset + bytes > sim->block_count << sim->block_shift) {
        complete(sim, 1, command, STATUS_INVALID_FIELD);
        return;
    }
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t left = bytes - i * PAGE_SIZE;
        uint64_t page = i == 0 ? pair(command, 6) : pair(command, 8);
        if (i > 0 && pages > 2)
            page = ((uint64_t *)dma(page))[i - 1];
        fill_page(page, offset + i * PAGE_SIZE, left < PAGE_SIZE ? left : PAGE_SIZE);
    }
    complete(sim, 1, command, 0);
}

static void do_read(struct nvme_sim *sim, const uint8_t *command)
{
    switch (sim->mood) {
    case NVME_GOOD:
        read_blocks(sim, command);
        break;
    case NVME_ERROR:
        complete(sim, 1, command, STATUS_UNRECOVERED);
        break;
    case NVME_LATE:
        memcpy(sim->late_command, command, 64);
        sim->pending = true;
        break;
    case NVME_FATAL:
        sim->status |= 2;
        break;
    case NVME_SILENT:
    case NVME_DEAD:
    case NVME_GONE:
        break;
    }
}

/* --- administration ---------------------------------------------------------------------------------- */

static unsigned identify(struct nvme_sim *sim, const uint8_t *command)
{
    uint8_t *answer = dma(pair(command, 6));
    uint32_t format = sim->block_shift << 16 | sim->metadata_bytes;
    memset(answer, 0, PAGE_SIZE);
    switch (word(command, 10) & 0xff) {
    case 0:
        if (word(command, 1) != sim->namespace_id)
            return STATUS_INVALID_FIELD;
        memcpy(answer, &sim->block_count, 8);
        answer[26] = 2; /* the third format */
        memcpy(answer + 128 + 8, &format, 4);
        return 0;
    case 1:
        memset(answer + 4, ' ', 68);
        memcpy(answer + 24, "  Simulated \x01isk ", 17);
        answer[77] = (uint8_t)sim->transfer_shift;
        return 0;
    case 2:
        memcpy(answer, &sim->namespace_id, 4);
        return 0;
    default:
        return STATUS_INVALID_FIELD;
    }
}

static unsigned make_queue(struct nvme_sim *sim, const uint8_t *command, bool submissions)
{
    struct nvme_sim_queue *queue = &sim->queues[1];
    uint32_t depth = (word(command, 10) >> 16) + 1;
    if ((word(command, 10) & 0xffff) != 1 || depth > sim->entries || depth < 2 ||
        (word(command, 11) & 1) == 0)
        return STATUS_INVALID_FIELD;
    if (submissions && (queue->completions == 0 || word(command, 11) >> 16 != 1))
        return STATUS_INVALID_FIELD;
    queue->depth = depth;
    queue->phase = 1;
    queue->head = queue->tail = 0;
    if (submissions)
        queue->submissions = pair(command, 6);
    else
        queue->completions = pair(command, 6);
    return 0;
}

static void administer(struct nvme_sim *sim, const uint8_t *command)
{
    unsigned status = STATUS_INVALID_OPCODE;
    switch (command[0]) {
    case 1:
        status = make_queue(sim, command, true);
        break;
    case 5:
        status = make_queue(sim, command, false);
        break;
    case 6:
        status = identify(sim, command);
        break;
    default:
        sim->foreign++;
        break;
    }
    complete(sim, 0, command, status);
}

/* --- registers ------------------------------------------------------------------------------------------ */

static void ring(struct nvme_sim *sim, uint64_t offset, uint32_t value)
{
    uint64_t number = (offset - DOORBELLS) / (4u << sim->stride_shift);
    assert(number < 4 && (offset - DOORBELLS) % (4u << sim->stride_shift) == 0);
    struct nvme_sim_queue *queue = &sim->queues[number / 2];
    assert(value < queue->depth && (sim->status & 1) != 0);
    if (number % 2 == 1)
        return;
    while (queue->head != value && sim->mood != NVME_DEAD) {
        uint8_t command[64];
        memcpy(command, (uint8_t *)dma(queue->submissions) + 64ul * queue->head, 64);
        queue->head = (queue->head + 1) % queue->depth;
        if (number == 0)
            administer(sim, command);
        else if (command[0] == 2)
            do_read(sim, command);
        else
            sim->foreign++;
    }
}

static void configure(struct nvme_sim *sim, uint32_t value)
{
    bool was_on = (sim->config & 1) != 0;
    sim->config = value;
    if (sim->mood == NVME_DEAD || was_on == ((value & 1) != 0))
        return;
    sim->pending = false;
    memset(sim->queues, 0, sizeof(sim->queues));
    sim->status = 0;
    if (was_on) {
        sim->resets++;
        return;
    }
    assert((value >> 16 & 0xff) == 0x46 && (value >> 7 & 0xf) == 0);
    sim->queues[0] = (struct nvme_sim_queue){
        .submissions = sim->admin_submissions,
        .completions = sim->admin_completions,
        .depth = (sim->sizes & 0xfff) + 1,
        .phase = 1,
    };
    assert(sim->sizes >> 16 == (sim->sizes & 0xfff));
    sim->status = 1;
}

static void sim_write(void *context, uint64_t offset, uint32_t value)
{
    struct nvme_sim *sim = context;
    uint64_t *wide = offset < 0x30 ? &sim->admin_submissions : &sim->admin_completions;
    sim->accesses++;
    if (sim->mood == NVME_GONE)
        return;
    if (offset >= DOORBELLS)
        ring(sim, offset, value);
    else if (offset == 0x14)
        configure(sim, value);
    else if (offset == 0x24)
        sim->sizes = value;
    else if (offset >= 0x28 && offset < 0x38)
        memcpy((uint8_t *)wide + (offset & 4), &value, 4);
    else
        assert(offset == 0x0c); /* the interrupt mask */
}

static void answer_late(struct nvme_sim *sim)
{
    uint64_t start = machine_microseconds();
    while (sim->stall_us != 0 && machine_microseconds() - start <= sim->stall_us)
        machine_pause();
    sim->pending = false;
    read_blocks(sim, sim->late_command);
}

static uint32_t sim_read(void *context, uint64_t offset)
{
    struct nvme_sim *sim = context;
    sim->accesses++;
    if (sim->mood == NVME_GONE)
        return UINT32_MAX;
    switch (offset) {
    case 0x00: /* ready within half a second */
        return 1u << 24 | (sim->entries - 1);
    case 0x04:
        return sim->command_sets << 5 | sim->stride_shift;
    case 0x14:
        return sim->config;
    case 0x1c:
        if (sim->pending && sim->patience-- == 0)
            answer_late(sim);
        return sim->status;
    default:
        assert(false);
        return 0;
    }
}

static void sim_cut_off(void *context)
{
    struct nvme_sim *sim = context;
    sim->cut_offs++;
}

struct nvme_bus nvme_sim_bus(struct nvme_sim *sim)
{
    return (struct nvme_bus){
        .read = sim_read, .write = sim_write, .cut_off = sim_cut_off, .context = sim};
}
