/* The screen: pixels of every layout, text that can be read back from the pixels, what a run shows. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/canvas.h"
#include "core/display.h"
#include "core/font.h"
#include "core/log.h"
#include "core/machine.h"
#include "core/panic.h"
#include "core/report/report.h"
#include "core/screen.h"
#include "machine_sim.h"

/* Around the framebuffer, to see whether anything is written that is not to be. */
#define FENCE_BYTES 4096
#define FENCE_BYTE 0x5a

static uint8_t *memory;
static struct boot_framebuffer framebuffer;

static unsigned pixel_bytes(void)
{
    struct canvas canvas;
    assert_true(canvas_init(&canvas, &framebuffer, NULL));
    return canvas.pixel_bytes;
}

/* Makes the framebuffer, filled with the fence's byte. */
static void *make(struct boot_framebuffer wanted)
{
    framebuffer = wanted;
    free(memory);
    memory = malloc(wanted.size_bytes + 2 * FENCE_BYTES);
    memset(memory, FENCE_BYTE, wanted.size_bytes + 2 * FENCE_BYTES);
    return memory + FENCE_BYTES;
}

static void assert_fences(void)
{
    for (size_t i = 0; i < FENCE_BYTES; i++) {
        assert_int_equal(memory[i], FENCE_BYTE);
        assert_int_equal(memory[FENCE_BYTES + framebuffer.size_bytes + i], FENCE_BYTE);
    }
}

static uint32_t pixel_at(uint32_t x, uint32_t y)
{
    unsigned bytes = pixel_bytes();
    const uint8_t *at =
        memory + FENCE_BYTES + ((size_t)y * framebuffer.pixels_per_line + x) * bytes;
    uint32_t pixel = 0;
    for (unsigned i = 0; i < bytes; i++)
        pixel |= (uint32_t)at[i] << 8 * i;
    return pixel;
}

static struct boot_framebuffer simple(uint32_t width, uint32_t height, uint32_t pixels_per_line)
{
    return (struct boot_framebuffer){
        .size_bytes = (uint64_t)pixels_per_line * height * 4,
        .width = width,
        .height = height,
        .pixels_per_line = pixels_per_line,
        .format = PIXEL_BGRX,
    };
}

/* --- canvas ----------------------------------------------------------------------------------------- */

struct layout {
    uint32_t format;
    uint32_t red, green, blue, reserved;
    unsigned bytes;
    uint32_t colour, pixel;
};

static const struct layout layouts[] = {
    {PIXEL_RGBX, 0, 0, 0, 0, 4, 0x112233, 0x332211},
    {PIXEL_BGRX, 0, 0, 0, 0, 4, 0x112233, 0x112233},
    {PIXEL_BITMASK, 0xff00, 0xff0000, 0xff000000, 0xff, 4, 0x112233, 0x33221100},
    {PIXEL_BITMASK, 0x3ff00000, 0xffc00, 0x3ff, 0xc0000000, 4, 0xffffff, 0x3fffffff},
    {PIXEL_BITMASK, 0xff0000, 0xff00, 0xff, 0, 3, 0x112233, 0x112233},
    {PIXEL_BITMASK, 0xf800, 0x07e0, 0x1f, 0, 2, 0xff8040, 0xfc08},
    {PIXEL_BITMASK, 0xe0, 0x1c, 0x03, 0, 1, 0xff0000, 0xe0},
    {PIXEL_BITMASK, 0, 0xff, 0, 0, 1, 0x112233, 0x22},
};

static void test_every_layout_gets_its_colours(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        const struct layout *layout = &layouts[i];
        struct boot_framebuffer wanted = simple(20, 10, 27);
        wanted.format = layout->format;
        wanted.red_mask = layout->red;
        wanted.green_mask = layout->green;
        wanted.blue_mask = layout->blue;
        wanted.reserved_mask = layout->reserved;
        wanted.size_bytes = 27 * 10 * layout->bytes;
        struct canvas canvas;
        assert_true(canvas_init(&canvas, &wanted, make(wanted)));
        assert_int_equal(canvas.pixel_bytes, layout->bytes);
        assert_int_equal(canvas_pixel(&canvas, layout->colour), layout->pixel);
        canvas_fill(&canvas, 3, 2, 100, 4, layout->pixel);
        uint32_t untouched = pixel_at(2, 2);
        for (uint32_t y = 0; y < 10; y++) {
            for (uint32_t x = 0; x < 27; x++) {
                bool inside = x >= 3 && x < 20 && y >= 2 && y < 6;
                assert_int_equal(pixel_at(x, y), inside ? layout->pixel : untouched);
            }
        }
        assert_fences();
    }
}

