/* Escape sequences of terminals. See escape.h. */
#include "efi/escape.h"

#define NUMBER_MAX 99

static enum key_code code_of_letter(char letter)
{
    switch (letter) {
    case 'A':
        return KEY_UP;
    case 'B':
        return KEY_DOWN;
    case 'C':
        return KEY_RIGHT;
    case 'D':
        return KEY_LEFT;
    case 'H':
        return KEY_HOME;
    case 'F':
        return KEY_END;
    case 'P':
        return KEY_F1;
    default:
        return KEY_OTHER;
    }
}

static enum key_code code_of_number(unsigned number)
{
    switch (number) {
    case 1:
    case 7:
        return KEY_HOME;
    case 4:
    case 8:
        return KEY_END;
    case 3:
        return KEY_DELETE;
    case 5:
        return KEY_PAGE_UP;
    case 6:
        return KEY_PAGE_DOWN;
    case 11:
        return KEY_F1;
    default:
        return KEY_OTHER;
    }
}

static bool is_final(char character)
{
    return character >= '@' && character <= '~';
}

void escape_init(struct escape *escape)
{
    *escape = (struct escape){.introducer = '\0'};
}

/* Behind ESC [ or ESC O. */
static enum escape_state feed_rest(struct escape *escape, char character, struct key *key)
{
    if (character == '[' && escape->introducer == '[' && !escape->second) {
        escape->second = true;
        return ESCAPE_GOES_ON;
    }
    if (character >= '0' && character <= '9') {
        if (!escape->past_number && escape->number <= NUMBER_MAX)
            escape->number = escape->number * 10 + (unsigned)(character - '0');
        return ESCAPE_GOES_ON;
    }
    if (!is_final(character)) {
        escape->past_number |= character == ';';
        return ESCAPE_GOES_ON;
    }
    enum key_code code = code_of_letter(character);
    if (character == '~')
        code = code_of_number(escape->number);
    else if (escape->second) /* the Linux console's F1 to F5 are [[A to [[E */
        code = character == 'A' ? KEY_F1 : KEY_OTHER;
    *key = (struct key){code, '\0'};
    return ESCAPE_DONE;
}

enum escape_state escape_feed(struct escape *escape, char character, struct key *key)
{
    if (escape->introducer != '\0')
        return feed_rest(escape, character, key);
    if (character != '[' && character != 'O')
        return ESCAPE_REFUSED;
    escape->introducer = character;
    return ESCAPE_GOES_ON;
}
