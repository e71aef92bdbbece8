/* Numbers as PageLab writes them: decimal or 0x hexadecimal, then optionally K M G T (binary) or p
 * (pages of 4 KiB). Used by scenarios and boot parameters. */
#ifndef CORE_SCRIPT_NUMBER_H
#define CORE_SCRIPT_NUMBER_H

#include "core/text.h"

enum number_status {
    NUMBER_OK,
    NUMBER_NONE,       /* no digit at the start */
    NUMBER_BAD_SUFFIX, /* digits run into something that is no suffix */
    NUMBER_TOO_LARGE,
};

/* Cuts the number off the start of *rest. A hexadecimal number without a suffix may use all 64 bits
 * (the negative number of the same bits); every other must fit into 63. *rest changes only with
 * NUMBER_OK. */
enum number_status number_cut(struct text *rest, int64_t *value);
/* The same for a text that has to be a number as a whole. */
enum number_status number_of(struct text text, int64_t *value);

/* May a byte stand in a word: letter, digit, `_`? */
static inline bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static inline bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static inline bool is_word_byte(char byte)
{
    return is_letter(byte) || is_digit(byte) || byte == '_';
}

#endif
