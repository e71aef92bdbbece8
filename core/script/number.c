/* Numbers as PageLab writes them. */
#include "core/script/number.h"

static int digit_of(char byte, unsigned base)
{
    if (is_digit(byte))
        return byte - '0';
    if (base == 16 && byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    if (base == 16 && byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    return -1;
}

/* The power of two of a suffix; 0: none. */
static unsigned shift_of(char suffix)
{
    switch (suffix) {
    case 'K':
        return 10;
    case 'M':
        return 20;
    case 'G':
        return 30;
    case 'T':
        return 40;
    case 'p':
        return PAGE_SHIFT;
    default:
        return 0;
    }
}

enum number_status number_cut(struct text *rest, int64_t *value)
{
    struct text t = *rest;
    if (t.size == 0 || !is_digit(t.data[0]))
        return NUMBER_NONE;
    bool hexadecimal = t.size > 1 && t.data[0] == '0' && t.data[1] == 'x';
    unsigned base = hexadecimal ? 16 : 10;
    size_t at = hexadecimal ? 2 : 0;
    size_t first = at;
    uint64_t number = 0;
    bool too_large = false;
    for (; at < t.size && digit_of(t.data[at], base) >= 0; at++) {
        too_large |= __builtin_mul_overflow(number, base, &number);
        too_large |= __builtin_add_overflow(number, (uint64_t)digit_of(t.data[at], base), &number);
    }
    unsigned shift = at < t.size ? shift_of(t.data[at]) : 0;
    if (shift != 0)
        at++;
    if (at == first || (at < t.size && is_word_byte(t.data[at])))
        return NUMBER_BAD_SUFFIX;
    if (!(hexadecimal && shift == 0))
        too_large |= number > (uint64_t)INT64_MAX >> shift;
    if (too_large)
        return NUMBER_TOO_LARGE;
    *value = (int64_t)(number << shift);
    *rest = (struct text){t.data + at, t.size - at};
    return NUMBER_OK;
}

enum number_status number_of(struct text text, int64_t *value)
{
    enum number_status status = number_cut(&text, value);
    return status == NUMBER_OK && text.size != 0 ? NUMBER_BAD_SUFFIX : status;
}
