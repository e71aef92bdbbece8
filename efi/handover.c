/* The end of the firmware's time. */
#include "efi/handover.h"

#include "efi/core_image.h"
#include "efi/discover.h"
#include "efi/embedded.h"
#include "efi/jump.h"
#include "efi/memory_map.h"
#include "efi/notes.h"
#include "efi/page_tables.h"

#define STACK_BYTES (64 * KIB)
#define LARGE_PAGE_PAGES 512
/* The map grows by what is allocated for it, and by what firmware does meanwhile. */
#define DESCRIPTORS_SLACK 64
#define TABLES_SLACK 32
#define EXIT_ATTEMPTS_MAX 8
#define LOW_MEMORY_END (1 * MIB)
#define TRAMPOLINE_WANTED 0x8000ull

struct span {
    uint64_t start;
    uint64_t page_count;
};

struct handover {
    struct core_image core;
    struct boot_info *info;
    struct span core_span;
    struct span data_span;
    struct memory_descriptors descriptors; /* buffer for the firmware's map */
    size_t descriptors_capacity;           /* of that buffer, in bytes */
    struct memory_map map;
    struct page_tables tables;
    struct jump jump;
};

static EFI_STATUS span_allocate(struct span *span, size_t size_bytes, size_t align_pages)
{
    void *memory = NULL;
    EFI_STATUS status = firmware_allocate(size_bytes, align_pages, &memory);
    *span = (struct span){(uint64_t)(uintptr_t)memory, page_ceil(size_bytes) / PAGE_SIZE};
    return status;
}

static uint64_t direct_map(const void *pointer)
{
    return BOOT_DIRECT_MAP_BASE + (uint64_t)(uintptr_t)pointer;
}

static EFI_STATUS load_core(struct handover *handover)
{
    struct text file = {embedded_core, (size_t)(embedded_core_end - embedded_core)};
    const char *problem;
    if (core_image_parse(&handover->core, file, &problem) != OK) {
        firmware_print("\nThe core inside BOOTX64.EFI is damaged: %s.", problem);
        return firmware_failed(EFI_LOAD_ERROR, "cannot load the core");
    }
    EFI_STATUS status =
        span_allocate(&handover->core_span, handover->core.size_bytes, LARGE_PAGE_PAGES);
    if (EFI_ERROR(status))
        return firmware_failed(status, "no memory for the core");
    core_image_copy(&handover->core, (void *)(uintptr_t)handover->core_span.start);
    return EFI_SUCCESS;
}

/* Fetches the firmware's map into the buffer; *key is what ExitBootServices() wants. */
static EFI_STATUS fetch_descriptors(struct handover *handover, UINTN *key)
{
    UINTN size = handover->descriptors_capacity;
    UINTN stride = 0;
    UINT32 version = 0;
    EFI_STATUS status = firmware.boot->GetMemoryMap(
        &size, (EFI_MEMORY_DESCRIPTOR *)handover->descriptors.data, key, &stride, &version);
    handover->descriptors.size_bytes = EFI_ERROR(status) ? 0 : size;
    handover->descriptors.stride = stride;
    return status;
}

