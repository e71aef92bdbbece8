/* Text on the framebuffer. See screen.h. */
#include "core/screen.h"

#include "core/font.h"

/* A screen of this many pixels is drawn without scaling; one of k times as many in both directions
 * scales by k. */
#define WIDTH_UNSCALED 640
#define HEIGHT_UNSCALED 400

struct cell {
    char character;
    uint8_t ink; /* enum screen_ink */
};

struct ink {
    uint32_t foreground; /* 0xRRGGBB */
    uint32_t background;
};

static const struct ink inks[INK_COUNT] = {
    [INK_NORMAL] = {0xc8c8c8, 0x000000}, [INK_DIM] = {0x808890, 0x000000},
    [INK_BRIGHT] = {0xffffff, 0x000000}, [INK_GOOD] = {0x60d060, 0x000000},
    [INK_BAD] = {0xff6060, 0x000000},    [INK_NOTICE] = {0xf0d050, 0x000000},
    [INK_BAR] = {0xffffff, 0x204080},    [INK_BAR_BAD] = {0xffffff, 0xa01010},
};

static struct {
    bool is_open;
    bool hidden;
    unsigned columns, rows, scale;
    uint32_t left, top; /* of the first cell, in pixels */
    struct canvas canvas;
    uint32_t foreground[INK_COUNT]; /* pixels */
    uint32_t background[INK_COUNT];
    struct cell cells[SCREEN_ROWS_MAX][SCREEN_COLUMNS_MAX];
} screen;

static unsigned at_most(unsigned value, unsigned limit)
{
    return value < limit ? value : limit;
}

static void draw_cell(unsigned row, unsigned column)
{
    const struct cell *cell = &screen.cells[row][column];
    const struct canvas_glyph glyph = {
        .character = cell->character,
        .scale = screen.scale,
        .foreground = screen.foreground[cell->ink],
        .background = screen.background[cell->ink],
    };
    canvas_draw(&screen.canvas, screen.left + column * FONT_WIDTH * screen.scale,
                screen.top + row * FONT_HEIGHT * screen.scale, &glyph);
}

static void set_cell(unsigned row, unsigned column, struct cell cell)
{
    struct cell *old = &screen.cells[row][column];
    if (old->character == cell.character && old->ink == cell.ink)
        return;
    *old = cell;
    if (!screen.hidden)
        draw_cell(row, column);
}

/* Sizes and margins: as many cells as fit, in the middle. */
static void lay_out(void)
{
    const struct canvas *canvas = &screen.canvas;
    unsigned scale = at_most(canvas->width / WIDTH_UNSCALED, canvas->height / HEIGHT_UNSCALED);
    screen.scale = scale > 0 ? scale : 1;
    unsigned width = FONT_WIDTH * screen.scale;
    unsigned height = FONT_HEIGHT * screen.scale;
    screen.columns = at_most(canvas->width / width, SCREEN_COLUMNS_MAX);
    screen.rows = at_most(canvas->height / height, SCREEN_ROWS_MAX);
    screen.left = (canvas->width - screen.columns * width) / 2;
    screen.top = (canvas->height - screen.rows * height) / 2;
}

bool screen_open(const struct boot_framebuffer *framebuffer, volatile void *pixels)
{
    if (!canvas_init(&screen.canvas, framebuffer, pixels))
        return false;
    lay_out();
    for (unsigned ink = 0; ink < INK_COUNT; ink++) {
        screen.foreground[ink] = canvas_pixel(&screen.canvas, inks[ink].foreground);
        screen.background[ink] = canvas_pixel(&screen.canvas, inks[ink].background);
    }
    for (unsigned row = 0; row < screen.rows; row++) {
        for (unsigned column = 0; column < screen.columns; column++)
            screen.cells[row][column] = (struct cell){' ', INK_NORMAL};
    }
    screen.is_open = screen.columns != 0 && screen.rows != 0;
    screen_show();
    return screen.is_open;
}

unsigned screen_columns(void)
{
    return screen.is_open ? screen.columns : 0;
}

unsigned screen_rows(void)
{
    return screen.is_open ? screen.rows : 0;
}

unsigned screen_put(unsigned row, unsigned column, enum screen_ink ink, struct text text)
{
    if (!screen.is_open || row >= screen.rows)
        return column;
    for (size_t i = 0; i < text.size && column < screen.columns; i++)
        set_cell(row, column++, (struct cell){text.data[i], (uint8_t)ink});
    return column;
}

void screen_blank(unsigned row, unsigned column, enum screen_ink ink)
{
    if (!screen.is_open || row >= screen.rows)
        return;
    while (column < screen.columns)
        set_cell(row, column++, (struct cell){' ', (uint8_t)ink});
}

void screen_scroll(unsigned first, unsigned end, unsigned by)
{
    if (!screen.is_open)
        return;
    end = at_most(end, screen.rows);
    for (unsigned row = first; row < end; row++) {
        for (unsigned column = 0; column < screen.columns; column++) {
            struct cell cell = {' ', INK_NORMAL};
            if (end - row > by)
                cell = screen.cells[row + by][column];
            set_cell(row, column, cell);
        }
    }
}

void screen_hide(void)
{
    screen.hidden = true;
}

void screen_show(void)
{
    screen.hidden = false;
    if (!screen.is_open)
        return;
    canvas_fill(&screen.canvas, 0, 0, screen.canvas.width, screen.canvas.height,
                screen.background[INK_NORMAL]);
    for (unsigned row = 0; row < screen.rows; row++) {
        for (unsigned column = 0; column < screen.columns; column++)
            draw_cell(row, column);
    }
}
