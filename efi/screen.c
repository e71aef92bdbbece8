/* Full-screen text on the firmware's console. */
#include "efi/screen.h"

#include "core/fmt.h"
#include "core/text.h"
#include "efi/firmware.h"

#define COLUMNS_DEFAULT 80
#define ROWS_DEFAULT 25

static const uint8_t attributes[] = {
    [STYLE_NORMAL] = EFI_LIGHTGRAY,
    [STYLE_DIM] = EFI_CYAN,
    [STYLE_BRIGHT] = EFI_WHITE,
    [STYLE_BAR] = EFI_WHITE | EFI_BACKGROUND_BLUE,
    [STYLE_CURRENT] = EFI_BLACK | EFI_BACKGROUND_LIGHTGRAY,
    [STYLE_ERROR] = EFI_LIGHTRED,
    [STYLE_ERROR_CURRENT] = EFI_RED | EFI_BACKGROUND_LIGHTGRAY,
    [STYLE_NOTICE] = EFI_YELLOW,
};

static void fill(struct screen_cell cells[SCREEN_ROWS_MAX][SCREEN_COLUMNS_MAX])
{
    for (unsigned row = 0; row < SCREEN_ROWS_MAX; row++) {
        for (unsigned column = 0; column < SCREEN_COLUMNS_MAX; column++)
            cells[row][column] = (struct screen_cell){' ', STYLE_NORMAL};
    }
}

static void clear_console(bool cursor)
{
    SIMPLE_TEXT_OUTPUT_INTERFACE *console = firmware.system->ConOut;
    if (console == NULL)
        return;
    (void)console->SetAttribute(console, attributes[STYLE_NORMAL]);
    (void)console->ClearScreen(console);
    (void)console->EnableCursor(console, cursor);
}

/* Mode 0 is 80x25 on every console. A larger mode of a screen would be beyond a serial terminal that
 * shows the same text, whose size nobody knows. */
void screen_open(struct screen *screen)
{
    SIMPLE_TEXT_OUTPUT_INTERFACE *console = firmware.system->ConOut;
    UINTN columns = COLUMNS_DEFAULT;
    UINTN rows = ROWS_DEFAULT;
    if (console != NULL && !EFI_ERROR(console->SetMode(console, 0)))
        (void)console->QueryMode(console, 0, &columns, &rows);
    columns = columns > 1 && columns < SCREEN_COLUMNS_MAX ? columns : SCREEN_COLUMNS_MAX;
    rows = rows > 0 && rows < SCREEN_ROWS_MAX ? rows : SCREEN_ROWS_MAX;
    /* The last column stays empty: a console that wraps and one that waits with it for the next
     * character disagree on where the cursor is then, and the last row would scroll. */
    screen->columns = (unsigned)columns - 1;
    screen->rows = (unsigned)rows;
    fill(screen->wanted);
    fill(screen->shown);
    clear_console(false);
}

void screen_close(struct screen *screen)
{
    screen->rows = 0;
    clear_console(true);
}

void screen_clear(struct screen *screen)
{
    fill(screen->wanted);
}

unsigned screen_print(struct screen *screen, unsigned row, unsigned column, enum screen_style style,
                      const char *format, ...)
{
    char text[SCREEN_COLUMNS_MAX + 1];
    va_list arguments;
    va_start(arguments, format);
    fmt_vprint(text, sizeof(text), format, arguments);
    va_end(arguments);
    for (const char *p = text; *p != '\0' && row < screen->rows && column < screen->columns; p++) {
        char character = *p >= ' ' && *p < 0x7f ? *p : ' ';
        screen->wanted[row][column++] = (struct screen_cell){character, (uint8_t)style};
    }
    return column;
}

void screen_paint(struct screen *screen, unsigned row, unsigned column, unsigned count,
                  enum screen_style style)
{
    for (unsigned i = 0; i < count && row < screen->rows && column + i < screen->columns; i++)
        screen->wanted[row][column + i].style = (uint8_t)style;
}

/* Sends cells [column, end) of a row, all of the style of the first. */
static void send(struct screen *screen, unsigned row, unsigned column, unsigned end)
{
    SIMPLE_TEXT_OUTPUT_INTERFACE *console = firmware.system->ConOut;
    CHAR16 text[SCREEN_COLUMNS_MAX + 1];
    for (unsigned i = column; i < end; i++)
        text[i - column] = (CHAR16)screen->wanted[row][i].character;
    text[end - column] = 0;
    (void)console->SetAttribute(console, attributes[screen->wanted[row][column].style]);
    (void)console->SetCursorPosition(console, column, row);
    (void)console->OutputString(console, text);
    memcpy(&screen->shown[row][column], &screen->wanted[row][column],
           (end - column) * sizeof(struct screen_cell));
}

static bool is_blank(const struct screen_cell *cell)
{
    return cell->character == ' ' && cell->style == STYLE_NORMAL;
}

/* A row that changed goes out whole, so that whoever reads the line (a person with a slow terminal, a
 * screen reader, a test) gets words and not letters; blanks at its end only if they cover something. */
static void send_row(struct screen *screen, unsigned row)
{
    const struct screen_cell *wanted = screen->wanted[row];
    const struct screen_cell *shown = screen->shown[row];
    if (memcmp(wanted, shown, sizeof(screen->wanted[row])) == 0)
        return;
    unsigned end = screen->columns;
    while (end > 0 && is_blank(&wanted[end - 1]) && is_blank(&shown[end - 1]))
        end--;
    for (unsigned column = 0; column < end;) {
        unsigned next = column + 1;
        while (next < end && wanted[next].style == wanted[column].style)
            next++;
        send(screen, row, column, next);
        column = next;
    }
}

void screen_show(struct screen *screen)
{
    if (firmware.system->ConOut == NULL)
        return;
    for (unsigned row = 0; row < screen->rows; row++)
        send_row(screen, row);
}
