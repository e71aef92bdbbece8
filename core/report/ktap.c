/* KTAP lines. */
#include "core/report/ktap.h"

#include "core/fmt.h"
#include "core/log.h"

#define INDENT_WIDTH 2

/* Not on the stack: a panic may have little of it left. */
static char line[KTAP_LINE_MAX];

/* `length` is what fmt_print() returned for the line: it may say more than what is there. */
static void line_out(size_t length)
{
    if (length > KTAP_LINE_MAX - 1)
        length = KTAP_LINE_MAX - 1;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)line[i] < ' ')
            line[i] = ' ';
    }
    log_bytes(line, length);
}

void ktap_plan(unsigned level, size_t count)
{
    int indent = (int)level * INDENT_WIDTH;

    line_out(fmt_print(line, sizeof(line), "%*sKTAP version 1", indent, ""));
    line_out(fmt_print(line, sizeof(line), "%*s1..%zu", indent, "", count));
}

void ktap_comment(unsigned level, struct text text)
{
    int indent = (int)level * INDENT_WIDTH;

    while (text.size != 0) {
        struct text part = text_cut(&text, '\n');
        size_t length = fmt_print(line, sizeof(line), "%*s# %.*s", indent, "", TEXT_ARGS(part));
        line_out(length);
    }
}

void ktap_result(const struct ktap_result *result)
{
    int indent = (int)result->level * INDENT_WIDTH;
    bool has_reason = result->reason != NULL && result->reason[0] != '\0';

    size_t length =
        fmt_print(line, sizeof(line), "%*s%sok %zu %.*s%s%s%s%s", indent, "",
                  result->ok ? "" : "not ", result->number, TEXT_ARGS(result->name),
                  result->directive ? " # " : "", result->directive ? result->directive : "",
                  has_reason ? " " : "", has_reason ? result->reason : "");
    line_out(length);
}
