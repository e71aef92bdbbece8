/* The parts of the loader that need no firmware: memory map, boot page tables, core image, text. */
#include "testing.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include <efi.h>

#include "core/random.h"
#include "efi/core_image.h"
#include "efi/escape.h"
#include "efi/line_editor.h"
#include "efi/memory_map.h"
#include "efi/page_tables.h"
#include "efi/utf16.h"

/* --- memory map ------------------------------------------------------------------------------------- */

#define DESCRIPTORS 40
#define WORLD_PAGES 256

/* Larger than the structure, as real firmware's are. */
struct padded_descriptor {
    EFI_MEMORY_DESCRIPTOR descriptor;
    uint64_t padding;
};

static EFI_MEMORY_DESCRIPTOR descriptor(uint32_t type, uint64_t start, uint64_t pages)
{
    return (EFI_MEMORY_DESCRIPTOR){
        .Type = type, .PhysicalStart = start, .NumberOfPages = pages, .Attribute = EFI_MEMORY_WB};
}

static result_t convert(struct memory_map *map, const struct padded_descriptor *descriptors,
                        size_t count)
{
    struct memory_descriptors all = {descriptors, count * sizeof(*descriptors),
                                     sizeof(*descriptors)};
    return memory_map_from_firmware(map, &all);
}

static void assert_well_formed(const struct memory_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        assert_true(map->ranges[i].page_count > 0);
        if (i == 0)
            continue;
        assert_true(memory_range_end(&map->ranges[i - 1]) <= map->ranges[i].start);
        assert_false(memory_range_end(&map->ranges[i - 1]) == map->ranges[i].start &&
                     map->ranges[i - 1].kind == map->ranges[i].kind);
    }
}

static uint32_t kind_at(const struct memory_map *map, uint64_t phys)
{
    for (size_t i = 0; i < map->count; i++) {
        if (map->ranges[i].start <= phys && phys < memory_range_end(&map->ranges[i]))
            return map->ranges[i].kind;
    }
    return MEMORY_KIND_COUNT;
}

static void test_map_sorts_and_joins(void **state)
{
    (void)state;
    struct padded_descriptor found[] = {
        {descriptor(EfiConventionalMemory, 0x100000, 16), 0},
        {descriptor(EfiBootServicesData, 0x110000, 4), 0},
        {descriptor(EfiConventionalMemory, 0, 1), 0},
        {descriptor(EfiConventionalMemory, 0x5000, 0), 0},
        {descriptor(EfiACPIReclaimMemory, 0x114000, 1), 0},
        {descriptor(EfiMemoryMappedIO, 0xfec00000, 1), 0},
    };
    struct boot_memory_range ranges[2 * ARRAY_COUNT(found)];
    struct memory_map map = {.ranges = ranges, .capacity = ARRAY_COUNT(ranges)};
    assert_int_equal(convert(&map, found, ARRAY_COUNT(found)), OK);
    assert_well_formed(&map);
    assert_int_equal(map.count, 4);
    assert_int_equal(map.repaired, 0);
    assert_int_equal(map.ranges[1].page_count, 20);
    assert_int_equal(map.ranges[1].efi_type, EfiConventionalMemory);
    assert_int_equal(map.ranges[2].kind, MEMORY_ACPI_RECLAIM);
    assert_int_equal(map.ranges[3].kind, MEMORY_MMIO);
    assert_int_equal(memory_map_find_page(&map, PAGE_SIZE, MIB), 0);
    assert_int_equal(memory_map_find_page(&map, PAGE_SIZE, 2 * MIB), 0x100000);
}

