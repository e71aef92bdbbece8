/* Full-screen text on the firmware's console: a picture of character cells is drawn in memory, and only
 * rows that differ from the last picture are sent, which keeps serial terminals quick. */
#ifndef EFI_SCREEN_H
#define EFI_SCREEN_H

#include "core/types.h"

#define SCREEN_COLUMNS_MAX 80
#define SCREEN_ROWS_MAX 25

enum screen_style {
    STYLE_NORMAL,
    STYLE_DIM,
    STYLE_BRIGHT,
    STYLE_BAR,
    STYLE_CURRENT, /* the line that keys act on */
    STYLE_ERROR,
    STYLE_ERROR_CURRENT,
    STYLE_NOTICE,
};

struct screen_cell {
    char character;
    uint8_t style; /* enum screen_style */
};

struct screen {
    unsigned columns;
    unsigned rows;
    struct screen_cell wanted[SCREEN_ROWS_MAX][SCREEN_COLUMNS_MAX];
    struct screen_cell shown[SCREEN_ROWS_MAX][SCREEN_COLUMNS_MAX];
};

/* Clears the console and makes it 80x25; without one, drawing goes nowhere. */
void screen_open(struct screen *screen);
/* Leaves an empty console with its cursor on. */
void screen_close(struct screen *screen);

/* Starts a new picture: all blank. */
void screen_clear(struct screen *screen);
/* Prints into the picture; what does not fit in the row is cut. Returns the column behind it. */
unsigned screen_print(struct screen *screen, unsigned row, unsigned column, enum screen_style style,
                      const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Gives cells of a row another style. */
void screen_paint(struct screen *screen, unsigned row, unsigned column, unsigned count,
                  enum screen_style style);
/* Sends what changed. */
void screen_show(struct screen *screen);

#endif
