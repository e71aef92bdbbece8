/* The console's font: dots of printable ASCII. Made by tools/make-font from a packaged font
 * (docs/font-licence.txt). */
#ifndef CORE_FONT_H
#define CORE_FONT_H

#include <stdint.h>

#define FONT_WIDTH 8
#define FONT_HEIGHT 16
#define FONT_FIRST ' '
#define FONT_LAST '~'

/* Rows from top to bottom, the leftmost dot in bit 7. */
extern const uint8_t font_rows[FONT_LAST - FONT_FIRST + 1][FONT_HEIGHT];

#endif
