/* Simulated physical memory: one sparse mapping of Linux, laid out as a PC's firmware would tell.
 *
 *     0        usable, the trampoline's page among it
 *     640 KiB  hole
 *     1 MiB    usable | core image | boot data | boot temporary | usable | ACPI, runtime | usable
 *     low end  hole, MMIO in it
 *     4 GiB    usable */
#include "machine_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LOW_END_DEFAULT (2 * GIB)
#define MEMORY_DEFAULT (256 * MIB)
#define MEMORY_MIN (16 * MIB)
#define HIGH_START (4 * GIB)
#define MMIO_START 0xe0000000ull
#define MMIO_PAGES 0x1000
#define TRAMPOLINE 0x8000ull
#define IMAGE_START (2 * MIB)
#define TEMPORARY_PAGES 32
#define TAIL_PAGES 16 /* of each kind of firmware memory near the low end */
#define RANGES_MAX 24
/* 2020-01-01, as `--exact` sets a real machine's clock. */
#define START_TIME 1577836800

char *sim_memory;

static struct {
    uint64_t low_end;
    uint64_t high_end; /* HIGH_START when there is nothing above it */
    uint64_t next;     /* first free byte of the boot data */
    uint64_t data_end;
    struct boot_memory_range ranges[RANGES_MAX];
    size_t range_count;
} memory;

static void die(const char *what)
{
    fprintf(stderr, "simulated machine: %s\n", what);
    exit(2);
}

phys_t sim_image_start(void)
{
    return phys(IMAGE_START);
}

bool sim_is_ram(phys_t address)
{
    return address.value < 640 * KIB || (address.value >= MIB && address.value < memory.low_end) ||
           (address.value >= HIGH_START && address.value < memory.high_end);
}

/* The part of the boot data from `next` on: a blob with a copy of the bytes. */
static struct boot_blob put_blob(const void *data, size_t size_bytes)
{
    struct boot_blob blob = {.start = memory.next, .size_bytes = size_bytes};

    if (size_bytes == 0)
        return (struct boot_blob){0};
    memory.next = (memory.next + size_bytes + 15) & ~15ull;
    if (memory.next > memory.data_end)
        die("the scenarios and the RAM disk do not fit into memory");
    memcpy(sim_memory + blob.start, data, size_bytes);
    return blob;
}

static void add_range(enum boot_memory_kind kind, uint64_t start, uint64_t end)
{
    if (start == end)
        return;
    if (memory.range_count == RANGES_MAX)
        die("too many ranges in the memory map");
    memory.ranges[memory.range_count++] = (struct boot_memory_range){
        .start = start,
        .page_count = (end - start) / PAGE_SIZE,
        .kind = kind,
    };
}

static void describe_memory(uint64_t data_start)
{
    static const enum boot_memory_kind tail[] = {MEMORY_ACPI_RECLAIM, MEMORY_ACPI_NVS,
                                                 MEMORY_RUNTIME_CODE, MEMORY_RUNTIME_DATA,
                                                 MEMORY_RESERVED};
    uint64_t image_end = IMAGE_START + SIM_IMAGE_PAGES * PAGE_SIZE;
    uint64_t temporary_end = memory.data_end + TEMPORARY_PAGES * PAGE_SIZE;
    uint64_t at = memory.low_end - 2 * MIB;

    add_range(MEMORY_USABLE, 0, TRAMPOLINE);
    add_range(MEMORY_TRAMPOLINE, TRAMPOLINE, TRAMPOLINE + PAGE_SIZE);
    add_range(MEMORY_USABLE, TRAMPOLINE + PAGE_SIZE, 640 * KIB);
    add_range(MEMORY_USABLE, MIB, IMAGE_START);
    add_range(MEMORY_CORE, IMAGE_START, image_end);
    add_range(MEMORY_USABLE, image_end, data_start);
    add_range(MEMORY_BOOT_DATA, data_start, memory.data_end);
    add_range(MEMORY_BOOT_TEMPORARY, memory.data_end, temporary_end);
    add_range(MEMORY_USABLE, temporary_end, at);
    for (size_t i = 0; i < ARRAY_COUNT(tail); i++) {
        add_range(tail[i], at, at + TAIL_PAGES * PAGE_SIZE);
        at += TAIL_PAGES * PAGE_SIZE;
    }
    add_range(MEMORY_USABLE, at, memory.low_end);
    add_range(MEMORY_MMIO, MMIO_START, MMIO_START + MMIO_PAGES * PAGE_SIZE);
    add_range(MEMORY_USABLE, HIGH_START, memory.high_end);
}

