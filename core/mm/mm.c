/* The virtual-memory core: start and figures. See mm.h. */
#include "core/mm/mm.h"

#include "core/check.h"
#include "core/log.h"
#include "core/mm/frames.h"
#include "core/mm/heap.h"
#include "core/mm/inject.h"
#include "core/mm/internal.h"
#include "core/mm/reclaim.h"
#include "core/mm/space.h"
#include "core/mm/tlb.h"

#define HARNESS_MIN (4 * MIB)
#define HARNESS_MAX (64 * MIB)

struct mm mm;

static const struct boot_info *boot_info;

/* One sixteenth of memory, within bounds, as one run of frames. */
static result_t take_harness_memory(void)
{
    uint64_t size_bytes = frames.ram_count * PAGE_SIZE / 16 & ~(MIB - 1);
    if (size_bytes < HARNESS_MIN)
        size_bytes = HARNESS_MIN;
    if (size_bytes > HARNESS_MAX)
        size_bytes = HARNESS_MAX;
    phys_t first;
    while (frames_take_run(FRAME_HARNESS, size_bytes >> PAGE_SHIFT, 1, phys(0), &first) != OK) {
        size_bytes /= 2;
        if (size_bytes < HARNESS_MIN)
            return ENOMEM;
    }
    mm.harness = machine_phys_to_virt(first);
    mm.harness_bytes = size_bytes;
    return frames_take_run(FRAME_HARNESS, PHYSICAL_WINDOW_BYTES >> PAGE_SHIFT,
                           PHYSICAL_WINDOW_BYTES >> PAGE_SHIFT, phys(0), &mm.physical_window);
}

result_t mm_init(const struct boot_info *boot)
{
    boot_info = boot;
    mm.ramdisk = boot->ramdisk;
    lock_init(&mm.lock, RANK_SPACES, "spaces");
    lock_init(&mm.fork_lock, RANK_FORK, "forks");
    list_init(&mm.spaces);
    list_init(&mm.named);
    reclaim_init();
    heap_init();
    tlb_init();
    if (frames_init(boot) != OK)
        return ENOMEM;
    if (kernel_init(boot) != OK || take_harness_memory() != OK ||
        frames_take_uninjected(FRAME_ZERO, &mm.zero_page) != OK) {
        log_error("not enough memory to start: %lu MiB usable; PageLab needs at least 64 MiB",
                  (unsigned long)(frames.ram_count * PAGE_SIZE / MIB));
        return ENOMEM;
    }
    machine_page_clear(machine_phys_to_virt(mm.zero_page));
    return OK;
}

const struct machine_services *mm_machine_services(void)
{
    static const struct machine_services services = {
        .map_device = kernel_map_device,
        .unmap_device = kernel_unmap_device,
        .map_firmware = kernel_map_firmware,
        .stack_create = kernel_stack_create,
        .identity_root_create = kernel_identity_root_create,
        .identity_root_destroy = kernel_identity_root_destroy,
        .device_memory_create = kernel_device_memory_create,
    };
    return &services;
}

result_t mm_start(void)
{
    frames_release_boot_memory(boot_info);
    if (kernel_window_init() != OK) {
        log_error("not enough memory for the harness window");
        return ENOMEM;
    }
    machine_fault_handler = check_level >= 2 ? space_fault_checked : space_fault;
    panic_describe_address = mm_describe_address;
    heap_trim();
    frames_seal();
    return OK;
}

void *mm_harness_memory(uint64_t *size_bytes)
{
    *size_bytes = mm.harness_bytes;
    return mm.harness;
}

uint64_t mm_memory_bytes(void)
{
    return frames.ram_count * PAGE_SIZE;
}

uint64_t mm_usable_bytes(void)
{
    return frames.usable_count * PAGE_SIZE;
}

uint64_t mm_free_bytes(void)
{
    heap_trim();
    return frames_unpromised() * PAGE_SIZE;
}

uint64_t mm_committed_pages(void)
{
    return counter_read(COUNTER_COMMIT_RESERVED) - counter_read(COUNTER_COMMIT_USED);
}

void mm_set_seed(uint64_t seed)
{
    mm.random = (struct random){seed};
}

void mm_set_map_around(unsigned page_count)
{
    mm.map_around = page_count;
}

void mm_inject(struct mm_inject inject)
{
    frames_inject = (struct frames_inject){
        .countdown = inject.nth,
        .every = inject.every ? inject.nth : 0,
        .fired = inject.nth == 0 && frames_inject.fired,
    };
}

bool mm_inject_fired(void)
{
    return __atomic_load_n(&frames_inject.fired, __ATOMIC_RELAXED);
}

void mm_inject_suspend(void)
{
    machine_cpu()->mm->inject_suspended = true;
}

void mm_inject_resume(void)
{
    machine_cpu()->mm->inject_suspended = false;
}

/* The harness's, in no counter. */
result_t mm_squeeze(uint64_t free_bytes)
{
    if (mm_free_bytes() < free_bytes)
        return EINVAL;
    uint64_t *taken = &machine_cpu()->counters[COUNTER_PAGE_ALLOC];
    while (frames_unpromised() > free_bytes >> PAGE_SHIFT) {
        phys_t at;
        if (frames_take_uninjected(FRAME_SQUEEZED, &at) != OK)
            break;
        --*taken;
        frame_of(at)->slab.next = mm.squeezed.first;
        mm.squeezed.first = (uint32_t)(at.value >> PAGE_SHIFT);
    }
    return OK;
}

void mm_squeeze_end(void)
{
    uint64_t *given = &machine_cpu()->counters[COUNTER_PAGE_FREE];
    while (mm.squeezed.first != 0) {
        frames_give(frame_reserve_take(&mm.squeezed, FRAME_SQUEEZED));
        --*given;
    }
}

uint64_t mm_reclaim(uint64_t page_count)
{
    return reclaim_pages(page_count);
}

result_t mm_frames_take(uint64_t frame_count, phys_t below, phys_t *first)
{
    if (LIKELY(frame_count == 1 && below.value == 0))
        return frames_take(FRAME_KERNEL, first);
    return frames_take_run(FRAME_KERNEL, frame_count, 1, below, first);
}

void mm_frames_give(phys_t first, uint64_t frame_count)
{
    if (LIKELY(frame_count == 1))
        frames_give(first);
    else
        frames_give_run(first, frame_count);
}
