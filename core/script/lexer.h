/* Splits a scenario into commands and words, as Tcl does. Private to core/script.
 *
 * Concepts: a command ends with its line or at `;`. A word is bare, {braced} (verbatim, nesting) or
 * "quoted". Inside a bare word braces may follow `=` or `@` and then end the word, or follow `$`. */
#ifndef CORE_SCRIPT_LEXER_H
#define CORE_SCRIPT_LEXER_H

#include "core/script/script.h"

#define LEXER_WORDS_MAX 256

enum word_kind { WORD_BARE, WORD_BRACED, WORD_QUOTED };

struct word {
    enum word_kind kind;
    struct text text;   /* without the outer braces or quotes */
    struct text source; /* with them */
};

struct lexer {
    struct scenario *scenario; /* for errors */
    const char *at;
    const char *end;
};

enum lexer_result { LEXER_COMMAND, LEXER_END, LEXER_ERROR };

/* The next command's words, at least one. After LEXER_ERROR (which has been recorded) the lexer
 * stands behind the broken command. */
enum lexer_result lexer_next(struct lexer *lexer, struct word words[LEXER_WORDS_MAX],
                             size_t *count);

#endif
