/* Errors in scenario files. */
#include "core/script/diagnostics.h"

#include <stdarg.h>

#include "core/fmt.h"

/* UTF-8: bytes that continue a character are no column of their own. */
static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

void script_place(struct text source, const char *at, unsigned *line, unsigned *column)
{
    *line = 1;
    *column = 1;
    for (const char *p = source.data; p < at; p++) {
        if (*p == '\n') {
            (*line)++;
            *column = 1;
        } else if (!is_continuation(*p)) {
            (*column)++;
        }
    }
}

struct text script_line(struct text source, const char *at)
{
    const char *start = at;
    while (start > source.data && start[-1] != '\n')
        start--;
    const char *end = at;
    while (end < source.data + source.size && *end != '\n' && *end != '\r')
        end++;
    return (struct text){start, (size_t)(end - start)};
}

struct text script_shown(struct text text)
{
    if (text.size > SHOWN_MAX)
        text.size = SHOWN_MAX;
    return text;
}

void script_error(struct scenario *scenario, const char *at, const char *format, ...)
{
    if (scenario->error_count == SCRIPT_ERRORS_MAX)
        return;
    struct script_error *error = &scenario->errors[scenario->error_count++];
    script_place(scenario->source, at, &error->line, &error->column);
    va_list arguments;
    va_start(arguments, format);
    fmt_vprint(error->message, sizeof(error->message), format, arguments);
    va_end(arguments);
}
