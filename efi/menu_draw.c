/* What the menu looks like.
 *
 *   title bar: version, how many are ticked
 *   heads of the columns, or which tag is shown
 *   list of scenarios: tick, name, tags, description or first error
 *   rule: which part of the list is shown
 *   details of the current scenario
 *   (details, when asked for, and help take the place of all this)
 *   rule
 *   boot parameters
 *   error or note: two lines
 *   what Enter and the clock will do
 *   keys */
#include "efi/menu_draw.h"

#include "core/fmt.h"
#include "core/version.h"
#include "efi/notes.h"

#define TITLE_ROWS 2
#define BOTTOM_ROWS 5
#define RULE_ROWS 2
#define DETAIL_ROWS 6
#define DETAIL_ROWS_SMALL 2
#define SMALL_ROWS 22
#define NAME_COLUMN 6
#define NAME_WIDTH_MAX 18
#define TAGS_WIDTH_MAX 21
#define LINE_MAX 300

static unsigned detail_rows(const struct screen *screen)
{
    return screen->rows >= SMALL_ROWS ? DETAIL_ROWS : DETAIL_ROWS_SMALL;
}

unsigned menu_draw_list_rows(const struct screen *screen)
{
    unsigned used = TITLE_ROWS + RULE_ROWS + BOTTOM_ROWS + detail_rows(screen);
    return screen->rows > used ? screen->rows - used : 1;
}

/* Rows counted from the bottom. */
static unsigned row_up(const struct screen *screen, unsigned rows)
{
    return screen->rows > rows ? screen->rows - rows : 0;
}

static void draw_title(struct menu *menu)
{
    struct screen *screen = &menu->screen;
    char right[48];
    size_t length = fmt_print(right, sizeof(right), "%zu of %zu ticked ",
                              choice_ticked_count(menu->choice), menu->choice->library->count);
    screen_print(screen, 0, 0, STYLE_BAR, " PageLab %s   a laboratory for virtual memory",
                 version_text);
    screen_print(screen, 0, screen->columns - (unsigned)length, STYLE_BAR, "%s", right);
    screen_paint(screen, 0, 0, screen->columns, STYLE_BAR);
}

static size_t at_least(size_t value, size_t limit)
{
    return value > limit ? value : limit;
}

static size_t join_tags(const struct scenario *scenario, char *buffer, size_t size)
{
    size_t length = 0;
    buffer[0] = '\0';
    for (size_t i = 0; i < scenario->tag_count && length < size; i++)
        length += fmt_print(buffer + length, size - length, "%s%.*s", i > 0 ? " " : "",
                            TEXT_ARGS(scenario->tags[i]));
    return length < size ? length : size - 1;
}

/* Where columns begin: as wide as the longest entry, within reason. */
struct columns {
    unsigned tags;
    unsigned description;
};

static struct columns find_columns(const struct library *library)
{
    size_t name_width = 0;
    size_t tags_width = 0;
    for (size_t i = 0; i < library->count; i++) {
        char tags[LINE_MAX];
        size_t width = join_tags(&library->scenarios[i], tags, sizeof(tags));
        name_width = at_least(name_width, library->scenarios[i].name.size);
        tags_width = at_least(tags_width, width);
    }
    name_width = name_width < NAME_WIDTH_MAX ? name_width : NAME_WIDTH_MAX;
    tags_width = tags_width < TAGS_WIDTH_MAX ? tags_width : TAGS_WIDTH_MAX;
    unsigned tags = NAME_COLUMN + (unsigned)name_width + 2;
    return (struct columns){tags, tags + (unsigned)tags_width + 2};
}

/* Prints what fits before column `end`; what does not ends in dots. */
static void draw_cut(struct menu *menu, unsigned row, unsigned column, unsigned end,
                     enum screen_style style, struct text text)
{
    if (column + 2 > end)
        return;
    bool cut = text.size > end - column;
    text.size = cut ? end - column - 2 : text.size;
    screen_print(&menu->screen, row, column, style, "%.*s%s", TEXT_ARGS(text), cut ? ".." : "");
}

static void draw_broken_line(struct menu *menu, unsigned row, unsigned column,
                             const struct scenario *scenario)
{
    const struct script_error *error = &scenario->errors[0];
    char text[LINE_MAX];
    fmt_print(text, sizeof(text), "BROKEN %s:%u:%u: %s", scenario->file_name, error->line,
              error->column, error->message);
    draw_cut(menu, row, column, menu->screen.columns,
             scenario == menu_current(menu) ? STYLE_ERROR_CURRENT : STYLE_ERROR, text_of(text));
}

