/* The menu: what keys do. */
#include "efi/menu.h"

#include "efi/keyboard.h"
#include "efi/menu_draw.h"

/* What the list does after a key. */
enum step { STEP_STAY, STEP_RUN, STEP_QUIT };

/* Moves by that many lines, as far as there are lines, and scrolls so that the current one is shown. */
static void move(struct menu *menu, int64_t lines)
{
    int64_t last = (int64_t)menu->listed_count - 1;
    int64_t target = (int64_t)menu->current + lines;
    target = target > last ? last : target;
    menu->current = target > 0 ? (size_t)target : 0;

    size_t shown = menu_draw_list_rows(&menu->screen);
    if (menu->current < menu->first_shown)
        menu->first_shown = menu->current;
    if (menu->current >= menu->first_shown + shown)
        menu->first_shown = menu->current - shown + 1;
}

/* All that the list has: with a tag chosen, those with that tag. */
static void tick_all(struct menu *menu, bool selected)
{
    for (size_t i = 0; i < menu->listed_count; i++)
        menu->choice->library->scenarios[menu->listed[i]].selected = selected;
}

static bool has_tag(const struct scenario *scenario, struct text tag)
{
    for (size_t i = 0; i < scenario->tag_count; i++) {
        if (text_equal(scenario->tags[i], tag))
            return true;
    }
    return false;
}

/* Makes the list anew; the scenario that keys act on stays if it is in it. */
static void list_tag(struct menu *menu, struct text tag)
{
    const struct library *library = menu->choice->library;
    size_t kept = menu->listed_count > 0 ? menu->listed[menu->current] : 0;
    menu->tag = tag;
    menu->listed_count = 0;
    menu->current = 0;
    menu->first_shown = 0;
    for (size_t i = 0; i < library->count; i++) {
        if (tag.size > 0 && !has_tag(&library->scenarios[i], tag))
            continue;
        if (i == kept)
            menu->current = menu->listed_count;
        menu->listed[menu->listed_count++] = i;
    }
    move(menu, 0);
}

/* The tag that follows in the alphabet; behind the last one, none. */
static struct text next_tag(const struct menu *menu)
{
    const struct library *library = menu->choice->library;
    struct text next = {NULL, 0};
    for (size_t i = 0; i < library->count; i++) {
        const struct scenario *scenario = &library->scenarios[i];
        for (size_t j = 0; j < scenario->tag_count; j++) {
            struct text tag = scenario->tags[j];
            if (text_compare(tag, menu->tag) > 0 && (next.size == 0 || text_compare(tag, next) < 0))
                next = tag;
        }
    }
    return next;
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
    if (menu->choice->error.text[0] != '\0' || menu->listed_count == 0)
        return STEP_STAY;
    if (choice_ticked_count(menu->choice) == 0)
        menu_current(menu)->selected = true;
    return STEP_RUN;
}

static enum step list_character(struct menu *menu, char character)
{
    struct scenario *current = menu_current(menu);
    switch (character) {
    case ' ':
        if (current != NULL)
            current->selected = !current->selected;
        move(menu, 1);
        break;
    case 't':
    case 'T':
        list_tag(menu, next_tag(menu));
        break;
    case 'd':
    case 'D':
        menu->mode = MENU_DETAILS;
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
    int64_t count = (int64_t)menu->listed_count;
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
    case KEY_RIGHT:
        menu->mode = MENU_DETAILS;
        break;
    case KEY_ESCAPE:
        list_tag(menu, (struct text){NULL, 0});
        break;
    case KEY_LEFT:
    case KEY_BACKSPACE:
    case KEY_DELETE:
    case KEY_OTHER:
        break;
    }
    return STEP_STAY;
}

/* One scenario fills the screen: other keys lead back. */
static void details_key(struct menu *menu, const struct key *key)
{
    if (key->code == KEY_DOWN || key->code == KEY_UP)
        move(menu, key->code == KEY_DOWN ? 1 : -1);
    else
        menu->mode = MENU_LIST;
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
    case MENU_DETAILS:
        details_key(menu, key);
        break;
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
    menu->listed_count = 0;
    menu->seconds_left = clock_runs ? choice->current->params.timeout_seconds : 0;
    screen_open(&menu->screen);
    list_tag(menu, (struct text){NULL, 0});
    enum step step = STEP_STAY;
    while (step == STEP_STAY)
        step = next_step(menu);
    screen_close(&menu->screen);
    return step == STEP_QUIT ? MENU_QUIT : MENU_RUN;
}
