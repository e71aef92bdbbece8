/* The menu: what keys do. */
#include "efi/menu.h"

#include "efi/keyboard.h"
#include "efi/menu_draw.h"

/* What the list does after a key. */
enum step { STEP_STAY, STEP_RUN, STEP_QUIT };

static struct scenario *current_scenario(struct menu *menu)
{
    return &menu->choice->library->scenarios[menu->current];
}

/* Moves by that many lines, as far as there are lines, and scrolls so that the current one is shown. */
static void move(struct menu *menu, int64_t lines)
{
    int64_t last = (int64_t)menu->choice->library->count - 1;
    int64_t target = (int64_t)menu->current + lines;
    target = target > last ? last : target;
    menu->current = target > 0 ? (size_t)target : 0;

    size_t shown = menu_draw_list_rows(&menu->screen);
    if (menu->current < menu->first_shown)
        menu->first_shown = menu->current;
    if (menu->current >= menu->first_shown + shown)
        menu->first_shown = menu->current - shown + 1;
}

static void tick_all(struct menu *menu, bool selected)
{
    for (size_t i = 0; i < menu->choice->library->count; i++)
        menu->choice->library->scenarios[i].selected = selected;
}

static void open_editor(struct menu *menu)
{
    line_editor_init(&menu->editor, options_text(&menu->choice->current->options));
    menu->editor_error.text[0] = '\0';
    menu->mode = MENU_EDITOR;
}

/* Enter: the ticked scenarios, or the current one when none is ticked. */
static enum step start(struct menu *menu)
{
    if (menu->choice->error.text[0] != '\0' || menu->choice->library->count == 0)
        return STEP_STAY;
    if (choice_ticked_count(menu->choice) == 0)
        current_scenario(menu)->selected = true;
    return STEP_RUN;
}

static enum step list_character(struct menu *menu, char character)
{
    bool any = menu->choice->library->count > 0;
    switch (character) {
    case ' ':
        if (any)
            current_scenario(menu)->selected = !current_scenario(menu)->selected;
        move(menu, 1);
        break;
    case 'a':
    case 'A':
        tick_all(menu, true);
        break;
    case 'n':
    case 'N':
        tick_all(menu, false);
        break;
    case 'e':
    case 'E':
        open_editor(menu);
        break;
    case 'k': /* for terminals whose arrow keys do not get through */
        move(menu, -1);
        break;
    case 'j':
        move(menu, 1);
        break;
    case '?':
    case 'h':
        menu->mode = MENU_HELP;
        break;
    case 'q':
    case 'Q':
        return STEP_QUIT;
    default:
        break;
    }
    return STEP_STAY;
}

static enum step list_key(struct menu *menu, const struct key *key)
{
    int64_t page = (int64_t)menu_draw_list_rows(&menu->screen);
    int64_t count = (int64_t)menu->choice->library->count;
    switch (key->code) {
    case KEY_CHARACTER:
        return list_character(menu, key->character);
    case KEY_ENTER:
        return start(menu);
    case KEY_UP:
        move(menu, -1);
        break;
    case KEY_DOWN:
        move(menu, 1);
        break;
    case KEY_PAGE_UP:
        move(menu, -page);
        break;
    case KEY_PAGE_DOWN:
        move(menu, page);
        break;
    case KEY_HOME:
        move(menu, -count);
        break;
    case KEY_END:
        move(menu, count);
        break;
    case KEY_F1:
        menu->mode = MENU_HELP;
        break;
    case KEY_LEFT:
    case KEY_RIGHT:
    case KEY_BACKSPACE:
    case KEY_DELETE:
    case KEY_ESCAPE:
    case KEY_OTHER:
        break;
    }
    return STEP_STAY;
}

static void editor_key(struct menu *menu, const struct key *key)
{
    struct text words;
    switch (line_editor_key(&menu->editor, key)) {
    case LINE_EDITOR_GOES_ON:
        break;
    case LINE_EDITOR_CANCELLED:
        menu->mode = MENU_LIST;
        break;
    case LINE_EDITOR_DONE:
        words = (struct text){menu->editor.text, menu->editor.size};
        if (choice_replace(menu->choice, words, &menu->editor_error) == OK)
            menu->mode = MENU_LIST;
        break;
    }
}

static enum step handle_key(struct menu *menu, const struct key *key)
{
    switch (menu->mode) {
    case MENU_LIST:
        return list_key(menu, key);
    case MENU_HELP:
        menu->mode = MENU_LIST;
        break;
    case MENU_EDITOR:
        editor_key(menu, key);
        break;
    }
    return STEP_STAY;
}

/* Draws, and waits for a key or the next second. STEP_RUN when the time is up. */
static enum step next_step(struct menu *menu)
{
    struct key key;
    menu_draw(menu);
    bool clock_runs = menu->seconds_left > 0;
    if (keyboard_wait(&key, clock_runs ? 1 : 0)) {
        menu->seconds_left = 0;
        return handle_key(menu, &key);
    }
    if (!clock_runs || --menu->seconds_left > 0)
        return STEP_STAY;
    return STEP_RUN;
}

enum menu_end menu_show(struct menu *menu, struct choice *choice, enum menu_patience patience)
{
    bool clock_runs = choice->error.text[0] == '\0' && patience == MENU_TIMES_OUT;
    menu->choice = choice;
    menu->mode = MENU_LIST;
    menu->current = 0;
    menu->first_shown = 0;
    menu->seconds_left = clock_runs ? choice->current->params.timeout_seconds : 0;
    screen_open(&menu->screen);
    enum step step = STEP_STAY;
    while (step == STEP_STAY)
        step = next_step(menu);
    screen_close(&menu->screen);
    return step == STEP_QUIT ? MENU_QUIT : MENU_RUN;
}
