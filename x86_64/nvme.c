/* NVM Express, as little of it as reading takes. See nvme.h.
 *
 *   memory   page 0  administration: submissions      what the device reads of us:  submissions, list
 *                 1  administration: completions      what it writes:  completions, answer,
 *                 2  reads: submissions                                and the frames being read
 *                 3  reads: completions
 *                 4  answers to `identify`
 *                 5  list of the frames of one read
 */
#include "x86_64/nvme.h"

#include "core/fmt.h"
#include "core/log.h"
#include "core/machine.h"
#include "core/text.h"

enum nvme_register {
    REGISTER_CAP = 0x00,
    REGISTER_CAP_HIGH = 0x04,
    REGISTER_INTERRUPT_MASK = 0x0c,
    REGISTER_CONFIG = 0x14,
    REGISTER_STATUS = 0x1c,
    REGISTER_ADMIN_SIZES = 0x24,
    REGISTER_ADMIN_SUBMISSIONS = 0x28,
    REGISTER_ADMIN_COMPLETIONS = 0x30,
    REGISTER_DOORBELLS = 0x1000,
};

/* All commands that this driver can give. */
enum nvme_opcode {
    ADMIN_CREATE_SUBMISSIONS = 0x01,
    ADMIN_CREATE_COMPLETIONS = 0x05,
    ADMIN_IDENTIFY = 0x06,
    READ = 0x02,
};

#define CONFIG_ENABLE 1u
#define CONFIG_ENTRY_SIZES (6u << 16 | 4u << 20) /* 64 and 16 bytes; pages of 4 KiB */
#define STATUS_READY (1u << 0)
#define STATUS_FATAL (1u << 1)
#define NOT_THERE UINT32_MAX

#define CAP_HIGH_COMMAND_SETS(cap) ((cap) >> 5 & 0xff)
#define CAP_HIGH_PAGE_MIN(cap) ((cap) >> 16 & 0xf)
#define CAP_ENTRIES(cap) (((cap)&0xffff) + 1)
#define CAP_READY_UNITS(cap) ((cap) >> 24)
#define READY_UNIT_US 500000ull
#define READY_MAX_US 10000000ull

#define QUEUE_DEPTH 16
#define QUEUE_CONTIGUOUS 1u
#define STATUS_TURNS 64 /* turns of polling between two looks at the status register */
#define COMPLAINTS_MAX 8

enum identify_what { IDENTIFY_NAMESPACE = 0, IDENTIFY_CONTROLLER = 1, IDENTIFY_NAMESPACE_LIST = 2 };

#define CONTROLLER_MODEL 24
#define CONTROLLER_MODEL_SIZE 40
#define CONTROLLER_TRANSFER_MAX 77
#define NAMESPACE_SIZE 0
#define NAMESPACE_FORMAT 26
#define NAMESPACE_FORMATS 128
#define NAMESPACES_MAX 64

enum memory_page {
    MEMORY_ADMIN_SUBMISSIONS,
    MEMORY_ADMIN_COMPLETIONS,
    MEMORY_READ_SUBMISSIONS,
    MEMORY_READ_COMPLETIONS,
    MEMORY_ANSWER,
    MEMORY_LIST,
};
_Static_assert(MEMORY_LIST + 1 == NVME_MEMORY_PAGES, "the list is the last page");
#define LIST_ENTRIES (PAGE_SIZE / sizeof(uint64_t))
/* 512 KiB a command: more does not make reading faster. */
#define PAGES_MAX 128u

struct submission {
    uint8_t opcode;
    uint8_t flags;
    uint16_t command_id;
    uint32_t namespace_id;
    uint32_t reserved[2];
    uint64_t metadata;
    uint64_t data[2]; /* first page; second page, or the list of the others */
    uint32_t word[6]; /* command words 10 to 15 */
};
_Static_assert(sizeof(struct submission) == 64, "CONFIG_ENTRY_SIZES");

struct completion {
    uint32_t result;
    uint32_t reserved;
    uint16_t submission_head;
    uint16_t submission_queue;
    uint16_t command_id;
    uint16_t status; /* bit 0: phase */
};
_Static_assert(sizeof(struct completion) == 16, "CONFIG_ENTRY_SIZES");

