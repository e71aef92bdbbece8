/* The text of a run that reached no file. */
#include "efi/last_run.h"

#include "core/fmt.h"
#include "core/record.h"
#include "efi/free_memory.h"
#include "efi/notes.h"

#define LOG_PATH "\\pagelab\\results\\RUN.log"
#define MARK_PATH "\\pagelab\\results\\RUN.pending"
#define MARK_MAX 64
#define STATUS_PANIC 2

#define RECORD_MIN (1 * MIB)
#define RECORD_MAX (16 * MIB)
/* Of all free memory, so much is spent on it. */
#define RECORD_SHARE 256

static uint64_t align_up(uint64_t address)
{
    return (address + RECORD_ALIGN - 1) & ~(RECORD_ALIGN - 1);
}

/* --- the last run ------------------------------------------------------------------------------------------- */

/* Keeps it from being given to somebody else. */
static bool hold(struct last_run *last_run, uint64_t start, uint64_t size_bytes)
{
    EFI_PHYSICAL_ADDRESS address = start;
    last_run->page_count = page_ceil(size_bytes) / PAGE_SIZE;
    if (EFI_ERROR(firmware.boot->AllocatePages(AllocateAddress, EfiLoaderData, last_run->page_count,
                                               &address)))
        return false;
    last_run->memory = (void *)(uintptr_t)start;
    return true;
}

/* Page 0 is passed over: no record is ever put there. */
static bool find_in(struct last_run *last_run, const struct stretch *stretch)
{
    struct record_head head;
    struct text text;
    uint64_t start = stretch->start > 0 ? stretch->start : 1;
    for (uint64_t at = align_up(start); at < stretch->end; at += RECORD_ALIGN) {
        if (record_read((const void *)(uintptr_t)at, stretch->end - at, &head, &text) !=
                RECORD_NONE &&
            hold(last_run, at, head.size_bytes))
            return true;
    }
    return false;
}

void last_run_find(struct last_run *last_run)
{
    struct free_memory map = free_memory_get();
    struct stretch stretch;
    UINTN offset = 0;
    *last_run = (struct last_run){.memory = NULL};
    while (free_memory_next(&map, &offset, &stretch) && !find_in(last_run, &stretch))
        ;
    free_memory_put(&map);
}

static void describe_end(char *buffer, size_t size, const struct record_head *head)
{
    if (head->status == RECORD_NO_STATUS)
        fmt_print(buffer, size, "it did not come to its end");
    else
        fmt_print(buffer, size, "status %u%s", head->status,
                  head->status == STATUS_PANIC ? ", a panic" : "");
}

static void write_log(struct last_run *last_run, const struct volume *volume,
                      const struct record_head *head, struct text text)
{
    char end[64];
    describe_end(end, sizeof(end), head);
    EFI_STATUS status = volume_write(volume, LOG_PATH, text);
    if (volume->root == NULL) {
        notes_add(
            "The last run's text is in memory (%s), but no volume has a directory \\pagelab to "
            "write it to: insert one and start again.",
            end);
        return;
    }
    if (EFI_ERROR(status)) {
        notes_add("The last run's text (%s) could not be written to %s: %s", end, LOG_PATH,
                  firmware_status_name(status));
        return;
    }
    char lost[64] = "";
    if (head->lost_bytes > 0)
        fmt_print(lost, sizeof(lost), "; %lu bytes more did not fit into memory",
                  (unsigned long)head->lost_bytes);
    notes_add("The last run (%s) was written to %s: %zu bytes%s.", end, LOG_PATH, text.size, lost);
    record_erase(last_run->memory);
}

static bool take_mark(const struct volume *volume)
{
    struct text mark;
    return !EFI_ERROR(volume_read(volume, MARK_PATH, MARK_MAX, &mark)) &&
           !EFI_ERROR(volume_delete(volume, MARK_PATH));
}

void last_run_save(struct last_run *last_run, const struct volume *volume)
{
    struct record_head head;
    struct text text;
    bool marked = take_mark(volume);
    if (last_run->memory == NULL) {
        if (marked)
            notes_add("The last run's text is lost: memory did not survive the reset.");
        last_run->happened = last_run->ended_badly = marked;
        return;
    }
    last_run->happened = true;
    uint64_t size_bytes = last_run->page_count * PAGE_SIZE;
    enum record_state state = record_read(last_run->memory, size_bytes, &head, &text);
    last_run->ended_badly =
        state != RECORD_GOOD || head.status == RECORD_NO_STATUS || head.status == STATUS_PANIC;
    if (state == RECORD_GOOD) {
        write_log(last_run, volume, &head, text);
    } else {
        notes_add("The last run's text is damaged: memory did not survive the reset as it was.");
        record_erase(last_run->memory);
    }
    (void)firmware.boot->FreePages((uint64_t)(uintptr_t)last_run->memory, last_run->page_count);
    last_run->memory = NULL;
}

/* --- the run to come ------------------------------------------------------------------------------------------ */

static struct stretch largest_stretch(void)
{
    struct free_memory map = free_memory_get();
    struct stretch stretch;
    struct stretch largest = {0, 0};
    UINTN offset = 0;
    while (free_memory_next(&map, &offset, &stretch)) {
        if (stretch.end - stretch.start > largest.end - largest.start)
            largest = stretch;
    }
    free_memory_put(&map);
    return largest;
}

struct boot_blob run_record_allocate(void)
{
    struct stretch stretch = largest_stretch();
    uint64_t size = free_memory_bytes() / RECORD_SHARE & ~(PAGE_SIZE - 1);
    size = size > RECORD_MIN ? size : RECORD_MIN;
    size = size < RECORD_MAX ? size : RECORD_MAX;
    EFI_PHYSICAL_ADDRESS start = align_up(stretch.start + (stretch.end - stretch.start) / 2);
    if (EFI_ERROR(firmware.boot->AllocatePages(AllocateAddress, EfiLoaderData, size / PAGE_SIZE,
                                               &start))) {
        notes_add("no memory for the run's text: a reset will lose it");
        return (struct boot_blob){0, 0};
    }
    record_format((void *)(uintptr_t)start, size);
    return (struct boot_blob){start, size};
}

void run_record_mark(const struct volume *volume)
{
    EFI_STATUS status =
        volume_write(volume, MARK_PATH, TEXT("A run was started; its text is not written yet.\n"));
    if (volume->root == NULL)
        notes_add("no volume has a directory \\pagelab: the next start cannot write %s", LOG_PATH);
    else if (EFI_ERROR(status))
        notes_add("%s cannot be written (%s): nor will the next start write %s", MARK_PATH,
                  firmware_status_name(status), LOG_PATH);
}
