/* What the loader has to say for the log of the run. */
#include "efi/notes.h"

#include "core/fmt.h"

#define NOTES_MAX 8192

static char notes[NOTES_MAX];
static size_t notes_size;

void notes_add(const char *format, ...)
{
    size_t room = NOTES_MAX - notes_size;
    va_list arguments;
    va_start(arguments, format);
    size_t length = fmt_vprint(notes + notes_size, room, format, arguments);
    va_end(arguments);
    if (length + 1 > room)
        return;
    notes[notes_size + length] = '\n';
    notes_size += length + 1;
}

struct text notes_text(void)
{
    return (struct text){notes, notes_size};
}
