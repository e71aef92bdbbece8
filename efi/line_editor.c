/* A line of text that keys change. */
#include "efi/line_editor.h"

void line_editor_init(struct line_editor *editor, struct text text)
{
    text = text_trim(text);
    editor->size = text.size < LINE_EDITOR_MAX ? text.size : LINE_EDITOR_MAX;
    for (size_t i = 0; i < editor->size; i++)
        editor->text[i] = text.data[i] == '\n' ? ' ' : text.data[i];
    /* What is typed next is a new word. */
    if (editor->size > 0 && editor->size < LINE_EDITOR_MAX)
        editor->text[editor->size++] = ' ';
    editor->cursor = editor->size;
}

static void insert(struct line_editor *editor, char character)
{
    if (editor->size == LINE_EDITOR_MAX)
        return;
    memmove(&editor->text[editor->cursor + 1], &editor->text[editor->cursor],
            editor->size - editor->cursor);
    editor->text[editor->cursor++] = character;
    editor->size++;
}

static void remove_at(struct line_editor *editor, size_t at)
{
    memmove(&editor->text[at], &editor->text[at + 1], editor->size - at - 1);
    editor->size--;
    editor->cursor = at;
}

static void remove_before(struct line_editor *editor)
{
    if (editor->cursor > 0)
        remove_at(editor, editor->cursor - 1);
}

enum line_editor_state line_editor_key(struct line_editor *editor, const struct key *key)
{
    switch (key->code) {
    case KEY_ENTER:
        return LINE_EDITOR_DONE;
    case KEY_ESCAPE:
        return LINE_EDITOR_CANCELLED;
    case KEY_CHARACTER:
        insert(editor, key->character);
        break;
    case KEY_BACKSPACE:
        remove_before(editor);
        break;
    case KEY_DELETE:
        /* Many terminals send Delete for the backspace key. */
        if (editor->cursor == editor->size)
            remove_before(editor);
        else
            remove_at(editor, editor->cursor);
        break;
    case KEY_LEFT:
        editor->cursor -= editor->cursor > 0;
        break;
    case KEY_RIGHT:
        editor->cursor += editor->cursor < editor->size;
        break;
    case KEY_HOME:
    case KEY_UP:
        editor->cursor = 0;
        break;
    case KEY_END:
    case KEY_DOWN:
        editor->cursor = editor->size;
        break;
    case KEY_PAGE_UP:
    case KEY_PAGE_DOWN:
    case KEY_F1:
    case KEY_OTHER:
        break;
    }
    return LINE_EDITOR_GOES_ON;
}
