/* Pixels. See canvas.h. */
#include "core/canvas.h"

#include "core/font.h"

#define COLOUR_BITS 8

static struct canvas_channel channel_of(uint32_t mask)
{
    if (mask == 0)
        return (struct canvas_channel){0, 0};
    return (struct canvas_channel){(uint8_t)__builtin_ctz(mask),
                                   (uint8_t)(32 - __builtin_clz(mask) - __builtin_ctz(mask))};
}

static bool is_contiguous(uint32_t mask)
{
    return mask == 0 || ((mask >> __builtin_ctz(mask)) & ((mask >> __builtin_ctz(mask)) + 1)) == 0;
}

/* Masks that overlap, have holes or are all empty describe no colours. */
static bool set_masks(struct canvas *canvas, const struct boot_framebuffer *framebuffer)
{
    uint32_t red = framebuffer->red_mask;
    uint32_t green = framebuffer->green_mask;
    uint32_t blue = framebuffer->blue_mask;
    uint32_t all = red | green | blue | framebuffer->reserved_mask;
    if ((red | green | blue) == 0 || (red & green) != 0 || (red & blue) != 0 ||
        (green & blue) != 0 || !is_contiguous(red) || !is_contiguous(green) || !is_contiguous(blue))
        return false;
    canvas->red = channel_of(red);
    canvas->green = channel_of(green);
    canvas->blue = channel_of(blue);
    canvas->pixel_bytes = (uint8_t)((39 - __builtin_clz(all)) / 8);
    return true;
}

static bool set_format(struct canvas *canvas, const struct boot_framebuffer *framebuffer)
{
    const struct canvas_channel low = {0, 8};
    const struct canvas_channel middle = {8, 8};
    const struct canvas_channel high = {16, 8};
    canvas->pixel_bytes = 4;
    canvas->green = middle;
    switch ((enum boot_pixel_format)framebuffer->format) {
    case PIXEL_RGBX:
        canvas->red = low;
        canvas->blue = high;
        return true;
    case PIXEL_BGRX:
        canvas->red = high;
        canvas->blue = low;
        return true;
    case PIXEL_BITMASK:
        return set_masks(canvas, framebuffer);
    case PIXEL_NONE:
    case PIXEL_BLT_ONLY:
        break;
    }
    return false;
}

bool canvas_init(struct canvas *canvas, const struct boot_framebuffer *framebuffer,
                 volatile void *pixels)
{
    *canvas = (struct canvas){.pixels = pixels, .width = framebuffer->width};
    if (!set_format(canvas, framebuffer))
        return false;
    canvas->pitch_bytes = (uint64_t)framebuffer->pixels_per_line * canvas->pixel_bytes;
    if (canvas->pitch_bytes == 0 || framebuffer->width > framebuffer->pixels_per_line)
        return false;
    uint64_t lines = framebuffer->size_bytes / canvas->pitch_bytes;
    canvas->height = lines < framebuffer->height ? (uint32_t)lines : framebuffer->height;
    return canvas->width != 0 && canvas->height != 0;
}

/* The upper bits of `value` (of COLOUR_BITS); a wider channel repeats them, so that white is white. */
static uint32_t channel_bits(struct canvas_channel channel, uint32_t value)
{
    uint32_t bits = value;
    unsigned width = COLOUR_BITS;
    while (width < channel.bits) {
        bits = bits << COLOUR_BITS | value;
        width += COLOUR_BITS;
    }
    return bits >> (width - channel.bits) << channel.shift;
}

uint32_t canvas_pixel(const struct canvas *canvas, uint32_t colour)
{
    return channel_bits(canvas->red, colour >> 16 & 0xff) |
           channel_bits(canvas->green, colour >> 8 & 0xff) |
           channel_bits(canvas->blue, colour & 0xff);
}

static void fill_row(const struct canvas *canvas, volatile uint8_t *at, uint32_t count,
                     uint32_t pixel)
{
    if (canvas->pixel_bytes == 4) {
        volatile uint32_t *words = (volatile uint32_t *)at;
        for (uint32_t i = 0; i < count; i++)
            words[i] = pixel;
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        for (unsigned byte = 0; byte < canvas->pixel_bytes; byte++)
            *at++ = (uint8_t)(pixel >> 8 * byte);
    }
}

void canvas_fill(const struct canvas *canvas, uint32_t x, uint32_t y, uint32_t width,
                 uint32_t height, uint32_t pixel)
{
    if (x >= canvas->width || y >= canvas->height)
        return;
    width = width < canvas->width - x ? width : canvas->width - x;
    height = height < canvas->height - y ? height : canvas->height - y;
    volatile uint8_t *row =
        canvas->pixels + y * canvas->pitch_bytes + (uint64_t)x * canvas->pixel_bytes;
    for (uint32_t i = 0; i < height; i++, row += canvas->pitch_bytes)
        fill_row(canvas, row, width, pixel);
}

/* Neighbouring dots of one colour are one rectangle. */
static void draw_row(const struct canvas *canvas, uint32_t x, uint32_t y, uint8_t dots,
                     const struct canvas_glyph *glyph)
{
    for (unsigned first = 0; first < FONT_WIDTH;) {
        bool set = (dots >> (FONT_WIDTH - 1 - first) & 1) != 0;
        unsigned end = first + 1;
        while (end < FONT_WIDTH && (dots >> (FONT_WIDTH - 1 - end) & 1) == set)
            end++;
        canvas_fill(canvas, x + first * glyph->scale, y, (end - first) * glyph->scale, glyph->scale,
                    set ? glyph->foreground : glyph->background);
        first = end;
    }
}

void canvas_draw(const struct canvas *canvas, uint32_t x, uint32_t y,
                 const struct canvas_glyph *glyph)
{
    char character = glyph->character;
    if (character < FONT_FIRST || character > FONT_LAST)
        character = ' ';
    const uint8_t *rows = font_rows[character - FONT_FIRST];
    for (unsigned row = 0; row < FONT_HEIGHT; row++)
        draw_row(canvas, x, y + row * glyph->scale, rows[row], glyph);
}