static void draw_good_line(struct menu *menu, unsigned row, const struct columns *columns,
                           const struct scenario *scenario)
{
    bool is_current = scenario == menu_current(menu);
    char tags[LINE_MAX];
    (void)join_tags(scenario, tags, sizeof(tags));
    draw_cut(menu, row, columns->tags, columns->description - 1,
             is_current ? STYLE_CURRENT : STYLE_DIM, text_of(tags));
    draw_cut(menu, row, columns->description, menu->screen.columns,
             is_current ? STYLE_CURRENT : STYLE_NORMAL, scenario->description);
}

static void draw_scenario(struct menu *menu, unsigned row, const struct columns *columns,
                          const struct scenario *scenario)
{
    struct screen *screen = &menu->screen;
    bool is_current = scenario == menu_current(menu);
    enum screen_style style = is_current ? STYLE_CURRENT : STYLE_BRIGHT;
    if (is_current)
        screen_paint(screen, row, 0, screen->columns, STYLE_CURRENT);
    screen_print(screen, row, 0, style, "%c [%c]", is_current ? '>' : ' ',
                 scenario->selected ? 'x' : ' ');
    draw_cut(menu, row, NAME_COLUMN, columns->tags - 1, style, scenario->name);
    if (scenario->error_count > 0)
        draw_broken_line(menu, row, columns->tags, scenario);
    else
        draw_good_line(menu, row, columns, scenario);
}

static void draw_heads(struct menu *menu, const struct columns *columns)
{
    struct screen *screen = &menu->screen;
    unsigned row = TITLE_ROWS - 1;
    if (menu->tag.size > 0) {
        unsigned column =
            screen_print(screen, row, NAME_COLUMN, STYLE_NOTICE, "tag %.*s: %zu of %zu",
                         TEXT_ARGS(menu->tag), menu->listed_count, menu->choice->library->count);
        screen_print(screen, row, column, STYLE_DIM, "; T goes on to the next, Esc shows all");
        return;
    }
    screen_print(screen, row, NAME_COLUMN, STYLE_DIM, "scenario");
    screen_print(screen, row, columns->tags, STYLE_DIM, "tags");
    screen_print(screen, row, columns->description, STYLE_DIM, "what it shows");
}

static void draw_rule(struct menu *menu, unsigned row)
{
    for (unsigned column = 0; column < menu->screen.columns; column++)
        screen_print(&menu->screen, row, column, STYLE_DIM, "-");
}

static void draw_list(struct menu *menu)
{
    unsigned rows = menu_draw_list_rows(&menu->screen);
    size_t count = menu->listed_count;
    size_t end = menu->first_shown + rows < count ? menu->first_shown + rows : count;
    struct columns columns = find_columns(menu->choice->library);
    draw_heads(menu, &columns);
    for (size_t i = menu->first_shown; i < end; i++)
        draw_scenario(menu, TITLE_ROWS + (unsigned)(i - menu->first_shown), &columns,
                      &menu->choice->library->scenarios[menu->listed[i]]);
    if (count == 0)
        screen_print(&menu->screen, TITLE_ROWS, 2, STYLE_NOTICE, "There are no scenarios.");
    draw_rule(menu, TITLE_ROWS + rows);
    if (end - menu->first_shown < count)
        screen_print(&menu->screen, TITLE_ROWS + rows, 2, STYLE_DIM, " %zu to %zu of %zu ",
                     menu->first_shown + 1, end, count);
}

/* Prints text over several rows, broken at blanks; returns the row behind it. */
static unsigned draw_wrapped(struct menu *menu, unsigned row, unsigned end, enum screen_style style,
                             struct text text)
{
    size_t width = menu->screen.columns - 4;
    for (; text.size > 0 && row < end; row++) {
        size_t length = text.size;
        if (length > width) {
            length = width;
            while (length > 0 && text.data[length] != ' ')
                length--;
            length = length > 0 ? length : width;
        }
        screen_print(&menu->screen, row, 2, style, "%.*s", (int)length, text.data);
        text = text_trim((struct text){text.data + length, text.size - length});
    }
    return row;
}

static const struct boot_override *find_override(const struct menu *menu,
                                                 const struct scenario *scenario,
                                                 const struct script_param *param)
{
    const struct boot_params *params = &menu->choice->current->params;
    for (size_t i = 0; i < params->override_count; i++) {
        if (text_equal(params->overrides[i].scenario, scenario->name) &&
            text_equal(params->overrides[i].param, param->name))
            return &params->overrides[i];
    }
    return NULL;
}

