/* Where boot parameters come from: \pagelab\pagelab.cfg on the boot volume, then the load options. */
#ifndef EFI_OPTIONS_H
#define EFI_OPTIONS_H

#include "core/text.h"
#include "efi/library.h"

#define OPTIONS_MAX 32768

/* Words, one a line, the weakest first. */
struct options {
    char words[OPTIONS_MAX];
    size_t size;
};

/* What cannot be read or is not meant for PageLab is left out with a note. The library tells whether
 * NAME.PARAM=VALUE is. */
void options_collect(struct options *options, const struct volume *volume,
                     const struct library *library);

/* Adds the words of a text, comments left out. False when they do not fit: then none is added. */
bool options_add(struct options *options, struct text text);

static inline struct text options_text(const struct options *options)
{
    return (struct text){options->words, options->size};
}

#endif
