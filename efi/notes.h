/* What the loader has to say for the log of the run: lines that the core prints when it has a console.
 * The menu shows them too. */
#ifndef EFI_NOTES_H
#define EFI_NOTES_H

#include "core/text.h"

/* Adds one line; when the room for notes is used up the line is lost. */
void notes_add(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* All lines, each ended by LF. */
struct text notes_text(void);

#endif