static void draw_param(struct menu *menu, unsigned row, const struct scenario *scenario,
                       const struct script_param *param)
{
    char values[LINE_MAX];
    size_t length = 0;
    values[0] = '\0';
    for (size_t i = 0; i < param->value_count && length < sizeof(values); i++)
        length += fmt_print(values + length, sizeof(values) - length, "%s%.*s", i > 0 ? " " : "",
                            TEXT_ARGS(param->values[i]));
    const struct boot_override *override = find_override(menu, scenario, param);
    unsigned column = screen_print(&menu->screen, row, 2, STYLE_BRIGHT, "%.*s.%.*s",
                                   TEXT_ARGS(scenario->name), TEXT_ARGS(param->name));
    if (override != NULL)
        column = screen_print(&menu->screen, row, column, STYLE_NOTICE, "=%.*s (else %s)",
                              TEXT_ARGS(override->values), values);
    else
        column = screen_print(&menu->screen, row, column, STYLE_NORMAL, " = %s", values);
    screen_print(&menu->screen, row, column + 2, STYLE_DIM, "%.*s", TEXT_ARGS(param->help));
}

static void draw_good_details(struct menu *menu, unsigned row, unsigned end,
                              const struct scenario *scenario)
{
    char tags[LINE_MAX];
    (void)join_tags(scenario, tags, sizeof(tags));
    row = draw_wrapped(menu, row, end, STYLE_NORMAL, scenario->description);
    const struct library_file *file = &menu->choice->library->files[menu->listed[menu->current]];
    bool built_in = file->origin == SCENARIO_BUILT_IN;
    if (row < end)
        screen_print(&menu->screen, row++, 2, STYLE_DIM, "%s; tags: %s",
                     built_in ? "built in" : "from the boot volume",
                     tags[0] != '\0' ? tags : "none");
    size_t shown = 0;
    for (; shown < scenario->param_count && row + 1 < end; shown++)
        draw_param(menu, row++, scenario, &scenario->params[shown]);
    if (shown + 1 == scenario->param_count && row < end)
        draw_param(menu, row, scenario, &scenario->params[shown]);
    else if (shown < scenario->param_count && row < end)
        screen_print(&menu->screen, row, 2, STYLE_DIM, "and %zu more parameters (D shows all)",
                     scenario->param_count - shown);
}

/* Line by line, as many as there is room for. */
static unsigned draw_lines(struct menu *menu, unsigned row, unsigned end, enum screen_style style,
                           struct text lines)
{
    for (; lines.size > 0 && row < end; row++) {
        struct text line = text_cut(&lines, '\n');
        screen_print(&menu->screen, row, 2, style, "%.*s", TEXT_ARGS(line));
    }
    return row;
}

static void draw_broken_details(struct menu *menu, unsigned row, unsigned end,
                                const struct scenario *scenario)
{
    char lines[3 * LINE_MAX];
    (void)scenario_format_error(scenario, 0, lines, sizeof(lines));
    struct text rest = text_of(lines);
    row = draw_wrapped(menu, row, end, STYLE_ERROR, text_cut(&rest, '\n'));
    row = draw_lines(menu, row, end, STYLE_NORMAL, rest);
    if (scenario->error_count > 1 && row < end)
        screen_print(&menu->screen, row++, 2, STYLE_NORMAL, "and %zu more errors",
                     scenario->error_count - 1);
    if (row < end)
        screen_print(&menu->screen, row, 2, STYLE_NORMAL,
                     "It will be reported as not ok; the other scenarios run.");
}

static void draw_help(struct menu *menu, unsigned row, unsigned end)
{
    static const char help[] =
        "Up, Down, PgUp, PgDn, Home, End (or K and J) move.\n"
        "Space ticks a scenario, A all of the list, N none; Enter runs what is ticked,\n"
        "or, when nothing is, the current one alone.\n"
        "\n"
        "T shows the scenarios of one tag, then of the next; Esc shows all again.\n"
        "D, or Right, shows all parameters of the current scenario.\n"
        "\n"
        "E edits the boot parameters: cpus=2 check=deep fork-cow.pages=256,4096\n"
        "They may also stand in \\pagelab\\pagelab.cfg or in the load options.\n"
        "In the editor Enter accepts, Esc leaves everything as it was.\n"
        "\n"
        "Results go to the serial port. With on-exit=reboot the next start writes them to\n"
        "\\pagelab\\results\\RUN.log on the boot volume. Q goes back to the firmware.";
    (void)draw_lines(menu, row, end, STYLE_NORMAL, text_of(help));
}

/* In the rows [row, end): of the current scenario. */
static void draw_details(struct menu *menu, unsigned row, unsigned end)
{
    const struct scenario *scenario = menu_current(menu);
    if (scenario == NULL)
        return;
    if (scenario->error_count > 0)
        draw_broken_details(menu, row, end, scenario);
    else
        draw_good_details(menu, row, end, scenario);
}