static void test_what_cannot_be_drawn_on_is_refused(void **state)
{
    (void)state;
    struct canvas canvas;
    struct boot_framebuffer bad[8];
    for (size_t i = 0; i < 8; i++)
        bad[i] = simple(640, 480, 640);
    bad[0].format = PIXEL_NONE;
    bad[1].format = PIXEL_BLT_ONLY;
    bad[2].format = 99;
    bad[3].pixels_per_line = 0;
    bad[4].pixels_per_line = 639;
    bad[5].size_bytes = 640 * 4 - 1;
    bad[6].format = PIXEL_BITMASK; /* no masks */
    bad[7].format = PIXEL_BITMASK;
    bad[7].red_mask = 0xf0f0; /* a hole */
    for (size_t i = 0; i < 8; i++)
        assert_false(canvas_init(&canvas, &bad[i], NULL));
}

static void test_height_is_cut_to_the_memory(void **state)
{
    (void)state;
    struct canvas canvas;
    struct boot_framebuffer wanted = simple(64, 48, 64);
    wanted.size_bytes = 64 * 40 * 4 + 17;
    assert_true(canvas_init(&canvas, &wanted, make(wanted)));
    assert_int_equal(canvas.height, 40);
    canvas_fill(&canvas, 0, 0, UINT32_MAX, UINT32_MAX, 1);
    canvas_fill(&canvas, 64, 0, 1, 1, 1);
    canvas_fill(&canvas, 0, 40, 1, 1, 1);
    assert_int_equal(pixel_at(63, 39), 1);
    assert_fences();
}

/* --- text --------------------------------------------------------------------------------------------- */

/* The character that the pixels of a cell show; 0: none. */
static char character_at(unsigned row, unsigned column, unsigned scale)
{
    unsigned columns = framebuffer.width / (FONT_WIDTH * scale);
    unsigned rows = framebuffer.height / (FONT_HEIGHT * scale);
    uint32_t left = (framebuffer.width - columns * FONT_WIDTH * scale) / 2;
    uint32_t top = (framebuffer.height - rows * FONT_HEIGHT * scale) / 2;
    uint32_t x = left + column * FONT_WIDTH * scale;
    uint32_t y = top + row * FONT_HEIGHT * scale;
    for (int code = FONT_FIRST; code <= FONT_LAST; code++) {
        uint32_t background = pixel_at(x, y + FONT_HEIGHT * scale - 1);
        bool same = true;
        for (uint32_t i = 0; i < FONT_WIDTH * scale && same; i++) {
            for (uint32_t j = 0; j < FONT_HEIGHT * scale && same; j++) {
                bool dot = font_rows[code - FONT_FIRST][j / scale] >> (7 - i / scale) & 1;
                same = (pixel_at(x + i, y + j) != background) == dot;
            }
        }
        if (same)
            return (char)code;
    }
    return 0;
}

/* A row of text as the pixels show it, without the blanks at its end. */
static const char *row_text(unsigned row, unsigned scale)
{
    static char text[SCREEN_COLUMNS_MAX + 1];
    unsigned columns = framebuffer.width / (FONT_WIDTH * scale);
    for (unsigned column = 0; column < columns; column++)
        text[column] = character_at(row, column, scale);
    while (columns > 0 && text[columns - 1] == ' ')
        columns--;
    text[columns] = '\0';
    return text;
}

/* All rows, one a line. */
static const char *all_text(unsigned scale)
{
    static char text[65536];
    text[0] = '\0';
    for (unsigned row = 0; row < framebuffer.height / (FONT_HEIGHT * scale); row++) {
        strcat(text, row_text(row, scale));
        strcat(text, "\n");
    }
    return text;
}

