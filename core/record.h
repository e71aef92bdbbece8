/* The text of a run, kept in memory that a warm reset leaves alone, with checksums, so that the next
 * start of PageLab can find it and write it to a file. Shared by loader and core.
 *
 * Concepts: the first page holds the head, twice: one copy is written while the other stays good, and
 * both name the size and the checksum of the text behind that page. Whenever the machine stops, the text
 * up to the last line or the one before can be read. The loader chooses the place and formats it; the
 * core appends. Line ends are LF.
 * Locking: the console's (core/log.h). */
#ifndef CORE_RECORD_H
#define CORE_RECORD_H

#include "core/text.h"

/* Records start at multiples of this, so that they can be searched for. */
#define RECORD_ALIGN (2 * MIB)
/* What a run that has not ended has instead of a status. */
#define RECORD_NO_STATUS 0xffffffffu

struct record_head {
    char magic[16];
    uint64_t size_bytes; /* of the whole, head included */
    uint64_t text_bytes;
    uint64_t lost_bytes; /* what there was no room for */
    uint32_t text_crc;
    uint32_t status;   /* of the run, or RECORD_NO_STATUS */
    uint32_t sequence; /* counts changes; the newer of two good heads counts */
    uint32_t head_crc; /* of everything before it */
};

/* --- writing ---------------------------------------------------------------------------------------- */

/* Makes an empty record in memory of at least two pages. */
void record_format(void *memory, uint64_t size_bytes);
/* Makes it unrecognisable. */
void record_erase(void *memory);
/* From now on the functions below go to this record, which was formatted; without a good one they do
 * nothing. */
void record_open(void *memory);
/* Appends text, CR left out. O(size). */
void record_append(const char *bytes, size_t size_bytes);
void record_end(uint32_t status);
bool record_is_open(void);

/* --- reading ---------------------------------------------------------------------------------------- */

enum record_state {
    RECORD_NONE,    /* there is none */
    RECORD_DAMAGED, /* there is one, but its text is not what was written */
    RECORD_GOOD,
};

/* Looks at memory of `size_bytes` from a place where a record may be. With RECORD_GOOD fills *head and
 * *text, which stays where it is; with RECORD_DAMAGED *head alone. */
enum record_state record_read(const void *memory, uint64_t size_bytes, struct record_head *head,
                              struct text *text);

#endif
