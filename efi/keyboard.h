/* Keys from the firmware's console: USB keyboards and serial terminals alike. */
#ifndef EFI_KEYBOARD_H
#define EFI_KEYBOARD_H

#include "core/types.h"

enum key_code {
    KEY_CHARACTER, /* printable ASCII */
    KEY_ENTER,
    KEY_ESCAPE,
    KEY_BACKSPACE,
    KEY_DELETE,
    KEY_UP,
    KEY_DOWN,
    KEY_LEFT,
    KEY_RIGHT,
    KEY_HOME,
    KEY_END,
    KEY_PAGE_UP,
    KEY_PAGE_DOWN,
    KEY_F1,
    KEY_OTHER,
};

struct key {
    enum key_code code;
    char character; /* of KEY_CHARACTER */
};

/* Is there anything to press? */
bool keyboard_exists(void);

/* Waits for a key, at most `seconds` (0: for ever). False when the time was up. */
bool keyboard_wait(struct key *key, unsigned seconds);

#endif