static void test_map_repairs(void **state)
{
    (void)state;
    struct padded_descriptor found[] = {
        {descriptor(EfiConventionalMemory, 0x10800, 2), 0},                 /* not aligned */
        {descriptor(EfiConventionalMemory, 0x100000, 256), 0},              /* under the next */
        {descriptor(EfiReservedMemoryType, 0x180000, 1), 0},                /* overlaps */
        {descriptor(EfiConventionalMemory, 0x7ffffffff000, 1ull << 50), 0}, /* too high, too long */
        {descriptor(14, 0x200000, 1), 0},                                   /* persistent */
        {descriptor(0x80000000, 0x201000, 1), 0},                           /* the manufacturer's */
        {descriptor(EfiConventionalMemory, 0x202000, 1), 0},
        {descriptor(EfiConventionalMemory, 0x203000, 1), 0},
    };
    found[6].descriptor.Attribute |= 0x40000; /* specific purpose */
    found[7].descriptor.Attribute = EFI_MEMORY_UC;
    struct boot_memory_range ranges[2 * ARRAY_COUNT(found)];
    struct memory_map map = {.ranges = ranges, .capacity = ARRAY_COUNT(ranges)};
    assert_int_equal(convert(&map, found, ARRAY_COUNT(found)), OK);
    assert_well_formed(&map);
    assert_int_equal(map.repaired, 3);
    assert_int_equal(kind_at(&map, 0x10800), MEMORY_KIND_COUNT);
    assert_int_equal(kind_at(&map, 0x11000), MEMORY_USABLE);
    assert_int_equal(kind_at(&map, 0x12000), MEMORY_KIND_COUNT);
    assert_int_equal(kind_at(&map, 0x180000), MEMORY_RESERVED);
    assert_int_equal(kind_at(&map, 0x181000), MEMORY_USABLE);
    for (uint64_t phys = 0x200000; phys < 0x204000; phys += PAGE_SIZE)
        assert_int_equal(kind_at(&map, phys), MEMORY_RESERVED);
    assert_int_equal(kind_at(&map, 0x7ffffffff000), MEMORY_KIND_COUNT);
}

static void test_map_refuses(void **state)
{
    (void)state;
    struct padded_descriptor found[] = {
        {descriptor(EfiConventionalMemory, 0, 16), 0},
        {descriptor(EfiReservedMemoryType, 0x4000, 1), 0},
    };
    struct boot_memory_range ranges[2];
    struct memory_map map = {.ranges = ranges, .capacity = ARRAY_COUNT(ranges)};
    assert_int_equal(convert(&map, found, ARRAY_COUNT(found)), ENOMEM);
    struct memory_descriptors bad = {found, sizeof(found), 8};
    assert_int_equal(memory_map_from_firmware(&map, &bad), EINVAL);
}

/* Against a plain array of pages: the strongest kind that any descriptor gives a page is its kind. */
static void test_map_against_model(void **state)
{
    (void)state;
    struct random random = {.state = 12};
    static const uint32_t types[] = {EfiConventionalMemory, EfiLoaderData, EfiRuntimeServicesCode,
                                     EfiReservedMemoryType, EfiMemoryMappedIO};
    static const uint32_t kinds[] = {MEMORY_USABLE, MEMORY_BOOT_TEMPORARY, MEMORY_RUNTIME_CODE,
                                     MEMORY_RESERVED, MEMORY_MMIO};
    for (unsigned round = 0; round < 500; round++) {
        struct padded_descriptor found[DESCRIPTORS];
        uint32_t model[WORLD_PAGES];
        for (size_t i = 0; i < WORLD_PAGES; i++)
            model[i] = MEMORY_KIND_COUNT;
        for (size_t i = 0; i < DESCRIPTORS; i++) {
            size_t which = random_below(&random, ARRAY_COUNT(types));
            uint64_t first = random_below(&random, WORLD_PAGES);
            uint64_t count = random_below(&random, (WORLD_PAGES - first) / 4 + 1);
            found[i].descriptor = descriptor(types[which], first * PAGE_SIZE, count);
            for (uint64_t page = first; page < first + count; page++) {
                if (model[page] == MEMORY_KIND_COUNT || model[page] < kinds[which])
                    model[page] = kinds[which];
            }
        }
        struct boot_memory_range ranges[2 * DESCRIPTORS];
        struct memory_map map = {.ranges = ranges, .capacity = ARRAY_COUNT(ranges)};
        assert_int_equal(convert(&map, found, DESCRIPTORS), OK);
        assert_well_formed(&map);
        for (uint64_t page = 0; page < WORLD_PAGES; page++)
            assert_int_equal(kind_at(&map, page * PAGE_SIZE), model[page]);
    }
}

