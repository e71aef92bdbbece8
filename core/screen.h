/* Text on the framebuffer: a grid of character cells, kept in memory, so that the picture can be drawn
 * again at any time and the device is never read.
 *
 * Concepts: characters are scaled by whole numbers, so that they are legible at 640x480 and on a screen
 * of many dots alike. There is one screen. While it is hidden (somebody else draws on the device)
 * cells change unseen, and screen_show() draws them.
 * Locking: the console's (core/log.h), or one CPU; a panic needs none. */
#ifndef CORE_SCREEN_H
#define CORE_SCREEN_H

#include "core/canvas.h"
#include "core/text.h"

#define SCREEN_COLUMNS_MAX 256
#define SCREEN_ROWS_MAX 128

enum screen_ink {
    INK_NORMAL,
    INK_DIM,
    INK_BRIGHT,
    INK_GOOD,
    INK_BAD,
    INK_NOTICE,
    INK_BAR,     /* title */
    INK_BAR_BAD, /* title of a panic */
    INK_COUNT,
};

/* Clears it. False when nothing can be drawn: there is no screen then, and the rest does nothing. */
bool screen_open(const struct boot_framebuffer *framebuffer, volatile void *pixels);
/* 0 without a screen. */
unsigned screen_columns(void);
unsigned screen_rows(void);

/* Writes text into a row; what does not fit is cut. Returns the column behind it. O(changed cells). */
unsigned screen_put(unsigned row, unsigned column, enum screen_ink ink, struct text text);
/* Blanks from a column to the end of the row. */
void screen_blank(unsigned row, unsigned column, enum screen_ink ink);
/* Rows [first, end) move up; blank ones follow below. */
void screen_scroll(unsigned first, unsigned end, unsigned by);

void screen_hide(void);
void screen_show(void);

#endif
