/* A line of text that keys change: the boot parameters in the menu. No console and no firmware here. */
#ifndef EFI_LINE_EDITOR_H
#define EFI_LINE_EDITOR_H

#include "core/text.h"
#include "efi/keyboard.h"

#define LINE_EDITOR_MAX 4096

/* 0 <= cursor <= size <= LINE_EDITOR_MAX */
struct line_editor {
    char text[LINE_EDITOR_MAX];
    size_t size;
    size_t cursor;
};

enum line_editor_state { LINE_EDITOR_GOES_ON, LINE_EDITOR_DONE, LINE_EDITOR_CANCELLED };

/* Starts with a text and a blank, the cursor behind it; what is too long is cut. Line ends become
 * blanks. */
void line_editor_init(struct line_editor *editor, struct text text);
enum line_editor_state line_editor_key(struct line_editor *editor, const struct key *key);

#endif