/* --- boot page tables --------------------------------------------------------------------------------- */

#define TABLES 64

static uint64_t pool[TABLES][512] __attribute__((aligned(4096)));

struct leaf {
    uint64_t entry; /* 0: not mapped */
    unsigned level;
};

/* Walks as the CPU does. */
static struct leaf walk(const struct page_tables *tables, uint64_t virt)
{
    const uint64_t *table = tables->root;
    for (unsigned level = tables->levels;; level--) {
        uint64_t entry = table[virt >> (12 + 9 * (level - 1)) & 511];
        if ((entry & 1) == 0)
            return (struct leaf){0, level};
        if (level == 1 || (entry & 0x80) != 0)
            return (struct leaf){entry, level};
        table = (const uint64_t *)(uintptr_t)(entry & 0x000ffffffffff000);
    }
}

static struct page_tables make_tables(unsigned levels, bool has_1g, bool has_nx)
{
    struct page_tables tables = {
        .pool = pool, .pool_count = TABLES, .levels = levels, .has_1g = has_1g, .has_nx = has_nx};
    assert_int_equal(page_tables_reset(&tables), OK);
    return tables;
}

static void check_direct_map(unsigned levels, bool has_1g, bool has_nx)
{
    struct boot_memory_range ranges[] = {
        {0, 0x9f, MEMORY_USABLE, 0},
        {0xa0000, 16, MEMORY_MMIO, 0},
        {MIB, 1023, MEMORY_USABLE, 0},
        {MIB + 1023 * PAGE_SIZE, 7, MEMORY_ACPI_NVS, 0},
        {GIB, 4 * GIB / PAGE_SIZE, MEMORY_USABLE, 0},
        {600 * GIB, 1, MEMORY_RUNTIME_DATA, 0},
    };
    struct memory_map map = {.ranges = ranges, .count = ARRAY_COUNT(ranges)};
    struct page_tables tables = make_tables(levels, has_1g, has_nx);
    assert_int_equal(page_tables_map_memory(&tables, &map), OK);
    assert_true(tables.used_count <= page_tables_estimate(&tables, &map));
    for (size_t i = 0; i < ARRAY_COUNT(ranges); i++) {
        uint64_t step = ranges[i].page_count > 4096 ? 511 * PAGE_SIZE : PAGE_SIZE;
        for (uint64_t phys = ranges[i].start; phys < memory_range_end(&ranges[i]); phys += step) {
            struct leaf leaf = walk(&tables, BOOT_DIRECT_MAP_BASE + phys);
            if (ranges[i].kind == MEMORY_MMIO) {
                assert_int_equal(leaf.entry, 0);
                continue;
            }
            uint64_t size = PAGE_SIZE << (9 * (leaf.level - 1));
            assert_int_equal(leaf.entry & 0x000ffffffffff000 & ~(size - 1), phys & ~(size - 1));
            assert_int_equal(leaf.entry & 3, 3);
            assert_int_equal(leaf.entry >> 63, has_nx);
        }
    }
    assert_int_equal(walk(&tables, BOOT_DIRECT_MAP_BASE + 2 * GIB).level, has_1g ? 3 : 2);
    assert_int_equal(walk(&tables, BOOT_DIRECT_MAP_BASE + 0x9f000).entry, 0);
    assert_int_equal(walk(&tables, BOOT_DIRECT_MAP_BASE + 5 * GIB).entry, 0);
    assert_int_equal(walk(&tables, 0).entry, 0);
}

static void test_direct_map(void **state)
{
    (void)state;
    for (unsigned levels = 4; levels <= 5; levels++) {
        check_direct_map(levels, true, true);
        check_direct_map(levels, false, true);
        check_direct_map(levels, true, false);
    }
}

