/* printf-like formatting without a C library: one pass over the format, no buffer of its own besides
 * the digits of one number. */
#include "core/fmt.h"

#include "core/types.h"

/* 64 bits need at most 20 decimal digits. */
#define DIGITS_MAX 20

/* Counts everything, stores what fits. */
struct sink {
    char *buffer;
    size_t size;
    size_t length;
};

struct conversion {
    bool left;
    bool zero;
    size_t width;
    bool has_precision;
    size_t precision;
    unsigned size_bytes; /* of an integer argument */
    char letter;
};

/* va_list may be an array type, which cannot be passed on by address portably; a struct can. */
struct arguments {
    va_list list;
};

static void put(struct sink *sink, char byte)
{
    if (sink->length + 1 < sink->size)
        sink->buffer[sink->length] = byte;
    sink->length++;
}

static void put_many(struct sink *sink, char byte, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put(sink, byte);
}

static void put_padded(struct sink *sink, const struct conversion *conversion, const char *data,
                       size_t size)
{
    size_t padding = conversion->width > size ? conversion->width - size : 0;
    if (!conversion->left)
        put_many(sink, ' ', padding);
    for (size_t i = 0; i < size; i++)
        put(sink, data[i]);
    if (conversion->left)
        put_many(sink, ' ', padding);
}

static void put_text(struct sink *sink, const struct conversion *conversion, const char *data)
{
    if (data == NULL)
        data = "(null)";
    size_t size = 0;
    while ((!conversion->has_precision || size < conversion->precision) && data[size] != '\0')
        size++;
    put_padded(sink, conversion, data, size);
}

static void put_number(struct sink *sink, const struct conversion *conversion, uint64_t value,
                       const char *prefix)
{
    const char *alphabet = conversion->letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    bool decimal = conversion->letter == 'd' || conversion->letter == 'u';
    unsigned base = decimal ? 10 : 16;
    char text[DIGITS_MAX];
    size_t first = DIGITS_MAX;
    do {
        text[--first] = alphabet[value % base];
        value /= base;
    } while (value != 0);

    size_t size = DIGITS_MAX - first;
    for (const char *p = prefix; *p != '\0'; p++)
        size++;
    size_t padding = conversion->width > size ? conversion->width - size : 0;
    if (!conversion->left && !conversion->zero)
        put_many(sink, ' ', padding);
    for (const char *p = prefix; *p != '\0'; p++)
        put(sink, *p);
    if (!conversion->left && conversion->zero)
        put_many(sink, '0', padding);
    for (size_t i = first; i < DIGITS_MAX; i++)
        put(sink, text[i]);
    if (conversion->left)
        put_many(sink, ' ', padding);
}

/* A number in the format, or `*`: the next argument. Returns false for a negative argument, whose
 * absolute value *number then has. */
static bool parse_number(const char **format, struct arguments *arguments, size_t *number)
{
    *number = 0;
    if (**format == '*') {
        (*format)++;
        int value = va_arg(arguments->list, int);
        *number = value < 0 ? (size_t) - (int64_t)value : (size_t)value;
        return value >= 0;
    }
    for (; **format >= '0' && **format <= '9'; (*format)++)
        *number = *number * 10 + (size_t)(**format - '0');
    return true;
}

/* Reads what stands behind a `%`, the letter included. */
static struct conversion parse_conversion(const char **format, struct arguments *arguments)
{
    struct conversion conversion = {.size_bytes = sizeof(int)};
    for (; **format == '-' || **format == '0'; (*format)++) {
        conversion.left |= **format == '-';
        conversion.zero |= **format == '0';
    }
    if (!parse_number(format, arguments, &conversion.width))
        conversion.left = true;
    if (**format == '.') {
        (*format)++;
        conversion.has_precision = parse_number(format, arguments, &conversion.precision);
    }
    for (; **format == 'l' || **format == 'z' || **format == 'j'; (*format)++)
        conversion.size_bytes = sizeof(uint64_t);
    conversion.letter = **format;
    if (**format != '\0')
        (*format)++;
    return conversion;
}

_Static_assert(sizeof(long) == 8 && sizeof(size_t) == 8 && sizeof(long long) == 8,
               "l, z, j and ll are all 64 bits");

static void put_signed(struct sink *sink, struct conversion *conversion,
                       struct arguments *arguments)
{
    int64_t value = conversion->size_bytes == sizeof(int) ? va_arg(arguments->list, int)
                                                          : va_arg(arguments->list, int64_t);
    conversion->letter = 'd';
    put_number(sink, conversion, value < 0 ? -(uint64_t)value : (uint64_t)value,
               value < 0 ? "-" : "");
}

static void put_unsigned(struct sink *sink, const struct conversion *conversion,
                         struct arguments *arguments)
{
    uint64_t value = conversion->size_bytes == sizeof(int) ? va_arg(arguments->list, unsigned)
                                                           : va_arg(arguments->list, uint64_t);
    put_number(sink, conversion, value, "");
}

static void put_conversion(struct sink *sink, struct conversion *conversion,
                           struct arguments *arguments)
{
    char byte;
    switch (conversion->letter) {
    case 's':
        put_text(sink, conversion, va_arg(arguments->list, const char *));
        break;
    case 'c':
        byte = (char)va_arg(arguments->list, int);
        put_padded(sink, conversion, &byte, 1);
        break;
    case 'd':
    case 'i':
        put_signed(sink, conversion, arguments);
        break;
    case 'u':
    case 'x':
    case 'X':
        put_unsigned(sink, conversion, arguments);
        break;
    case 'p':
        put_number(sink, conversion, (uintptr_t)va_arg(arguments->list, void *), "0x");
        break;
    case '\0':
        break;
    default: /* `%%`, and what the compiler's format check has let through shows itself */
        put(sink, conversion->letter);
        break;
    }
}

size_t fmt_vprint(char *buffer, size_t size, const char *format, va_list list)
{
    struct sink sink = {.buffer = buffer, .size = size};
    struct arguments arguments;
    va_copy(arguments.list, list);
    while (*format != '\0') {
        char byte = *format++;
        if (byte != '%') {
            put(&sink, byte);
            continue;
        }
        struct conversion conversion = parse_conversion(&format, &arguments);
        put_conversion(&sink, &conversion, &arguments);
    }
    va_end(arguments.list);
    if (size > 0)
        buffer[sink.length < size ? sink.length : size - 1] = '\0';
    return sink.length;
}

size_t fmt_print(char *buffer, size_t size, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    size_t length = fmt_vprint(buffer, size, format, list);
    va_end(list);
    return length;
}