/* Buffers that are large enough for every later map, and a first map, to size the rest by. */
static EFI_STATUS prepare_map(struct handover *handover)
{
    UINTN size = 0;
    UINTN key = 0;
    UINTN stride = 0;
    UINT32 version = 0;
    EFI_STATUS status = firmware.boot->GetMemoryMap(&size, NULL, &key, &stride, &version);
    if (status != EFI_BUFFER_TOO_SMALL || stride < sizeof(EFI_MEMORY_DESCRIPTOR))
        return firmware_failed(EFI_ERROR(status) ? status : EFI_UNSUPPORTED, "no memory map");

    size_t count = size / stride + DESCRIPTORS_SLACK;
    struct span span;
    status = span_allocate(&span, count * stride, 1);
    if (EFI_ERROR(status))
        return firmware_failed(status, "no memory for the memory map");
    handover->descriptors.data = (const void *)(uintptr_t)span.start;
    handover->descriptors_capacity = span.page_count * PAGE_SIZE;
    handover->map.capacity = 2 * (handover->descriptors_capacity / stride + DESCRIPTORS_SLACK);
    handover->map.ranges = firmware_pool(handover->map.capacity * sizeof(struct boot_memory_range));
    if (handover->map.ranges == NULL)
        return firmware_failed(EFI_OUT_OF_RESOURCES, "no memory for the memory map");

    status = fetch_descriptors(handover, &key);
    if (EFI_ERROR(status))
        return firmware_failed(status, "no memory map");
    if (memory_map_from_firmware(&handover->map, &handover->descriptors) != OK)
        return firmware_failed(EFI_UNSUPPORTED, "the memory map makes no sense");
    if (handover->map.repaired > 0)
        notes_add("firmware's memory map: %zu entries overlap or are not aligned; repaired",
                  handover->map.repaired);
    return EFI_SUCCESS;
}

static EFI_STATUS prepare_tables(struct handover *handover)
{
    page_tables_init(&handover->tables, NULL, 0);
    size_t count = page_tables_estimate(&handover->tables, &handover->map) + TABLES_SLACK +
                   handover->core.size_bytes / (2 * MIB);
    struct span tables, stack;
    EFI_STATUS status = span_allocate(&tables, count * PAGE_SIZE, 1);
    if (!EFI_ERROR(status))
        status = span_allocate(&stack, STACK_BYTES, 1);
    if (EFI_ERROR(status))
        return firmware_failed(status, "no memory for page tables");
    page_tables_init(&handover->tables, (void *)(uintptr_t)tables.start, count);
    handover->jump.stack = BOOT_DIRECT_MAP_BASE + stack.start + STACK_BYTES;
    handover->jump.has_nx = handover->tables.has_nx;
    return EFI_SUCCESS;
}

/* A page below 1 MiB for starting CPUs: the usual one, or any other but page 0. */
static uint64_t allocate_trampoline(void)
{
    EFI_PHYSICAL_ADDRESS page = TRAMPOLINE_WANTED;
    if (!EFI_ERROR(firmware.boot->AllocatePages(AllocateAddress, EfiLoaderData, 1, &page)))
        return page;
    for (page = PAGE_SIZE; page < LOW_MEMORY_END; page += PAGE_SIZE) {
        EFI_PHYSICAL_ADDRESS wanted = page;
        if (!EFI_ERROR(firmware.boot->AllocatePages(AllocateAddress, EfiLoaderData, 1, &wanted)))
            return page;
    }
    return 0;
}

static struct boot_blob put_blob(struct arena *arena, struct text text)
{
    if (text.size == 0)
        return (struct boot_blob){0, 0};
    void *copy = arena_alloc(arena, text.size);
    memcpy(copy, text.data, text.size);
    return (struct boot_blob){(uint64_t)(uintptr_t)copy, text.size};
}

static size_t blob_room(size_t size_bytes)
{
    return size_bytes + 16;
}

static size_t boot_data_size(const struct handover *handover, const struct handover_args *args)
{
    size_t size = blob_room(sizeof(struct boot_info)) + blob_room(args->parameters.size) +
                  blob_room(args->fatal.size) + blob_room(notes_text().size) +
                  blob_room(handover->core.symbol_table.size) +
                  blob_room(handover->core.string_table.size) +
                  blob_room(handover->map.capacity * sizeof(struct boot_memory_range)) +
                  blob_room(args->library->count * sizeof(struct boot_scenario));
    for (size_t i = 0; i < args->library->count; i++)
        size += blob_room(args->library->files[i].source.size);
    return size;
}