static void test_tables_refuse(void **state)
{
    (void)state;
    struct page_tables tables = make_tables(4, true, true);
    struct page_mapping text = {BOOT_CORE_BASE, 0x200000, 2 * MIB, PAGE_READ_EXECUTE};
    assert_int_equal(page_tables_map(&tables, &text), OK);
    assert_int_equal(walk(&tables, BOOT_CORE_BASE).entry, 0x200000 | 0x81);
    assert_int_equal(page_tables_map(&tables, &text), EEXIST);
    struct page_mapping inside = {BOOT_CORE_BASE + PAGE_SIZE, 0, PAGE_SIZE, PAGE_READ};
    assert_int_equal(page_tables_map(&tables, &inside), EEXIST);
    tables.pool_count = tables.used_count + 2;
    struct page_mapping far = {0x1000, 0x1000, PAGE_SIZE, PAGE_READ};
    assert_int_equal(page_tables_map(&tables, &far), ENOMEM);
    tables.pool_count = 0;
    assert_int_equal(page_tables_reset(&tables), ENOMEM);
}

/* --- core image ----------------------------------------------------------------------------------------- */

struct small_core {
    Elf64_Ehdr header;
    Elf64_Phdr programs[2];
    Elf64_Shdr sections[3];
    char text[16];
    Elf64_Sym symbols[2];
    char strings[8];
};

static struct small_core good_core(void)
{
    struct small_core core = {
        .header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB},
                   .e_machine = EM_X86_64,
                   .e_type = ET_EXEC,
                   .e_entry = BOOT_CORE_BASE + 4,
                   .e_phoff = offsetof(struct small_core, programs),
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = 2,
                   .e_shoff = offsetof(struct small_core, sections),
                   .e_shentsize = sizeof(Elf64_Shdr),
                   .e_shnum = 3},
        .programs = {{.p_type = PT_LOAD,
                      .p_flags = PF_R | PF_X,
                      .p_offset = offsetof(struct small_core, text),
                      .p_vaddr = BOOT_CORE_BASE,
                      .p_filesz = 16,
                      .p_memsz = 16},
                     {.p_type = PT_LOAD,
                      .p_flags = PF_R | PF_W,
                      .p_offset = offsetof(struct small_core, text),
                      .p_vaddr = BOOT_CORE_BASE + 0x1000,
                      .p_filesz = 8,
                      .p_memsz = 0x1800}},
        .sections = {{.sh_type = SHT_NULL},
                     {.sh_type = SHT_SYMTAB,
                      .sh_link = 2,
                      .sh_offset = offsetof(struct small_core, symbols),
                      .sh_size = sizeof(core.symbols)},
                     {.sh_type = SHT_STRTAB,
                      .sh_offset = offsetof(struct small_core, strings),
                      .sh_size = sizeof(core.strings)}},
        .text = "0123456789abcde",
    };
    return core;
}

static result_t parse(const struct small_core *core, size_t size, struct core_image *image)
{
    /* A copy of just that size, so that a read beyond it is found. */
    char *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, core, size);
    const char *problem = NULL;
    result_t result = core_image_parse(image, (struct text){copy, size}, &problem);
    assert_true((result == OK) == (problem == NULL));
    free(copy);
    return result;
}

static void test_core_loads(void **state)
{
    (void)state;
    struct small_core core = good_core();
    struct core_image image;
    const char *problem = NULL;
    struct text file = {(const char *)&core, sizeof(core)};
    assert_int_equal(core_image_parse(&image, file, &problem), OK);
    assert_int_equal(image.size_bytes, 0x3000);
    assert_int_equal(image.segment_count, 2);
    assert_int_equal(image.segments[0].rights, PAGE_READ_EXECUTE);
    assert_int_equal(image.segments[1].rights, PAGE_READ_WRITE);
    assert_int_equal(image.segments[1].size_bytes, 0x2000);
    assert_int_equal(image.symbol_table.size, sizeof(core.symbols));
    assert_int_equal(image.string_table.size, sizeof(core.strings));

    char *memory = malloc(image.size_bytes);
    assert_non_null(memory);
    memset(memory, '#', image.size_bytes);
    core_image_copy(&image, memory);
    assert_memory_equal(memory, "0123456789abcde", 16);
    assert_memory_equal(memory + 0x1000, "01234567\0\0\0", 11);
    assert_int_equal(memory[0x2fff], 0);
    free(memory);
}