static void test_scale_follows_the_size(void **state)
{
    (void)state;
    static const struct {
        uint32_t width, height;
        unsigned scale, columns, rows;
    } sizes[] = {
        {640, 480, 1, 80, 30},  {800, 600, 1, 100, 37},   {1024, 768, 1, 128, 48},
        {1280, 800, 2, 80, 25}, {1920, 1080, 2, 120, 33}, {320, 200, 1, 40, 12},
    };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct boot_framebuffer wanted =
            simple(sizes[i].width, sizes[i].height, sizes[i].width + 8);
        assert_true(screen_open(&wanted, make(wanted)));
        assert_int_equal(screen_columns(), sizes[i].columns);
        assert_int_equal(screen_rows(), sizes[i].rows);
        screen_put(3, 5, INK_BRIGHT, TEXT("Hello, {World}~ #!"));
        assert_string_equal(row_text(3, sizes[i].scale), "     Hello, {World}~ #!");
        assert_string_equal(row_text(2, sizes[i].scale), "");
        assert_fences();
    }
}

static void test_scrolls_and_cuts(void **state)
{
    (void)state;
    struct boot_framebuffer wanted = simple(160, 96, 160);
    assert_true(screen_open(&wanted, make(wanted)));
    for (unsigned row = 0; row < 6; row++) {
        char text[] = "row 0 and much more than fits";
        text[4] = (char)('0' + row);
        screen_put(row, 0, INK_NORMAL, text_of(text));
    }
    screen_put(6, 0, INK_NORMAL, TEXT("below"));
    assert_string_equal(row_text(5, 1), "row 5 and much more");
    screen_scroll(1, 5, 2);
    assert_string_equal(all_text(1), "row 0 and much more\nrow 3 and much more\n"
                                     "row 4 and much more\n\n\nrow 5 and much more\n");
    screen_blank(0, 5, INK_NORMAL);
    assert_string_equal(row_text(0, 1), "row 0");
    assert_fences();
}

static void test_a_hidden_screen_is_left_alone(void **state)
{
    (void)state;
    struct boot_framebuffer wanted = simple(640, 400, 640);
    assert_true(screen_open(&wanted, make(wanted)));
    screen_hide();
    memset(memory + FENCE_BYTES, 0x77, wanted.size_bytes); /* somebody else draws */
    screen_put(1, 1, INK_NORMAL, TEXT("unseen"));
    for (uint64_t i = 0; i < wanted.size_bytes; i++)
        assert_int_equal(memory[FENCE_BYTES + i], 0x77);
    screen_show();
    assert_string_equal(row_text(1, 1), " unseen");
    assert_string_equal(row_text(0, 1), "");
}

/* --- a run --------------------------------------------------------------------------------------------- */

static char said[65536];

/* What the screen shows after `calls` have run in a child, which prints it. */
static const char *shown_by(void (*calls)(void *), void *argument)
{
    static char output[300000];
    struct boot_framebuffer wanted = simple(640, 480, 640);
    (void)make(wanted);
    assert_int_equal(sim_in_child(calls, argument, output, sizeof(output)), 0);
    char *mark = strstr(output, "SCREEN\n");
    assert_non_null(mark);
    snprintf(said, sizeof(said), "%s", mark + 7);
    return said;
}

static void show(void)
{
    printf("SCREEN\n%s", all_text(1));
    fflush(stdout);
}

static void scenario(struct text name, enum verdict verdict, const char *reason)
{
    report_scenario_begin(name, 1);
    report_combination_begin(TEXT("pages=4"));
    if (verdict == VERDICT_FAIL)
        report_diagnostic("%s", "x.scn:3: it went wrong\nand how");
    report_combination_end(verdict, reason);
    report_scenario_end();
}

static void run_three(void *argument)
{
    bool to_the_end = argument != NULL;
    display_open(&framebuffer, memory + FENCE_BYTES);
    log_info("while it starts");
    log_error("a complaint");
    report_run_begin(to_the_end ? 3 : 4);
    log_progress("not for the screen");
    scenario(TEXT("first"), VERDICT_PASS, NULL);
    scenario(TEXT("second"), VERDICT_FAIL, NULL);
    scenario(TEXT("third"), VERDICT_SKIP, "needs cpus>=8");
    if (to_the_end) {
        (void)report_run_end();
    } else {
        report_scenario_begin(TEXT("fourth"), 5);
        report_combination_begin(TEXT("pages=16 mode=eager"));
    }
    show();
}