static void map_ram(uint64_t start, uint64_t end)
{
    if (start != end && mprotect(sim_memory + start, end - start, PROT_READ | PROT_WRITE) != 0)
        die("no memory for the simulated RAM");
}

static void make_memory(const struct sim_config *config)
{
    uint64_t size = config->memory_bytes ? config->memory_bytes : MEMORY_DEFAULT;
    uint64_t low = config->low_memory_bytes ? config->low_memory_bytes : LOW_END_DEFAULT;

    if (size < MEMORY_MIN || low < MEMORY_MIN || low > MMIO_START || !is_page_aligned(size | low))
        die("memory must be whole pages, at least 16 MiB, at most 3.5 GiB of it below 4 GiB");
    memory.low_end = size < low ? size : low;
    memory.high_end = HIGH_START + (size - memory.low_end);

    void *mapped =
        mmap(NULL, memory.high_end, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED)
        die("no address space for the simulated RAM");
    sim_memory = mapped;
    map_ram(0, 640 * KIB);
    map_ram(MIB, memory.low_end);
    map_ram(HIGH_START, memory.high_end);
}

static struct boot_blob put_scenarios(const struct sim_config *config)
{
    struct boot_scenario *list = calloc(config->scenario_count + 1, sizeof(*list));
    if (list == NULL)
        die("out of memory");
    for (size_t i = 0; i < config->scenario_count; i++) {
        const struct sim_file *file = &config->scenarios[i];
        if (strlen(file->name) >= sizeof(list[i].file_name))
            die("a scenario's file name is too long");
        strcpy(list[i].file_name, file->name);
        list[i].text = put_blob(file->text, file->size_bytes);
        list[i].origin = SCENARIO_BUILT_IN;
    }
    struct boot_blob blob = put_blob(list, config->scenario_count * sizeof(*list));
    free(list);
    return blob;
}

static struct boot_blob put_ramdisk(const struct sim_config *config)
{
    memory.next = page_ceil(memory.next);
    struct boot_blob blob = put_blob(config->ramdisk, config->ramdisk_bytes);
    memory.next = page_ceil(memory.next);
    return blob;
}

static uint64_t data_bytes(const struct sim_config *config)
{
    uint64_t bytes = sizeof(struct boot_info) + sizeof(memory.ranges) + PAGE_SIZE;

    bytes += page_ceil(config->ramdisk_bytes) + PAGE_SIZE;
    bytes += config->parameters ? strlen(config->parameters) : 0;
    for (size_t i = 0; i < config->scenario_count; i++)
        bytes += config->scenarios[i].size_bytes + sizeof(struct boot_scenario) + 32;
    return page_ceil(bytes);
}

const struct boot_info *sim_memory_build(const struct sim_config *config)
{
    const char *parameters = config->parameters ? config->parameters : "";
    uint64_t data_start = page_ceil(IMAGE_START + SIM_IMAGE_PAGES * PAGE_SIZE) + 4 * PAGE_SIZE;

    make_memory(config);
    memory.next = data_start;
    memory.data_end = data_start + data_bytes(config);
    if (memory.data_end + MIB > memory.low_end - 2 * MIB)
        die("the scenarios and the RAM disk do not fit into memory");
    describe_memory(data_start);
    memset(sim_memory + IMAGE_START, SIM_RETURN_BYTE,
           (SIM_IMAGE_TEXT_PAGES + SIM_IMAGE_RODATA_PAGES) * PAGE_SIZE);

    struct boot_info *boot = (struct boot_info *)(sim_memory + memory.next);
    memory.next += (sizeof(*boot) + 15) & ~15ull;
    *boot = (struct boot_info){
        .magic = BOOT_INFO_MAGIC,
        .version = BOOT_INFO_VERSION,
        .size_bytes = sizeof(*boot),
        .memory_map = put_blob(memory.ranges, memory.range_count * sizeof(memory.ranges[0])),
        .scenarios = put_scenarios(config),
        .parameters = put_blob(parameters, strlen(parameters)),
        .ramdisk = put_ramdisk(config),
        .core_image = {IMAGE_START, SIM_IMAGE_PAGES * PAGE_SIZE},
        .boot_root = memory.data_end,
        .trampoline = TRAMPOLINE,
        .start_time_unix = START_TIME,
        .firmware_vendor = "simulated",
    };
    return boot;
}