static void test_core_is_checked(void **state)
{
    (void)state;
    struct core_image image;
    struct small_core core = good_core();
    for (size_t size = 1; size < sizeof(core); size++)
        (void)!parse(&core, size, &image);
    assert_int_equal(parse(&core, sizeof(core.header) - 1, &image), EINVAL);
    core.header.e_entry = BOOT_CORE_BASE + 0x1000;
    assert_int_equal(parse(&core, sizeof(core), &image), EINVAL);
    core = good_core();
    core.programs[1].p_vaddr = BOOT_CORE_BASE + 0x800;
    assert_int_equal(parse(&core, sizeof(core), &image), EINVAL);
    core = good_core();
    core.programs[1].p_flags |= PF_X;
    assert_int_equal(parse(&core, sizeof(core), &image), EINVAL);
    core = good_core();
    core.programs[1].p_offset = UINT64_MAX - 3;
    assert_int_equal(parse(&core, sizeof(core), &image), EINVAL);
    core = good_core();
    core.programs[1].p_memsz = UINT64_MAX;
    assert_int_equal(parse(&core, sizeof(core), &image), EINVAL);
    core = good_core();
    core.programs[0].p_vaddr = 0x1000;
    assert_int_equal(parse(&core, sizeof(core), &image), EINVAL);
    core = good_core();
    core.header.e_machine = EM_386;
    assert_int_equal(parse(&core, sizeof(core), &image), EINVAL);
    core = good_core();
    core.sections[1].sh_link = 9;
    assert_int_equal(parse(&core, sizeof(core), &image), OK);
    assert_int_equal(image.symbol_table.size, 0);
}

/* Any single damaged byte is refused or harmless; the sanitizers watch. */
static void test_core_survives_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < offsetof(struct small_core, text); i++) {
        struct small_core core = good_core();
        ((unsigned char *)&core)[i] ^= 0xff;
        struct core_image image;
        if (parse(&core, sizeof(core), &image) == OK)
            assert_true(image.size_bytes <= 2 * CORE_SIZE_MAX + PAGE_SIZE);
    }
}

/* --- text ----------------------------------------------------------------------------------------------- */

static result_t decode(const void *data, size_t size, char *buffer)
{
    char *copy = malloc(size + 1);
    assert_non_null(copy);
    memcpy(copy, data, size);
    size_t length = 0;
    result_t result = utf16_decode_any(buffer, &length, copy, size);
    if (result == OK)
        assert_int_equal(length, strlen(buffer));
    free(copy);
    return result;
}

static void test_decode(void **state)
{
    (void)state;
    char buffer[64];
    static const uint16_t wide[] = {'r', 'u', 'n', '=', 'a', 0, 0x1234, 1};
    static const uint16_t marked[] = {0xfeff, 'x', 0xe4, '\n'};
    static const uint16_t garbage[] = {'x', 3, 7};
    static const uint16_t half[] = {'x', 0xd800};
    assert_int_equal(decode(wide, sizeof(wide), buffer), OK);
    assert_string_equal(buffer, "run=a");
    assert_int_equal(decode(marked, sizeof(marked), buffer), OK);
    assert_string_equal(buffer, "x?\n");
    assert_int_equal(decode(garbage, sizeof(garbage), buffer), EINVAL);
    assert_int_equal(decode(half, sizeof(half), buffer), EINVAL);
    assert_int_equal(decode("run=a\r\ncpus=2", 13, buffer), OK);
    assert_string_equal(buffer, "run=a\r\ncpus=2");
    assert_int_equal(decode("\xef\xbb\xbfrun=a", 8, buffer), OK);
    assert_string_equal(buffer, "run=a");
    assert_int_equal(decode("\x01\x02\x03", 3, buffer), EINVAL);
    assert_int_equal(decode("", 0, buffer), OK);
    assert_string_equal(buffer, "");
}

static enum line_editor_state press(struct line_editor *editor, enum key_code code, char character)
{
    struct key key = {code, character};
    return line_editor_key(editor, &key);
}

static void assert_line(const struct line_editor *editor, const char *expected)
{
    assert_int_equal(editor->size, strlen(expected));
    assert_memory_equal(editor->text, expected, editor->size);
    assert_true(editor->cursor <= editor->size);
}

