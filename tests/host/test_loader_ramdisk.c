/* The loader's reading of \pagelab\ramdisk.img, on a pretended firmware: good, missing and bad files. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <efi.h>

#include "core/text.h"
#include "efi/free_memory.h"
#include "efi/notes.h"
#include "efi/ramdisk.h"
#include "efi/utf16.h"
#include "efi/volume.h"

#define FREE_BYTES (80 * MIB)
#define MOST_BYTES ((FREE_BYTES - RAMDISK_SPARES) / RAMDISK_SHARE)

/* --- a firmware with one file ------------------------------------------------------------------------- */

static struct {
    EFI_FILE_PROTOCOL root, file; /* the one file there can be */
    uint64_t size_bytes;          /* what its directory says */
    uint64_t readable_bytes;
    EFI_STATUS open, get_info, read, allocate;
    bool is_directory;
    uint64_t at;
    unsigned opened, closed;
    size_t pages_held;
} fake;

static uint8_t content_byte(uint64_t offset)
{
    return (uint8_t)(offset * 7 + (offset >> 12) + 1);
}

static EFI_STATUS EFIAPI fake_open(EFI_FILE_PROTOCOL *root, EFI_FILE_PROTOCOL **file, CHAR16 *name,
                                   UINT64 mode, UINT64 attributes)
{
    char path[64];
    (void)utf16_to_ascii(path, sizeof(path), name, utf16_length(name, sizeof(path)));
    assert_ptr_equal(root, &fake.root);
    assert_string_equal(path, "\\pagelab\\ramdisk.img");
    assert_int_equal(mode, EFI_FILE_MODE_READ);
    assert_int_equal(attributes, 0);
    fake.at = 0;
    if (EFI_ERROR(fake.open))
        return fake.open;
    fake.opened++;
    *file = &fake.file;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI fake_close(EFI_FILE_PROTOCOL *file)
{
    assert_ptr_equal(file, &fake.file);
    fake.closed++;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI fake_get_info(EFI_FILE_PROTOCOL *file, EFI_GUID *kind, UINTN *size,
                                       void *buffer)
{
    EFI_FILE_INFO info = {.Size = sizeof(info), .FileSize = fake.size_bytes};
    assert_ptr_equal(file, &fake.file);
    assert_non_null(kind);
    assert_true(*size >= sizeof(info));
    info.Attribute = fake.is_directory ? EFI_FILE_DIRECTORY : 0;
    memcpy(buffer, &info, sizeof(info));
    return fake.get_info;
}

/* A part at a time, as firmware may. */
static EFI_STATUS EFIAPI fake_read(EFI_FILE_PROTOCOL *file, UINTN *size, void *buffer)
{
    uint64_t left = fake.readable_bytes - fake.at;
    assert_ptr_equal(file, &fake.file);
    if (EFI_ERROR(fake.read))
        return fake.read;
    *size = *size < left ? *size : left;
    *size = *size < 300000 ? *size : 300000;
    for (UINTN i = 0; i < *size; i++)
        ((uint8_t *)buffer)[i] = content_byte(fake.at + i);
    fake.at += *size;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI fake_allocate_pages(EFI_ALLOCATE_TYPE how, EFI_MEMORY_TYPE type,
                                             UINTN count, EFI_PHYSICAL_ADDRESS *at)
{
    assert_int_equal(how, AllocateAnyPages);
    assert_int_equal(type, EfiLoaderData);
    if (EFI_ERROR(fake.allocate))
        return fake.allocate;
    void *memory = aligned_alloc(PAGE_SIZE, count * PAGE_SIZE);
    assert_non_null(memory);
    memset(memory, 0xee, count * PAGE_SIZE);
    *at = (EFI_PHYSICAL_ADDRESS)(uintptr_t)memory;
    fake.pages_held += count;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI fake_free_pages(EFI_PHYSICAL_ADDRESS at, UINTN count)
{
    free((void *)(uintptr_t)at);
    fake.pages_held -= count;
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI fake_allocate_pool(EFI_MEMORY_TYPE type, UINTN size, void **memory)
{
    assert_int_equal(type, EfiLoaderData);
    *memory = malloc(size);
    assert_non_null(*memory);
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI fake_free_pool(void *memory)
{
    free(memory);
    return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI fake_memory_map(UINTN *size, EFI_MEMORY_DESCRIPTOR *map, UINTN *key,
                                         UINTN *stride, UINT32 *version)
{
    static const EFI_MEMORY_DESCRIPTOR descriptors[] = {
        {.Type = EfiConventionalMemory, .NumberOfPages = 30 * MIB / PAGE_SIZE},
        {.Type = EfiBootServicesData, .NumberOfPages = GIB / PAGE_SIZE},
        {.Type = EfiConventionalMemory, .NumberOfPages = (FREE_BYTES - 30 * MIB) / PAGE_SIZE},
    };
    UINTN room = *size;
    *stride = sizeof(descriptors[0]);
    *size = sizeof(descriptors);
    *key = *version = 1;
    if (room < sizeof(descriptors))
        return EFI_BUFFER_TOO_SMALL;
    memcpy(map, descriptors, sizeof(descriptors));
    return EFI_SUCCESS;
}

/* --- what the tests share ------------------------------------------------------------------------------ */

static struct volume volume;

static int fresh(void **state)
{
    static EFI_BOOT_SERVICES services;
    (void)state;
    memset(&fake, 0, sizeof(fake));
    fake.root.Open = fake_open;
    fake.file.Close = fake_close;
    fake.file.GetInfo = fake_get_info;
    fake.file.Read = fake_read;
    services.AllocatePages = fake_allocate_pages;
    services.FreePages = fake_free_pages;
    services.AllocatePool = fake_allocate_pool;
    services.FreePool = fake_free_pool;
    services.GetMemoryMap = fake_memory_map;
    firmware.boot = &services;
    volume.root = &fake.root;
    return 0;
}

static void have(uint64_t size_bytes)
{
    fake.size_bytes = fake.readable_bytes = size_bytes;
}

/* The notes that were made since it was called last. */
static struct text new_notes(void)
{
    static size_t before;
    struct text notes = notes_text();
    struct text added = {notes.data + before, notes.size - before};
    before = notes.size;
    return added;
}

static void assert_note(const char *expected)
{
    struct text note = new_notes();
    if (!text_is(note, expected))
        fail_msg("'%.*s' instead of '%s'", (int)note.size, note.data, expected);
}

static void assert_loads(uint64_t size_bytes)
{
    char note[100];
    have(size_bytes);
    struct boot_blob blob = ramdisk_load(&volume);
    const uint8_t *bytes = (const uint8_t *)(uintptr_t)blob.start;
    assert_int_equal(blob.size_bytes, size_bytes);
    assert_int_equal(blob.start % PAGE_SIZE, 0);
    for (uint64_t i = 0; i < page_ceil(size_bytes); i++) {
        if (bytes[i] != (i < size_bytes ? content_byte(i) : 0))
            fail_msg("byte %lu of %lu is %d", (unsigned long)i, (unsigned long)size_bytes,
                     bytes[i]);
    }
    snprintf(note, sizeof(note), "RAM disk: \\pagelab\\ramdisk.img, %lu bytes\n",
             (unsigned long)size_bytes);
    assert_note(note);
    assert_int_equal(fake.pages_held, page_ceil(size_bytes) / PAGE_SIZE);
    (void)fake_free_pages(blob.start, fake.pages_held);
}

static void assert_refused(const char *note)
{
    struct boot_blob blob = ramdisk_load(&volume);
    assert_int_equal(blob.start, 0);
    assert_int_equal(blob.size_bytes, 0);
    assert_int_equal(fake.pages_held, 0);
    assert_int_equal(fake.opened, fake.closed);
    assert_note(note);
}

/* --- tests ------------------------------------------------------------------------------------------------ */

static void test_files_of_every_shape(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1,           PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1,
                                     5 * MIB + 3, MOST_BYTES};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        assert_loads(sizes[i]);
}

static void test_no_file(void **state)
{
    (void)state;
    fake.open = EFI_NOT_FOUND;
    assert_refused("");
    fake.open = EFI_SUCCESS;
    fake.is_directory = true;
    assert_refused("");
    volume.root = NULL;
    assert_refused("");
}

static void test_an_empty_file(void **state)
{
    (void)state;
    have(0);
    assert_refused("\\pagelab\\ramdisk.img is empty and is ignored\n");
}

static void test_a_file_that_is_too_large(void **state)
{
    (void)state;
    have(MOST_BYTES + 1);
    assert_refused(
        "\\pagelab\\ramdisk.img is too large and is ignored: it has 8193 KiB, and 8192 KiB of "
        "memory are the most that it may take\n");
    have(1ull << 62);
    struct boot_blob blob = ramdisk_load(&volume);
    assert_int_equal(blob.size_bytes, 0);
    assert_int_not_equal(new_notes().size, 0);
}

static void test_files_that_cannot_be_read(void **state)
{
    static const char because[] = "\\pagelab\\ramdisk.img cannot be read and is ignored: %s\n";
    char note[100];
    (void)state;
    have(3 * MIB);
    fake.open = EFI_ACCESS_DENIED;
    snprintf(note, sizeof(note), because, "EFI_ACCESS_DENIED");
    assert_refused(note);
    fake.open = EFI_SUCCESS;
    fake.get_info = EFI_VOLUME_CORRUPTED;
    snprintf(note, sizeof(note), because, "EFI_VOLUME_CORRUPTED");
    assert_refused(note);
    fake.get_info = EFI_SUCCESS;
    fake.read = EFI_DEVICE_ERROR;
    snprintf(note, sizeof(note), because, "EFI_DEVICE_ERROR");
    assert_refused(note);
    fake.read = EFI_SUCCESS;
    fake.readable_bytes = 2 * MIB;
    snprintf(note, sizeof(note), because, "EFI_END_OF_FILE");
    assert_refused(note);
    fake.allocate = EFI_OUT_OF_RESOURCES;
    snprintf(note, sizeof(note), because, "EFI_OUT_OF_RESOURCES");
    assert_refused(note);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_files_of_every_shape, fresh),
        cmocka_unit_test_setup(test_no_file, fresh),
        cmocka_unit_test_setup(test_an_empty_file, fresh),
        cmocka_unit_test_setup(test_a_file_that_is_too_large, fresh),
        cmocka_unit_test_setup(test_files_that_cannot_be_read, fresh),
    };
    return cmocka_run_group_tests_name("loader_ramdisk", tests, NULL, NULL);
}