static uint32_t read_register(const struct nvme *nvme, uint64_t offset)
{
    return nvme->bus.read(nvme->bus.context, offset);
}

static void write_register(const struct nvme *nvme, uint64_t offset, uint32_t value)
{
    nvme->bus.write(nvme->bus.context, offset, value);
}

static void write_register64(const struct nvme *nvme, uint64_t offset, uint64_t value)
{
    write_register(nvme, offset, (uint32_t)value);
    write_register(nvme, offset + 4, (uint32_t)(value >> 32));
}

static void *memory_page(const struct nvme *nvme, enum memory_page page)
{
    return nvme->memory + (unsigned)page * PAGE_SIZE;
}

static uint64_t memory_phys(const struct nvme *nvme, enum memory_page page)
{
    return machine_virt_to_phys(memory_page(nvme, page)).value;
}

/* --- switching it on and off --------------------------------------------------------------------------- */

static void give_up(struct nvme *nvme, const char *why)
{
    nvme->gone = true;
    nvme->bus.cut_off(nvme->bus.context);
    log_error("disk %s: %s; it is not used any more", nvme->model, why);
}

/* Waits until the device says that it is ready, or that it is not. NULL, or what is wrong. */
static const char *wait_ready(const struct nvme *nvme, uint32_t wanted)
{
    uint64_t start = machine_microseconds();
    for (;;) {
        uint32_t status = read_register(nvme, REGISTER_STATUS);
        if (status == NOT_THERE)
            return "it is not there any more";
        if ((status & STATUS_READY) == wanted)
            return NULL;
        if (wanted != 0 && (status & STATUS_FATAL) != 0)
            return "it reports a fatal error while it starts";
        if (machine_microseconds() - start > nvme->ready_us)
            return wanted != 0 ? "it does not start in time" : "it does not stop in time";
        machine_pause();
    }
}

/* Ends all it does: afterwards it reads and writes no memory. */
static const char *switch_off(const struct nvme *nvme)
{
    uint32_t config = read_register(nvme, REGISTER_CONFIG);
    if (config != NOT_THERE)
        write_register(nvme, REGISTER_CONFIG, config & ~CONFIG_ENABLE);
    return wait_ready(nvme, 0);
}

static void queue_init(struct nvme_queue *queue, unsigned number, uint16_t depth, void *submissions,
                       void *completions)
{
    machine_page_clear(submissions);
    machine_page_clear(completions);
    *queue = (struct nvme_queue){
        .number = number,
        .submissions = submissions,
        .completions = completions,
        .depth = depth,
        .phase = 1,
    };
}

static const char *switch_on(struct nvme *nvme)
{
    uint32_t capability = read_register(nvme, REGISTER_CAP);
    uint16_t depth =
        CAP_ENTRIES(capability) < QUEUE_DEPTH ? (uint16_t)CAP_ENTRIES(capability) : QUEUE_DEPTH;
    queue_init(&nvme->admin, 0, QUEUE_DEPTH, memory_page(nvme, MEMORY_ADMIN_SUBMISSIONS),
               memory_page(nvme, MEMORY_ADMIN_COMPLETIONS));
    queue_init(&nvme->reads, 1, depth, memory_page(nvme, MEMORY_READ_SUBMISSIONS),
               memory_page(nvme, MEMORY_READ_COMPLETIONS));
    write_register(nvme, REGISTER_INTERRUPT_MASK, UINT32_MAX);
    write_register(nvme, REGISTER_ADMIN_SIZES, (QUEUE_DEPTH - 1) << 16 | (QUEUE_DEPTH - 1));
    write_register64(nvme, REGISTER_ADMIN_SUBMISSIONS, memory_phys(nvme, MEMORY_ADMIN_SUBMISSIONS));
    write_register64(nvme, REGISTER_ADMIN_COMPLETIONS, memory_phys(nvme, MEMORY_ADMIN_COMPLETIONS));
    write_register(nvme, REGISTER_CONFIG, CONFIG_ENABLE | CONFIG_ENTRY_SIZES);
    return wait_ready(nvme, STATUS_READY);
}

/* --- commands ------------------------------------------------------------------------------------------ */

enum ending { ENDED, SILENT, FATAL, GONE };

