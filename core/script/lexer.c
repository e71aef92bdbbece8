/* Splits a scenario into commands and words. */
#include "core/script/lexer.h"

#include "core/script/diagnostics.h"

static char peek(const struct lexer *lexer)
{
    return lexer->at < lexer->end ? *lexer->at : '\n';
}

static char peek_next(const struct lexer *lexer)
{
    return lexer->at + 1 < lexer->end ? lexer->at[1] : '\n';
}

/* The size of a backslash with the line end behind it, 0: none is here. */
static size_t continuation_size(const struct lexer *lexer)
{
    if (peek(lexer) != '\\')
        return 0;
    size_t left = (size_t)(lexer->end - lexer->at);
    if (left >= 2 && lexer->at[1] == '\n')
        return 2;
    if (left >= 3 && lexer->at[1] == '\r' && lexer->at[2] == '\n')
        return 3;
    return 0;
}

static void skip_blanks(struct lexer *lexer)
{
    while (lexer->at < lexer->end) {
        char byte = *lexer->at;
        size_t continuation = continuation_size(lexer);
        if (continuation > 0)
            lexer->at += continuation;
        else if (byte == ' ' || byte == '\t' || byte == '\r')
            lexer->at++;
        else
            return;
    }
}

/* Up to the line end, which stays. */
static void skip_line(struct lexer *lexer)
{
    while (lexer->at < lexer->end && *lexer->at != '\n') {
        size_t continuation = continuation_size(lexer);
        lexer->at += continuation > 0 ? continuation : 1;
    }
}

/* Up to the first word of the next command. */
static void skip_to_command(struct lexer *lexer)
{
    while (lexer->at < lexer->end) {
        skip_blanks(lexer);
        char byte = peek(lexer);
        if (byte == '#')
            skip_line(lexer);
        else if (lexer->at < lexer->end && (byte == '\n' || byte == ';'))
            lexer->at++;
        else
            return;
    }
}

/* From `{` to behind the `}` that belongs to it. */
static bool skip_braced(struct lexer *lexer)
{
    const char *open = lexer->at;
    unsigned depth = 0;
    for (; lexer->at < lexer->end; lexer->at++) {
        char byte = *lexer->at;
        if (byte == '\\' && lexer->at + 1 < lexer->end)
            lexer->at++;
        else if (byte == '{')
            depth++;
        else if (byte == '}' && --depth == 0) {
            lexer->at++;
            return true;
        }
    }
    script_error(lexer->scenario, open, "missing '}': nothing closes this brace");
    return false;
}

static bool skip_quoted(struct lexer *lexer)
{
    const char *open = lexer->at++;
    for (; peek(lexer) != '\n'; lexer->at++) {
        char byte = *lexer->at;
        if (byte == '"') {
            lexer->at++;
            return true;
        }
        if (byte == '[') {
            script_error(lexer->scenario, lexer->at,
                         "'[...]' is not part of the language (write \\[ for the character)");
            return false;
        }
        if (byte == '\\' && peek_next(lexer) != '\n')
            lexer->at++;
    }
    script_error(lexer->scenario, open, "missing '\"': a quoted text ends on its line");
    return false;
}

static bool ends_word(const struct lexer *lexer)
{
    char byte = peek(lexer);
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n' || byte == ';' ||
           continuation_size(lexer) > 0;
}

static bool refuse_byte(struct lexer *lexer)
{
    unsigned char byte = (unsigned char)*lexer->at;
    if (byte == '[')
        script_error(lexer->scenario, lexer->at, "'[...]' is not part of the language");
    else if (byte == '\\')
        script_error(lexer->scenario, lexer->at,
                     "a backslash only continues a line, as its last character");
    else if (byte == '"' || byte == '{' || byte == '}')
        script_error(lexer->scenario, lexer->at, "unexpected '%c' inside a word", byte);
    else
        script_error(lexer->scenario, lexer->at, "unexpected byte 0x%02x", byte);
    return false;
}

static bool skip_bare(struct lexer *lexer)
{
    const char *start = lexer->at;
    while (!ends_word(lexer)) {
        char byte = *lexer->at;
        char before = lexer->at > start ? lexer->at[-1] : '\0';
        if (byte == '{' && before == '$') {
            if (!skip_braced(lexer))
                return false;
        } else if (byte == '{' && (before == '=' || before == '@')) {
            if (!skip_braced(lexer))
                return false;
            if (ends_word(lexer))
                return true;
            script_error(lexer->scenario, lexer->at, "text directly after '}'");
            return false;
        } else if (byte <= ' ' || byte > '~' || byte == '[' || byte == '\\' || byte == '"' ||
                   byte == '{' || byte == '}') {
            return refuse_byte(lexer);
        } else {
            lexer->at++;
        }
    }
    return true;
}

static bool read_word(struct lexer *lexer, struct word *word)
{
    const char *start = lexer->at;
    char first = *start;
    word->kind = first == '{' ? WORD_BRACED : first == '"' ? WORD_QUOTED : WORD_BARE;
    if (word->kind == WORD_BARE) {
        if (!skip_bare(lexer))
            return false;
    } else {
        if (!(first == '{' ? skip_braced(lexer) : skip_quoted(lexer)))
            return false;
        if (!ends_word(lexer)) {
            script_error(lexer->scenario, lexer->at, "text directly after '%c'",
                         first == '{' ? '}' : '"');
            return false;
        }
    }
    word->source = (struct text){start, (size_t)(lexer->at - start)};
    word->text = word->source;
    if (word->kind != WORD_BARE)
        word->text = (struct text){start + 1, word->source.size - 2};
    return true;
}

enum lexer_result lexer_next(struct lexer *lexer, struct word words[LEXER_WORDS_MAX], size_t *count)
{
    skip_to_command(lexer);
    if (lexer->at >= lexer->end)
        return LEXER_END;
    *count = 0;
    for (;;) {
        skip_blanks(lexer);
        if (lexer->at >= lexer->end || ends_word(lexer))
            return LEXER_COMMAND;
        if (*count == LEXER_WORDS_MAX) {
            script_error(lexer->scenario, lexer->at, "more than %d words in a command",
                         LEXER_WORDS_MAX);
            skip_line(lexer);
            return LEXER_ERROR;
        }
        if (!read_word(lexer, &words[*count])) {
            skip_line(lexer);
            return LEXER_ERROR;
        }
        (*count)++;
    }
}