static void put_scenarios(struct boot_info *info, struct arena *arena,
                          const struct library *library)
{
    struct boot_scenario *scenarios = arena_alloc(arena, library->count * sizeof(*scenarios));
    for (size_t i = 0; i < library->count; i++) {
        const struct library_file *file = &library->files[i];
        memcpy(scenarios[i].file_name, file->file_name, sizeof(file->file_name));
        scenarios[i].text = put_blob(arena, file->source);
        scenarios[i].origin = file->origin;
    }
    info->scenarios =
        (struct boot_blob){(uint64_t)(uintptr_t)scenarios, library->count * sizeof(*scenarios)};
}

/* The memory map moves into the boot data: from now on it is made anew where the core will read it. */
static EFI_STATUS prepare_boot_data(struct handover *handover, const struct handover_args *args)
{
    uint64_t trampoline = allocate_trampoline();
    size_t size = boot_data_size(handover, args);
    EFI_STATUS status = span_allocate(&handover->data_span, size, 1);
    if (EFI_ERROR(status))
        return firmware_failed(status, "no memory for scenarios and symbols");

    struct arena arena;
    arena_init(&arena, (void *)(uintptr_t)handover->data_span.start, size);
    struct boot_info *info = arena_alloc(&arena, sizeof(*info));
    *info = (struct boot_info){
        .magic = BOOT_INFO_MAGIC,
        .version = BOOT_INFO_VERSION,
        .size_bytes = sizeof(*info),
        .parameters = put_blob(&arena, args->parameters),
        .fatal = put_blob(&arena, args->fatal),
        .notes = put_blob(&arena, notes_text()),
        .record = args->record,
        .ramdisk = args->ramdisk,
        .core_image = {handover->core_span.start, handover->core.size_bytes},
        .symbol_table = put_blob(&arena, handover->core.symbol_table),
        .string_table = put_blob(&arena, handover->core.string_table),
        .trampoline = trampoline,
    };
    put_scenarios(info, &arena, args->library);
    handover->map.ranges =
        arena_alloc(&arena, handover->map.capacity * sizeof(struct boot_memory_range));
    info->memory_map.start = (uint64_t)(uintptr_t)handover->map.ranges;
    discover(info);
    handover->info = info;
    handover->jump.boot_info = direct_map(info);
    handover->jump.entry = handover->core.entry;
    return EFI_SUCCESS;
}

static result_t paint_own(struct handover *handover)
{
    struct boot_info *info = handover->info;
    if (info->trampoline == 0) /* what firmware would not give away, its end sets free */
        info->trampoline = memory_map_find_page(&handover->map, PAGE_SIZE, LOW_MEMORY_END);
    const struct boot_memory_range own[] = {
        {handover->core_span.start, handover->core_span.page_count, MEMORY_CORE, EfiLoaderData},
        {handover->data_span.start, handover->data_span.page_count, MEMORY_BOOT_DATA,
         EfiLoaderData},
        {info->record.start, info->record.size_bytes / PAGE_SIZE, MEMORY_BOOT_DATA, EfiLoaderData},
        {info->ramdisk.start, page_ceil(info->ramdisk.size_bytes) / PAGE_SIZE, MEMORY_BOOT_DATA,
         EfiLoaderData},
        {info->trampoline, info->trampoline != 0, MEMORY_TRAMPOLINE, EfiLoaderData},
    };
    for (size_t i = 0; i < ARRAY_COUNT(own); i++) {
        if (own[i].page_count == 0)
            continue;
        result_t result = memory_map_paint(&handover->map, &own[i]);
        if (result != OK)
            return result;
    }
    info->memory_map.size_bytes = handover->map.count * sizeof(struct boot_memory_range);
    return OK;
}

static result_t map_core(struct handover *handover)
{
    for (size_t i = 0; i < handover->core.segment_count; i++) {
        const struct core_segment *segment = &handover->core.segments[i];
        struct page_mapping mapping = {
            .virt = segment->virt,
            .phys = handover->core_span.start + (segment->virt - BOOT_CORE_BASE),
            .size_bytes = segment->size_bytes,
            .rights = segment->rights,
        };
        result_t result = page_tables_map(&handover->tables, &mapping);
        if (result != OK)
            return result;
    }
    return OK;
}

