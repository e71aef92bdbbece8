/* The text of a run. See record.h. */
#include "core/record.h"

#include "core/crc32.h"

#define HEAD_COPIES 2
#define HEAD_DISTANCE (PAGE_SIZE / HEAD_COPIES)

static const char magic[16] = "PageLab record1";

static struct {
    char *memory; /* NULL: none is open */
    struct record_head head;
} record;

static struct record_head *head_copy(void *memory, unsigned index)
{
    return (struct record_head *)((char *)memory + index * HEAD_DISTANCE);
}

static uint32_t head_crc(const struct record_head *head)
{
    return crc32_update(0, head, offsetof(struct record_head, head_crc));
}

/* The text must be there before a head says so: a machine may stop between any two stores, which it
 * makes in the order of the program. */
static void write_head(void *memory, struct record_head *head)
{
    head->sequence++;
    head->head_crc = head_crc(head);
    __asm__ volatile("" ::: "memory");
    *head_copy(memory, head->sequence % HEAD_COPIES) = *head;
    __asm__ volatile("" ::: "memory");
}

/* Do the figures agree with each other and with the room there is? */
static bool head_is_good(const struct record_head *head, uint64_t size_bytes)
{
    return memcmp(head->magic, magic, sizeof(magic)) == 0 && head->head_crc == head_crc(head) &&
           head->size_bytes >= 2 * PAGE_SIZE && head->size_bytes <= size_bytes &&
           head->text_bytes <= head->size_bytes - PAGE_SIZE;
}

static bool find_head(const void *memory, uint64_t size_bytes, struct record_head *found)
{
    bool any = false;
    if (size_bytes < 2 * PAGE_SIZE)
        return false;
    for (unsigned i = 0; i < HEAD_COPIES; i++) {
        struct record_head head = *head_copy((void *)memory, i);
        if (!head_is_good(&head, size_bytes) || (any && head.sequence < found->sequence))
            continue;
        *found = head;
        any = true;
    }
    return any;
}

void record_format(void *memory, uint64_t size_bytes)
{
    struct record_head head = {
        .size_bytes = size_bytes,
        .status = RECORD_NO_STATUS,
    };
    memcpy(head.magic, magic, sizeof(magic));
    record_erase(memory);
    write_head(memory, &head);
}

void record_erase(void *memory)
{
    memset(memory, 0, PAGE_SIZE);
}

void record_open(void *memory)
{
    if (find_head(memory, UINT64_MAX, &record.head))
        record.memory = memory;
}

bool record_is_open(void)
{
    return record.memory != NULL;
}

/* A run of bytes without CR. */
static void append(const char *bytes, size_t size_bytes)
{
    struct record_head *head = &record.head;
    uint64_t room = head->size_bytes - PAGE_SIZE - head->text_bytes;
    if (head->lost_bytes > 0) /* nothing behind a gap */
        room = 0;
    size_t count = size_bytes < room ? size_bytes : (size_t)room;
    memcpy(record.memory + PAGE_SIZE + head->text_bytes, bytes, count);
    head->text_crc = crc32_update(head->text_crc, bytes, count);
    head->text_bytes += count;
    head->lost_bytes += size_bytes - count;
}

void record_append(const char *bytes, size_t size_bytes)
{
    if (record.memory == NULL)
        return;
    struct text rest = {bytes, size_bytes};
    while (rest.size > 0) {
        struct text part = text_cut(&rest, '\r');
        append(part.data, part.size);
    }
    write_head(record.memory, &record.head);
}

void record_end(uint32_t status)
{
    if (record.memory == NULL)
        return;
    record.head.status = status;
    write_head(record.memory, &record.head);
}

enum record_state record_read(const void *memory, uint64_t size_bytes, struct record_head *head,
                              struct text *text)
{
    if (!find_head(memory, size_bytes, head))
        return RECORD_NONE;
    *text = (struct text){(const char *)memory + PAGE_SIZE, head->text_bytes};
    return crc32_update(0, text->data, text->size) == head->text_crc ? RECORD_GOOD : RECORD_DAMAGED;
}
