/* Pixels: filled rectangles and characters on a framebuffer of any layout that UEFI can describe.
 *
 * Concepts: the memory is only ever written, since reading a device's is slow. What does not fit is
 * cut. A pixel has one to four bytes, as many as its masks need.
 * Locking: none; one user at a time. */
#ifndef CORE_CANVAS_H
#define CORE_CANVAS_H

#include "core/boot_info.h"

/* Where a colour's bits are in a pixel; bits 0: it has none. */
struct canvas_channel {
    uint8_t shift;
    uint8_t bits;
};

struct canvas {
    volatile uint8_t *pixels;
    uint32_t width;
    uint32_t height;
    uint64_t pitch_bytes;
    uint8_t pixel_bytes;
    struct canvas_channel red, green, blue;
};

/* False when the framebuffer is none that can be drawn on: no linear memory, senseless figures or masks.
 * The height is cut to what the memory has room for. `pixels` may be NULL, to see what would come of it. */
bool canvas_init(struct canvas *canvas, const struct boot_framebuffer *framebuffer,
                 volatile void *pixels);
/* The pixel that comes nearest to a colour, 0xRRGGBB. */
uint32_t canvas_pixel(const struct canvas *canvas, uint32_t colour);
void canvas_fill(const struct canvas *canvas, uint32_t x, uint32_t y, uint32_t width,
                 uint32_t height, uint32_t pixel);

struct canvas_glyph {
    char character; /* printable ASCII, else a blank */
    unsigned scale; /* each dot of the font becomes scale x scale pixels */
    uint32_t foreground;
    uint32_t background; /* pixels */
};
/* Draws one character of FONT_WIDTH x FONT_HEIGHT dots. */
void canvas_draw(const struct canvas *canvas, uint32_t x, uint32_t y,
                 const struct canvas_glyph *glyph);

#endif