static void test_progress(void **state)
{
    (void)state;
    const char *screen = shown_by(run_three, NULL);
    static const char *const wanted[] = {
        " PageLab",
        "] while it starts\n",
        "] a complaint\n",
        "\n ok     first",
        "\n x.scn:3: it went wrong\n and how\n not ok second",
        "\n skip   third",
        "needs cpus>=8\n",
        "[###############.....] 3 of 4  1 passed  1 failed  1 skipped\n",
        "\n fourth  1 of 5  pages=16 mode=eager\n"};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (strstr(screen, wanted[i]) == NULL)
            fail_msg("'%s' is not on the screen:\n%s", wanted[i], screen);
    }
    assert_null(strstr(screen, "not for the screen"));
}

static void test_summary(void **state)
{
    (void)state;
    static int yes;
    const char *screen = shown_by(run_three, &yes);
    static const char *const wanted[] = {
        " A scenario failed.  (status 1)\n",
        "\n not ok second",
        "\n skip   third",
        "needs cpus>=8\n",
        "\n ok     first",
        "[####################] 3 of 3  1 passed  1 failed  1 skipped\n"};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (strstr(screen, wanted[i]) == NULL)
            fail_msg("'%s' is not on the screen:\n%s", wanted[i], screen);
    }
    assert_null(strstr(screen, "while it starts"));
}

static void run_many(void *argument)
{
    (void)argument;
    static char names[100][16];
    display_open(&framebuffer, memory + FENCE_BYTES);
    report_run_begin(100);
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof(names[i]), "s%02d", i);
        scenario(text_of(names[i]), VERDICT_PASS, NULL);
    }
    (void)report_run_end();
    show();
}

static void test_a_long_summary_says_what_it_leaves_out(void **state)
{
    (void)state;
    const char *screen = shown_by(run_many, NULL);
    assert_non_null(strstr(screen, " s00 "));
    assert_non_null(strstr(screen, " 100 of 100 "));
    char *rest = strstr(screen, "and ");
    assert_non_null(rest);
    int left_out = atoi(rest + 4);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof(name), " s%02d ", i);
        assert_int_equal(strstr(screen, name) != NULL, i < 100 - left_out);
    }
}

static void show_at_the_end(void)
{
    show();
    _Exit(0);
}

static void run_panic(void *argument)
{
    (void)argument;
    display_open(&framebuffer, memory + FENCE_BYTES);
    report_run_begin(2);
    scenario(TEXT("first"), VERDICT_PASS, NULL);
    report_scenario_begin(TEXT("second"), 1);
    screen_hide(); /* a scenario has the screen */
    panic_finish_report = show_at_the_end;
    panic("the %s has gone", "glue");
}

static void test_a_panic_takes_the_screen(void **state)
{
    (void)state;
    const char *screen = shown_by(run_panic, NULL);
    assert_non_null(strstr(screen, "  PANIC"));
    assert_non_null(strstr(screen, "\n PANIC on CPU 0: the glue has gone\n at tests/host"));
    assert_non_null(strstr(screen, "locks held"));
    assert_null(strstr(screen, "first"));
}

static void run_without(void *argument)
{
    (void)argument;
    struct boot_framebuffer none = {.format = PIXEL_NONE};
    assert_false(display_open(&none, NULL));
    report_run_begin(1);
    scenario(TEXT("first"), VERDICT_PASS, NULL);
    display_facts("facts");
    (void)report_run_end();
    display_wait();
    printf("SCREEN\nstill here\n");
}

static void test_without_a_screen_nothing_happens(void **state)
{
    (void)state;
    assert_string_equal(shown_by(run_without, NULL), "still here\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_layout_gets_its_colours),
        cmocka_unit_test(test_what_cannot_be_drawn_on_is_refused),
        cmocka_unit_test(test_height_is_cut_to_the_memory),
        cmocka_unit_test(test_scale_follows_the_size),
        cmocka_unit_test(test_scrolls_and_cuts),
        cmocka_unit_test(test_a_hidden_screen_is_left_alone),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_a_long_summary_says_what_it_leaves_out),
        cmocka_unit_test(test_a_panic_takes_the_screen),
        cmocka_unit_test(test_without_a_screen_nothing_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
