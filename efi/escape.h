/* Escape sequences of terminals, for keys that the firmware's terminal driver does not know: it passes
 * them on letter by letter. No console and no firmware here.
 *
 * Concepts: ESC has come; escape_feed() gets what follows, one character at a time, and says when a key
 * is complete. Understood: ESC [ n ~, ESC [ letter, ESC O letter and ESC [ [ letter, with modifiers
 * (ESC [ 1 ; 5 H) left aside. Sources: ECMA-48; "XTerm Control Sequences", PC-style function keys. */
#ifndef EFI_ESCAPE_H
#define EFI_ESCAPE_H

#include "efi/keyboard.h"

enum escape_state {
    ESCAPE_GOES_ON,
    ESCAPE_DONE,    /* *key is the key; KEY_OTHER for one that nobody uses */
    ESCAPE_REFUSED, /* the character does not belong to a sequence: ESC was a key of its own */
};

struct escape {
    char introducer;  /* '[' or 'O'; 0: not yet */
    bool second;      /* ESC [ [ */
    bool past_number; /* behind the first `;` */
    unsigned number;
};

void escape_init(struct escape *escape);
enum escape_state escape_feed(struct escape *escape, char character, struct key *key);

#endif