/* Between the title and the parameters. */
static void draw_middle(struct menu *menu)
{
    unsigned details = TITLE_ROWS + menu_draw_list_rows(&menu->screen) + 1;
    unsigned end = details + detail_rows(&menu->screen);
    const struct scenario *scenario = menu_current(menu);
    if (menu->mode == MENU_HELP) {
        draw_help(menu, TITLE_ROWS, end);
    } else if (menu->mode == MENU_DETAILS && scenario != NULL) {
        screen_print(&menu->screen, TITLE_ROWS - 1, 2, STYLE_BRIGHT, "%.*s",
                     TEXT_ARGS(scenario->name));
        draw_details(menu, TITLE_ROWS + 1, end);
    } else {
        draw_list(menu);
        draw_details(menu, details, end);
    }
    draw_rule(menu, end);
}

static void draw_parameters(struct menu *menu, unsigned row)
{
    struct screen *screen = &menu->screen;
    unsigned column = screen_print(screen, row, 0, STYLE_BRIGHT, " Parameters: ");
    struct text rest = options_text(&menu->choice->current->options);
    if (rest.size == 0)
        screen_print(screen, row, column, STYLE_DIM, "none; everything as by default");
    while (rest.size > 0) {
        struct text word = text_cut(&rest, '\n');
        column = screen_print(screen, row, column, STYLE_NORMAL, "%.*s ", TEXT_ARGS(word));
    }
    if (column == screen->columns)
        screen_print(screen, row, screen->columns - 4, STYLE_DIM, " ...");
}

/* The part of the line around the cursor. */
static void draw_editor(struct menu *menu, unsigned row)
{
    const struct line_editor *editor = &menu->editor;
    unsigned column = screen_print(&menu->screen, row, 0, STYLE_NOTICE, " Parameters> ");
    size_t width = menu->screen.columns - column - 1;
    size_t first = editor->cursor > width ? editor->cursor - width : 0;
    size_t length = editor->size - first < width ? editor->size - first : width;
    screen_print(&menu->screen, row, column, STYLE_BRIGHT, "%.*s", (int)length,
                 editor->text + first);
    screen_paint(&menu->screen, row, column + (unsigned)(editor->cursor - first), 1, STYLE_CURRENT);
}

static void draw_message(struct menu *menu, unsigned row, unsigned end)
{
    const char *error =
        menu->mode == MENU_EDITOR ? menu->editor_error.text : menu->choice->error.text;
    struct text notes = notes_text();
    if (error[0] != '\0')
        (void)draw_wrapped(menu, row, end, STYLE_ERROR, text_of(error));
    else
        (void)draw_wrapped(menu, row, end, STYLE_NOTICE, text_cut(&notes, '\n'));
}

static void draw_state(struct menu *menu, unsigned row)
{
    size_t ticked = choice_ticked_count(menu->choice);
    struct screen *screen = &menu->screen;
    if (menu->mode == MENU_EDITOR)
        screen_print(screen, row, 1, STYLE_NOTICE,
                     "Enter accepts the line, Esc drops the changes.");
    else if (menu->mode == MENU_HELP)
        screen_print(screen, row, 1, STYLE_NOTICE, "Any key goes back.");
    else if (menu->mode == MENU_DETAILS)
        screen_print(screen, row, 1, STYLE_NOTICE,
                     "Up and Down show other scenarios; any other key goes back.");
    else if (menu->choice->error.text[0] != '\0')
        screen_print(screen, row, 1, STYLE_NOTICE,
                     "Nothing runs before the parameters are corrected: press E.");
    else if (menu->seconds_left > 0)
        screen_print(screen, row, 1, STYLE_NOTICE,
                     "Runs what is ticked in %u s; any key stops the clock.", menu->seconds_left);
    else if (ticked > 0)
        screen_print(screen, row, 1, STYLE_NORMAL, "Enter runs %zu scenario%s.", ticked,
                     ticked == 1 ? "" : "s");
    else
        screen_print(screen, row, 1, STYLE_NORMAL, "Enter runs the current scenario alone.");
}

void menu_draw(struct menu *menu)
{
    struct screen *screen = &menu->screen;
    screen_clear(screen);
    draw_title(menu);
    draw_middle(menu);
    if (menu->mode == MENU_EDITOR)
        draw_editor(menu, row_up(screen, 5));
    else
        draw_parameters(menu, row_up(screen, 5));
    draw_message(menu, row_up(screen, 4), row_up(screen, 2));
    draw_state(menu, row_up(screen, 2));
    screen_print(screen, row_up(screen, 1), 0, STYLE_BAR,
                 " Up Down  Space tick  A all  N none  T tag  D details  E edit  ? help  Q quit");
    screen_paint(screen, row_up(screen, 1), 0, screen->columns, STYLE_BAR);
    screen_show(screen);
}
