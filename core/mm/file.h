/* File memory: pages of a block device, kept in memory while there is room.
 *
 * Concepts: a file object is a window of a device and a cache of its pages. Regions that share show the
 * cached frames themselves; a private region shows an object of its own over the file (file_private.c): the
 * cache's frames for reading, and copies of what was written.
 * A page that is not there is read with those behind it: one at first, twice as many whenever the
 * miss is where the last read ended, so that who goes through a file waits seldom, and who jumps about
 * reads nothing in vain. A resident page is mapped with its resident neighbours (map_around).
 * A page is dirty from the first write on: it becomes writable only by a fault, and when it is written
 * back W is taken from all entries first. Before it becomes dirty the device takes what memory the
 * writing will need.
 * Slots are page indices: the phase is 0 whatever the address is. A page wholly past the end of the
 * file or of its device, or one that cannot be read, is `bus`.
 * Invariants: a cached frame and its leaf have one reference; a writable entry's slot is dirty.
 * Locking: the object's lock guards cache and entries, and is held while the device is read; locks of
 * private objects, of RANK_OVERLAY, come inside it. */
#ifndef CORE_MM_FILE_H
#define CORE_MM_FILE_H

#include "core/block.h"
#include "core/mm/object.h"
#include "core/mm/ramdisk.h"

struct file {
    struct object object;
    struct slot_table table;
    struct block_device *device;
    struct ramdisk *ramdisk;   /* the device, when it is the file's own; else NULL */
    uint64_t offset_bytes;     /* of the file in the device */
    uint64_t readable_pages;   /* of which the device has something */
    uint64_t next_miss;        /* where the next miss of a sequential reader will be */
    unsigned ahead;            /* pages that the last miss was to read */
    unsigned window;           /* pages that it read: there were no more to read */
    uint64_t hand;             /* the page that reclaim looks at next */
    struct list_node privates; /* struct file_private.link */
};

#define FILE_WINDOW_MAX 64
/* Pages written back by one command. */
#define FILE_WRITE_MAX 64u
/* A resident page is mapped with those of this aligned group (policy.map_around: 0 or 16). */
#define FILE_AROUND_MAX 16

static inline struct file *file_of(struct object *object)
{
    return CONTAINER_OF(object, struct file, object);
}

/* A file of a device, from a byte that is a page's first; the device must outlive it. References 1.
 * EINVAL, ENOMEM. */
result_t file_create(struct block_device *device, uint64_t offset_bytes, uint64_t page_count,
                     struct object **object);
/* The same on a RAM disk of its own. */
result_t file_create_on_ramdisk(uint64_t offset_bytes, uint64_t page_count, struct object **object);
/* Makes the file shorter. What was mapped beyond is `bus` from now on, what was written there is
 * lost. */
void file_truncate(struct object *object, uint64_t page_count);

/* In a slot: the page differs from the device's, or may. */
#define SLOT_DIRTY 2ull
/* The device has taken the memory that writing the page needs. */
#define SLOT_RESERVED 4ull

/* Was a present entry used since this was asked last? Nothing is flushed: a CPU that goes on using what
 * it remembers does not say so. */
static inline bool entry_forget_access(entry_t *entry)
{
    return entry_is_present(entry_peek(entry)) &&
           (__atomic_fetch_and(entry, ~(entry_t)ENTRY_ACCESSED, __ATOMIC_RELAXED) &
            ENTRY_ACCESSED) != 0;
}

/* file_reclaim.c: drops clean pages, or writes dirty ones back and drops them. */
uint64_t file_reclaim(struct object *object, enum reclaim_stage stage, uint64_t wanted);

/* For file_reclaim.c. Writes a row of dirty pages, at most FILE_WRITE_MAX. EIO: they stay dirty. */
result_t file_write_back(struct file *file, uint64_t page, unsigned count)
    REQUIRES(file->object.lock);
/* Removes the entries that show these pages, in every region, and flushes. */
void file_unmap_everywhere(struct file *file, uint64_t page, uint64_t count)
    REQUIRES(file->object.lock);

/* Is the page inside the file and its device? Else it is bus, and ERANGE for whoever asks in another way. */
static inline bool file_has_page(const struct file *file, uint64_t page) REQUIRES(file->object.lock)
{
    return page < file->object.page_count && page < file->readable_pages;
}

/* For file_private.c. The cached frame of a page, read if need be. *event: fault.file_major if so. The
 * file has the page. The outcome is FAULT_RESOLVED, FAULT_BUS or FAULT_NOMEM. */
enum fault_outcome file_get_page(struct file *file, uint64_t page, enum counter *event,
                                 phys_t *frame) REQUIRES(file->object.lock);
/* An operation that file_get_page() has begun fails: what it read goes again, and nothing has changed. */
void file_undo_read(struct file *file, uint64_t page, enum counter event)
    REQUIRES(file->object.lock);
/* The slot of a page of the file; NULL when its leaf has none. Under the file's lock, these three, or when
 * nobody else runs, as the audit does. */
static inline uint64_t *file_slot(const struct file *file, uint64_t page)
{
    struct leaf *leaf = slot_table_leaf(&file->table, page);
    return LIKELY(leaf != NULL) ? &leaf->slots[page % LEAF_SLOTS] : NULL;
}

/* What it holds, 0 past the end. */
static inline uint64_t file_slot_value(const struct file *file, uint64_t page)
{
    const uint64_t *slot = LIKELY(page < file->object.page_count) ? file_slot(file, page) : NULL;
    return LIKELY(slot != NULL) ? *slot : 0;
}

/* The frame if the page is resident, else PHYS_NONE. */
static inline phys_t file_resident_page(const struct file *file, uint64_t page)
{
    uint64_t slot = file_slot_value(file, page);
    return LIKELY(slot != 0) ? slot_phys(slot) : PHYS_NONE;
}

/* An object for private regions, with a reference to the file. ENOMEM. */
result_t file_private_create(struct object *object, uint64_t first_page, uint64_t page_count,
                             bool commit, struct object **overlay);
/* Was the page accessed through a private object since this was asked last? */
bool file_private_was_accessed(struct object *overlay, uint64_t page);
/* Removes the entries that show pages of the file through a private object. */
void file_private_unmap(struct object *overlay, uint64_t first_page, uint64_t page_count);

struct file_private;
struct object *file_private_of_link(struct list_node *link);

#endif
