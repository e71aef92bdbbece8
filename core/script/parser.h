/* Parses a scenario: text to the flat list of commands of tree.h, every argument by its row in the
 * table of commands. Private to core/script. */
#ifndef CORE_SCRIPT_PARSER_H
#define CORE_SCRIPT_PARSER_H

#include "core/script/expression.h"
#include "core/script/lexer.h"
#include "core/script/tree.h"

/* A block whose text is being parsed. */
struct parser_frame {
    struct lexer lexer;
    struct command *opener; /* NULL: the file */
    struct word else_block; /* of `if`, still to come; no data: none */
};

struct parser {
    struct scenario *scenario;
    struct arena *arena;
    struct script *script;
    struct command **tail;
    unsigned frame_count;
    struct parser_frame frames[SCRIPT_NESTING_MAX + 1];
    bool head_ended;
    bool out_of_memory;
    struct word words[LEXER_WORDS_MAX];
    size_t word_count;
    struct word items[LEXER_WORDS_MAX]; /* of a list, while the command's words are in use */
};

/* Fills *script as far as it gets; errors are recorded in the scenario. False: out of memory. */
bool parser_run(struct parser *parser, struct scenario *scenario, struct arena *arena,
                struct script *script);

/* --- between the parser's files ------------------------------------------------------------------- */

/* The words of scenario, tags, needs, param (parser_head.c). */
void parse_head_command(struct parser *parser, const struct command_spec *spec);
/* The arguments of every other command (parser_arguments.c). */
void parse_arguments(struct parser *parser, struct command *command);
/* The value of one argument, without `key=` (parser_values.c). `word` tells about braces and quotes. */
void parse_value(struct parser *parser, const struct command_spec *command,
                 const struct argument_spec *spec, const struct word *word,
                 struct argument *argument);
struct expression *parse_expression(struct parser *parser, struct text text,
                                    enum static_kind *kind);
/* Is the text a name: letters, digits, `_`, at most SCRIPT_NAME_MAX? Records an error if not. `what`
 * it names: "a space", "a variable". */
bool parse_check_name(struct parser *parser, struct text name, const char *what);
/* Is it one of the variables that are always there? */
bool parse_is_reserved_variable(struct text name);
/* Resolves \" \\ \$ \[ in a quoted text; a copy only where there is one. */
struct text parse_unescape(struct parser *parser, struct text text);

#endif
