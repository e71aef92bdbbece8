/* The console's font. */
#include "core/font.h"

const uint8_t font_rows[FONT_LAST - FONT_FIRST + 1][FONT_HEIGHT] = {
#include "font.inc"
};