/* What a terminal sends behind ESC, and which key that is; NULL: it begins no key. */
static void test_escape_sequences(void **state)
{
    (void)state;
    static const struct {
        const char *sequence;
        enum key_code code;
    } sequences[] = {
        {"[A", KEY_UP},
        {"[B", KEY_DOWN},
        {"[C", KEY_RIGHT},
        {"[D", KEY_LEFT},
        {"OA", KEY_UP},
        {"[H", KEY_HOME},
        {"[F", KEY_END},
        {"OH", KEY_HOME},
        {"OF", KEY_END},
        {"[1~", KEY_HOME},
        {"[4~", KEY_END},
        {"[7~", KEY_HOME},
        {"[8~", KEY_END},
        {"[3~", KEY_DELETE},
        {"[5~", KEY_PAGE_UP},
        {"[6~", KEY_PAGE_DOWN},
        {"OP", KEY_F1},
        {"[11~", KEY_F1},
        {"[[A", KEY_F1},
        {"[1;5H", KEY_HOME},
        {"[6;2~", KEY_PAGE_DOWN},
        {"[15~", KEY_OTHER},
        {"[99999999999999~", KEY_OTHER},
        {"[[B", KEY_OTHER},
        {"[200~", KEY_OTHER},
    };
    for (size_t i = 0; i < ARRAY_COUNT(sequences); i++) {
        struct escape escape;
        struct key key = {KEY_ESCAPE, '\0'};
        const char *at = sequences[i].sequence;
        escape_init(&escape);
        for (; at[1] != '\0'; at++)
            assert_int_equal(escape_feed(&escape, *at, &key), ESCAPE_GOES_ON);
        assert_int_equal(escape_feed(&escape, *at, &key), ESCAPE_DONE);
        assert_int_equal(key.code, sequences[i].code);
    }
    struct escape escape;
    struct key key = {KEY_ESCAPE, '\0'};
    escape_init(&escape);
    assert_int_equal(escape_feed(&escape, 'q', &key), ESCAPE_REFUSED);
    assert_int_equal(key.code, KEY_ESCAPE);
}

static void test_line_editor(void **state)
{
    (void)state;
    struct line_editor editor;
    line_editor_init(&editor, TEXT("a=1\nb=2\n"));
    assert_line(&editor, "a=1 b=2 ");
    press(&editor, KEY_CHARACTER, 'c');
    press(&editor, KEY_HOME, 0);
    press(&editor, KEY_BACKSPACE, 0);
    press(&editor, KEY_LEFT, 0);
    press(&editor, KEY_DELETE, 0);
    press(&editor, KEY_CHARACTER, 'x');
    assert_line(&editor, "x=1 b=2 c");
    press(&editor, KEY_END, 0);
    press(&editor, KEY_RIGHT, 0);
    press(&editor, KEY_DELETE, 0);
    press(&editor, KEY_BACKSPACE, 0);
    assert_line(&editor, "x=1 b=2");
    for (size_t i = 0; i < 2 * LINE_EDITOR_MAX; i++)
        assert_int_equal(press(&editor, KEY_CHARACTER, 'z'), LINE_EDITOR_GOES_ON);
    assert_int_equal(editor.size, LINE_EDITOR_MAX);
    assert_int_equal(press(&editor, KEY_ENTER, 0), LINE_EDITOR_DONE);
    assert_int_equal(press(&editor, KEY_ESCAPE, 0), LINE_EDITOR_CANCELLED);
    line_editor_init(&editor, TEXT(""));
    press(&editor, KEY_BACKSPACE, 0);
    press(&editor, KEY_DELETE, 0);
    assert_line(&editor, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_sorts_and_joins),  cmocka_unit_test(test_map_repairs),
        cmocka_unit_test(test_map_refuses),          cmocka_unit_test(test_map_against_model),
        cmocka_unit_test(test_direct_map),           cmocka_unit_test(test_tables_refuse),
        cmocka_unit_test(test_core_loads),           cmocka_unit_test(test_core_is_checked),
        cmocka_unit_test(test_core_survives_damage), cmocka_unit_test(test_decode),
        cmocka_unit_test(test_escape_sequences),     cmocka_unit_test(test_line_editor),
    };
    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