static result_t map_jump(struct handover *handover)
{
    uint64_t begin = page_floor((uint64_t)(uintptr_t)jump_begin);
    uint64_t end = page_ceil((uint64_t)(uintptr_t)jump_end);
    struct page_mapping mapping = {
        .virt = begin,
        .phys = begin,
        .size_bytes = end - begin,
        .rights = PAGE_READ_EXECUTE,
    };
    return page_tables_map(&handover->tables, &mapping);
}

/* The framebuffer joins the direct map unless the memory map has something there: firmware may have set
 * aside RAM for it and still call that RAM. Without it there is no screen, and that is all. */
static void map_framebuffer(struct handover *handover)
{
    struct boot_framebuffer *framebuffer = &handover->info->framebuffer;
    uint64_t start = page_floor(framebuffer->start);
    uint64_t end = page_ceil(framebuffer->start + framebuffer->size_bytes);
    struct page_mapping mapping = {
        .virt = BOOT_DIRECT_MAP_BASE + start,
        .phys = start,
        .size_bytes = end - start,
        .rights = PAGE_READ_WRITE,
    };
    framebuffer->is_mapped = framebuffer->size_bytes > 0 &&
                             !memory_map_is_mapped(&handover->map, start, end) &&
                             page_tables_map(&handover->tables, &mapping) == OK;
}

/* Everything that depends on the final memory map. Calls nothing of the firmware: the map's key stays
 * good. */
static result_t finish(struct handover *handover)
{
    result_t result = memory_map_from_firmware(&handover->map, &handover->descriptors);
    if (result == OK)
        result = paint_own(handover);
    if (result == OK)
        result = page_tables_reset(&handover->tables);
    if (result == OK)
        result = page_tables_map_memory(&handover->tables, &handover->map);
    if (result == OK)
        result = map_core(handover);
    if (result == OK)
        result = map_jump(handover);
    if (result == OK)
        map_framebuffer(handover);
    handover->jump.root = (uint64_t)(uintptr_t)handover->tables.root;
    handover->info->boot_root = handover->jump.root;
    return result;
}

/* A key is stale when firmware allocated between the two calls, which its timers may do. After the
 * first refusal only these two calls are allowed. */
static EFI_STATUS exit_boot_services(struct handover *handover)
{
    EFI_STATUS status = EFI_SUCCESS;
    for (unsigned attempt = 0; attempt < EXIT_ATTEMPTS_MAX; attempt++) {
        UINTN key = 0;
        status = fetch_descriptors(handover, &key);
        if (EFI_ERROR(status))
            return firmware_failed(status, "no final memory map");
        if (finish(handover) != OK)
            return firmware_failed(EFI_OUT_OF_RESOURCES, "the final memory map is too large");
        status = firmware.boot->ExitBootServices(firmware.image, key);
        if (!EFI_ERROR(status))
            return EFI_SUCCESS;
    }
    return firmware_failed(status, "the firmware does not end its boot services");
}

EFI_STATUS handover(const struct handover_args *args)
{
    static struct handover state;
    EFI_STATUS status = load_core(&state);
    if (!EFI_ERROR(status))
        status = prepare_map(&state);
    if (!EFI_ERROR(status))
        status = prepare_tables(&state);
    if (!EFI_ERROR(status))
        status = prepare_boot_data(&state, args);
    if (!EFI_ERROR(status))
        status = exit_boot_services(&state);
    if (EFI_ERROR(status))
        return status;
    /* U-Boot exchanges the function when boot services end. */
    state.info->efi_reset_system = (uint64_t)(uintptr_t)firmware.runtime->ResetSystem;
    jump_to_core(&state.jump);
}