static uint64_t doorbell(const struct nvme *nvme, const struct nvme_queue *queue, bool completions)
{
    return REGISTER_DOORBELLS + (2 * queue->number + completions) * (uint64_t)nvme->doorbell_stride;
}

static void submit(struct nvme *nvme, struct nvme_queue *queue, struct submission *command)
{
    struct submission *slots = queue->submissions;
    command->command_id = ++queue->command_id;
    slots[queue->tail] = *command;
    queue->tail = (uint16_t)((queue->tail + 1) % queue->depth);
    /* The device looks at the command when it sees the doorbell. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    write_register(nvme, doorbell(nvme, queue, false), queue->tail);
}

/* Takes the next completion, if there is one. Its status is written last. */
static bool take_completion(struct nvme *nvme, struct nvme_queue *queue,
                            struct completion *completion)
{
    volatile struct completion *slots = queue->completions;
    volatile struct completion *slot = &slots[queue->head];
    uint16_t status = __atomic_load_n(&slot->status, __ATOMIC_ACQUIRE);
    if ((status & 1) != queue->phase)
        return false;
    *completion = (struct completion){.command_id = slot->command_id, .status = status};
    queue->head = (uint16_t)((queue->head + 1) % queue->depth);
    if (queue->head == 0)
        queue->phase ^= 1;
    write_register(nvme, doorbell(nvme, queue, true), queue->head);
    return true;
}

/* Waits for the end of the command given last. The clock is looked at before the queue: what came while
 * this CPU did not run, as in a virtual machine, has come in time. */
static enum ending wait_for(struct nvme *nvme, struct nvme_queue *queue, uint16_t *status)
{
    struct completion completion;
    uint64_t start = machine_microseconds();
    for (unsigned turn = 1;; turn++) {
        bool looks = turn % STATUS_TURNS == 0;
        bool late = looks && machine_microseconds() - start > nvme->timeout_us;
        if (take_completion(nvme, queue, &completion) &&
            completion.command_id == queue->command_id) {
            *status = completion.status >> 1;
            return ENDED;
        }
        if (late)
            return SILENT;
        machine_pause();
        uint32_t state = looks ? read_register(nvme, REGISTER_STATUS) : 0;
        if (state == NOT_THERE)
            return GONE;
        if ((state & STATUS_FATAL) != 0)
            return FATAL;
    }
}

static const char *const ending_texts[] = {
    [SILENT] = "no answer in time",
    [FATAL] = "the device reports a fatal error",
    [GONE] = "the device is not there any more",
};

/* One command for administration. False with a log line. */
static bool administer(struct nvme *nvme, struct submission command, const char *what)
{
    uint16_t status;
    submit(nvme, &nvme->admin, &command);
    enum ending ending = wait_for(nvme, &nvme->admin, &status);
    if (ending == ENDED && (status & 0x7ff) == 0)
        return true;
    if (ending == ENDED)
        log_error("disk %s: %s: status 0x%x", nvme->model, what, status & 0x7ff);
    else
        log_error("disk %s: %s: %s", nvme->model, what, ending_texts[ending]);
    return false;
}

static bool create_read_queues(struct nvme *nvme)
{
    uint32_t size = (uint32_t)(nvme->reads.depth - 1) << 16 | nvme->reads.number;
    struct submission completions = {
        .opcode = ADMIN_CREATE_COMPLETIONS,
        .data = {memory_phys(nvme, MEMORY_READ_COMPLETIONS)},
        .word = {size, QUEUE_CONTIGUOUS},
    };
    struct submission submissions = {
        .opcode = ADMIN_CREATE_SUBMISSIONS,
        .data = {memory_phys(nvme, MEMORY_READ_SUBMISSIONS)},
        .word = {size, nvme->reads.number << 16 | QUEUE_CONTIGUOUS},
    };
    return administer(nvme, completions, "making a completion queue") &&
           administer(nvme, submissions, "making a submission queue");
}

/* --- reading ------------------------------------------------------------------------------------------- */

/* After a failure that leaves the device in doubt: it may still write into the frames. */
static void recover(struct nvme *nvme, enum ending ending)
{
    const char *problem = ending == GONE ? ending_texts[GONE] : switch_off(nvme);
    if (problem == NULL)
        problem = switch_on(nvme);
    if (problem == NULL && !create_read_queues(nvme))
        problem = "a reset does not help";
    if (problem != NULL)
        give_up(nvme, problem);
    else
        log_info("disk %s: reset; it answers again", nvme->model);
}

static void complain(struct nvme *nvme, uint64_t first, uint64_t count, const char *why)
{
    if (nvme->complaints >= COMPLAINTS_MAX)
        return;
    nvme->complaints++;
    log_error("disk %s: reading %lu blocks at %lu: %s%s", nvme->model, (unsigned long)count,
              (unsigned long)first, why,
              nvme->complaints == COMPLAINTS_MAX ? "; further failures are not shown" : "");
}

/* The first frame stands in the command, a second one too, more stand in a list. */
static void describe_frames(struct nvme *nvme, struct submission *command, const phys_t *pages,
                            uint64_t count)
{
    uint64_t *list = memory_page(nvme, MEMORY_LIST);
    command->data[0] = pages[0].value;
    if (count == 2)
        command->data[1] = pages[1].value;
    if (count <= 2)
        return;
    for (uint64_t i = 1; i < count; i++)
        list[i - 1] = pages[i].value;
    command->data[1] = memory_phys(nvme, MEMORY_LIST);
}

static result_t read_locked(struct nvme *nvme, uint64_t first, uint64_t count, const phys_t *pages)
    REQUIRES(nvme->lock)
{
    if (nvme->gone)
        return EIO;
    struct submission command = {
        .opcode = READ,
        .namespace_id = nvme->namespace_id,
        .word = {(uint32_t)first, (uint32_t)(first >> 32), (uint32_t)(count - 1)},
    };
    uint64_t bytes = count * nvme->block.block_bytes;
    describe_frames(nvme, &command, pages, (bytes + PAGE_SIZE - 1) / PAGE_SIZE);

    uint16_t status = 0;
    submit(nvme, &nvme->reads, &command);
    enum ending ending = wait_for(nvme, &nvme->reads, &status);
    if (ending != ENDED) {
        complain(nvme, first, count, ending_texts[ending]);
        recover(nvme, ending);
        return EIO;
    }
    if ((status & 0x7ff) != 0) {
        char text[40];
        (void)fmt_print(text, sizeof(text), "status 0x%x", status & 0x7ff);
        complain(nvme, first, count, text);
        return EIO;
    }
    return OK;
}

static result_t nvme_read(struct block_device *device, uint64_t first, uint64_t count,
                          const phys_t *pages)
{
    struct nvme *nvme = CONTAINER_OF(device, struct nvme, block);
    lock_acquire(&nvme->lock);
    result_t result = read_locked(nvme, first, count, pages);
    lock_release(&nvme->lock);
    return result;
}

static const struct block_ops nvme_ops = {.read = nvme_read};

/* --- finding out what it is ------------------------------------------------------------------------------ */

static const uint8_t *identify(struct nvme *nvme, enum identify_what what, uint32_t namespace_id)
{
    struct submission command = {
        .opcode = ADMIN_IDENTIFY,
        .namespace_id = namespace_id,
        .data = {memory_phys(nvme, MEMORY_ANSWER)},
        .word = {(uint32_t)what},
    };
    machine_page_clear(memory_page(nvme, MEMORY_ANSWER));
    return administer(nvme, command, "identify") ? memory_page(nvme, MEMORY_ANSWER) : NULL;
}

static bool identify_controller(struct nvme *nvme)
{
    const uint8_t *answer = identify(nvme, IDENTIFY_CONTROLLER, 0);
    if (answer == NULL)
        return false;
    struct text model = {(const char *)answer + CONTROLLER_MODEL, CONTROLLER_MODEL_SIZE};
    model = text_trim(model);
    for (size_t i = 0; i < model.size; i++) {
        char c = model.data[i];
        nvme->model[i] = c >= ' ' && c <= '~' ? c : '?';
    }
    nvme->model[model.size] = '\0';
    /* In units of the smallest page, 4 KiB here; 0 is no limit. One more page for the largest power. */
    unsigned shift = answer[CONTROLLER_TRANSFER_MAX];
    nvme->block.pages_max = PAGES_MAX;
    if (shift != 0 && shift < 32 && 1u << shift < PAGES_MAX)
        nvme->block.pages_max = 1u << shift;
    return true;
}

/* Blocks with metadata, and of sizes that are not whole parts of a page, are for others. */
static bool use_namespace(struct nvme *nvme, uint32_t namespace_id)
{
    const uint8_t *answer = identify(nvme, IDENTIFY_NAMESPACE, namespace_id);
    if (answer == NULL)
        return false;
    uint64_t count;
    uint32_t format;
    unsigned index = (answer[NAMESPACE_FORMAT] & 0xf) | (answer[NAMESPACE_FORMAT] >> 1 & 0x30);
    memcpy(&count, answer + NAMESPACE_SIZE, sizeof(count));
    memcpy(&format, answer + NAMESPACE_FORMATS + 4 * index, sizeof(format));
    unsigned shift = format >> 16 & 0xff;
    if (count == 0 || count > UINT64_MAX >> PAGE_SHIFT || shift < 9 || shift > PAGE_SHIFT ||
        (format & 0xffff) != 0)
        return false;
    nvme->namespace_id = namespace_id;
    nvme->block.block_count = count;
    nvme->block.block_bytes = 1u << shift;
    return true;
}

static bool find_namespace(struct nvme *nvme)
{
    uint32_t ids[NAMESPACES_MAX];
    const uint8_t *answer = identify(nvme, IDENTIFY_NAMESPACE_LIST, 0);
    if (answer == NULL)
        return false;
    memcpy(ids, answer, sizeof(ids));
    for (unsigned i = 0; i < NAMESPACES_MAX && ids[i] != 0; i++) {
        if (use_namespace(nvme, ids[i]))
            return true;
    }
    return false;
}

uint64_t nvme_register_bytes(const struct nvme_bus *bus)
{
    unsigned stride = bus->read(bus->context, REGISTER_CAP_HIGH) & 0xf;
    return REGISTER_DOORBELLS + (4ull << stride) * 4;
}

/* What the registers say; ENOTSUP when there is no working with it. */
static result_t look_at_registers(struct nvme *nvme)
{
    uint32_t low = read_register(nvme, REGISTER_CAP);
    uint32_t high = read_register(nvme, REGISTER_CAP_HIGH);
    if (low == NOT_THERE && high == NOT_THERE)
        return EIO;
    if ((CAP_HIGH_COMMAND_SETS(high) & 1) == 0 || CAP_HIGH_PAGE_MIN(high) != 0 ||
        CAP_ENTRIES(low) < 2)
        return ENOTSUP;
    uint64_t units = CAP_READY_UNITS(low);
    nvme->ready_us = units == 0 ? READY_UNIT_US : units * READY_UNIT_US;
    if (nvme->ready_us > READY_MAX_US)
        nvme->ready_us = READY_MAX_US;
    nvme->doorbell_stride = 4u << (high & 0xf);
    return OK;
}

result_t nvme_init(struct nvme *nvme, const struct nvme_bus *bus, void *memory, uint64_t timeout_us)
{
    *nvme = (struct nvme){.bus = *bus, .memory = memory, .timeout_us = timeout_us};
    (void)fmt_print(nvme->model, sizeof(nvme->model), "(nvme)");
    lock_init(&nvme->lock, RANK_BLOCK, "nvme");
    nvme->block.ops = &nvme_ops;
    nvme->block.name = nvme->model;

    result_t result = look_at_registers(nvme);
    if (result != OK) {
        give_up(nvme, result == EIO ? ending_texts[GONE] : "it is of a kind that is not supported");
        return result;
    }
    const char *problem = switch_off(nvme);
    if (problem == NULL)
        problem = switch_on(nvme);
    if (problem == NULL && (!identify_controller(nvme) || !create_read_queues(nvme)))
        problem = "it does not do what every NVMe device must";
    if (problem != NULL) {
        (void)switch_off(nvme);
        give_up(nvme, problem);
        return EIO;
    }
    if (find_namespace(nvme))
        return OK;
    (void)switch_off(nvme);
    give_up(nvme, "it has no namespace with blocks of 512 to 4096 bytes and without metadata");
    return ENOTSUP;
}
