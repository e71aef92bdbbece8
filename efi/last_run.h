/* The text of a run that reached no file: where it is kept, and what the start after a reset makes of it.
 *
 * Concepts: before a run whose end is a reset the loader sets memory aside, from the middle of the
 * largest stretch there is, since firmware starts by using the lowest and the highest, and leaves
 * \pagelab\results\RUN.pending on the boot volume. The next start looks for the record
 * (core/record.h) in all free memory and writes its text to \pagelab\results\RUN.log. The mark tells
 * a text that was lost from one that never was. */
#ifndef EFI_LAST_RUN_H
#define EFI_LAST_RUN_H

#include "core/boot_info.h"
#include "efi/volume.h"

struct last_run {
    void *memory; /* of its record; NULL: none was found */
    uint64_t page_count;
    bool happened;    /* there was a run whose end was a reset */
    bool ended_badly; /* a panic, or no end at all: it is not to be repeated unasked */
};

/* Looks for a record and takes hold of its memory. To be called before anything else allocates much. */
void last_run_find(struct last_run *last_run);
/* Writes RUN.log, or says why not, as notes (efi/notes.h). */
void last_run_save(struct last_run *last_run, const struct volume *volume);

/* Sets memory aside for the text of the run to come; empty when there is too little. */
struct boot_blob run_record_allocate(void);
/* Leaves the mark of that run; without a volume there is nothing to write to later either. */
void run_record_mark(const struct volume *volume);

#endif
