/* Expressions: precedence climbing into postfix.
 *
 * The parser calls itself for parentheses, operands of higher precedence and the arms of `?:`, at most
 * SCRIPT_NESTING_MAX deep in the text's own nesting. */
#include "core/script/expression.h"

#include "core/script/diagnostics.h"
#include "core/script/number.h"

/* An expression as long as a line full of one-letter operators; longer ones are a mistake. */
#define TERMS_MAX 1024

struct binary_operator {
    const char *text;
    enum term_kind kind;
    unsigned precedence; /* greater binds closer */
};

/* Longer operators first, so that `<<` is not read as `<`. */
static const struct binary_operator binary_operators[] = {
    {"||", TERM_OR_JUMP, 1},    {"&&", TERM_AND_JUMP, 2},   {"==", TERM_EQUAL, 6},
    {"!=", TERM_NOT_EQUAL, 6},  {"<<", TERM_SHIFT_LEFT, 8}, {">>", TERM_SHIFT_RIGHT, 8},
    {"<=", TERM_LESS_EQUAL, 7}, {"<", TERM_LESS, 7},        {">=", TERM_GREATER_EQUAL, 7},
    {">", TERM_GREATER, 7},     {"|", TERM_OR, 3},          {"^", TERM_XOR, 4},
    {"&", TERM_AND, 5},         {"+", TERM_ADD, 9},         {"-", TERM_SUBTRACT, 9},
    {"*", TERM_MULTIPLY, 10},   {"/", TERM_DIVIDE, 10},     {"%", TERM_REMAINDER, 10},
};

struct parser {
    struct scenario *scenario;
    const char *at;
    const char *end;
    struct term *terms;
    uint32_t count;
    unsigned nesting;
    unsigned stack; /* depth of the value stack at this point */
    bool failed;
    struct term nowhere; /* what is written after a failure */
};

static enum static_kind parse_conditional(struct parser *parser);

static enum static_kind fail(struct parser *parser)
{
    parser->failed = true;
    return STATIC_UNKNOWN;
}

static void skip_blanks(struct parser *parser)
{
    while (parser->at < parser->end) {
        char byte = *parser->at;
        bool continues = byte == '\\' && parser->at + 1 < parser->end &&
                         (parser->at[1] == '\n' || parser->at[1] == '\r');
        if (byte != ' ' && byte != '\t' && byte != '\r' && byte != '\n' && !continues)
            return;
        parser->at++;
    }
}

static char peek(const struct parser *parser)
{
    return parser->at < parser->end ? *parser->at : '\0';
}

/* What a term does to the depth of the stack when the next term is reached; -1 where nothing else is
 * said: two values become one, or a jump takes one. */
static int stack_effect(enum term_kind kind)
{
    bool pushes = kind == TERM_NUMBER || kind == TERM_WORD || kind == TERM_VARIABLE;
    bool keeps = kind == TERM_NEGATE || kind == TERM_INVERT || kind == TERM_NOT ||
                 kind == TERM_TRUTH || kind == TERM_JUMP;
    return pushes ? 1 : keeps ? 0 : -1;
}

static struct term *emit(struct parser *parser, enum term_kind kind, const char *at)
{
    parser->stack = (unsigned)((int)parser->stack + stack_effect(kind));
    if (!parser->failed && (parser->count == TERMS_MAX || parser->stack > EXPRESSION_STACK_MAX)) {
        script_error(parser->scenario, at, "the expression is too long");
        parser->failed = true;
    }
    if (parser->failed)
        return &parser->nowhere;
    struct term *term = &parser->terms[parser->count++];
    *term = (struct term){.kind = kind, .at = at};
    return term;
}

static enum static_kind parse_number(struct parser *parser)
{
    const char *start = parser->at;
    struct text rest = {start, (size_t)(parser->end - start)};
    int64_t value = 0;
    switch (number_cut(&rest, &value)) {
    case NUMBER_OK:
        break;
    case NUMBER_TOO_LARGE:
        script_error(parser->scenario, start, "the number does not fit into 64 bits");
        return fail(parser);
    case NUMBER_NONE:
    case NUMBER_BAD_SUFFIX:
        script_error(parser->scenario, start,
                     "malformed number: digits, then K, M, G, T or p (pages) are allowed");
        return fail(parser);
    }
    parser->at = rest.data;
    struct term *term = emit(parser, TERM_NUMBER, start);
    term->number = value;
    term->text = (struct text){start, (size_t)(parser->at - start)};
    return STATIC_NUMBER;
}

/* Reads `name` or `name.name...`; a dot belongs to it only when a letter follows. */
static struct text cut_variable_name(struct parser *parser)
{
    const char *start = parser->at;
    while (parser->at < parser->end) {
        bool joins = *parser->at == '.' && parser->at > start && parser->at + 1 < parser->end &&
                     is_letter(parser->at[1]);
        if (!is_word_byte(*parser->at) && !joins)
            break;
        parser->at++;
    }
    return (struct text){start, (size_t)(parser->at - start)};
}

static enum static_kind parse_variable(struct parser *parser)
{
    const char *dollar = parser->at++;
    bool braced = peek(parser) == '{';
    if (braced)
        parser->at++;
    struct text name = cut_variable_name(parser);
    if (name.size == 0 || (braced && peek(parser) != '}')) {
        script_error(parser->scenario, dollar, "malformed variable: $name or ${name} is meant");
        return fail(parser);
    }
    if (braced)
        parser->at++;
    emit(parser, TERM_VARIABLE, dollar)->text = name;
    return STATIC_UNKNOWN;
}

static enum static_kind parse_word(struct parser *parser)
{
    const char *start = parser->at;
    while (is_word_byte(peek(parser)))
        parser->at++;
    struct text word = {start, (size_t)(parser->at - start)};
    if (word.size > SCRIPT_NAME_MAX) {
        script_error(parser->scenario, start, "a word has at most %d bytes", SCRIPT_NAME_MAX);
        return fail(parser);
    }
    emit(parser, TERM_WORD, start)->text = word;
    return STATIC_WORD;
}

static bool enter(struct parser *parser)
{
    if (++parser->nesting <= SCRIPT_NESTING_MAX)
        return true;
    script_error(parser->scenario, parser->at, "the expression is nested deeper than %d",
                 SCRIPT_NESTING_MAX);
    parser->failed = true;
    return false;
}

static enum static_kind parse_parentheses(struct parser *parser)
{
    const char *open = parser->at++;
    if (!enter(parser))
        return STATIC_UNKNOWN;
    enum static_kind kind = parse_conditional(parser);
    parser->nesting--;
    if (parser->failed)
        return kind;
    skip_blanks(parser);
    if (peek(parser) != ')') {
        script_error(parser->scenario, open, "missing ')': nothing closes this parenthesis");
        return fail(parser);
    }
    parser->at++;
    return kind;
}

static enum static_kind parse_primary(struct parser *parser)
{
    char byte = peek(parser);
    if (is_digit(byte))
        return parse_number(parser);
    if (byte == '$')
        return parse_variable(parser);
    if (byte == '(')
        return parse_parentheses(parser);
    if (is_word_byte(byte))
        return parse_word(parser);
    if (parser->at >= parser->end)
        script_error(parser->scenario, parser->at, "the expression ends where a value is expected");
    else if (byte == '[')
        script_error(parser->scenario, parser->at, "'[...]' is not part of the language");
    else
        script_error(parser->scenario, parser->at, "unexpected '%c' where a value is expected",
                     byte < ' ' || byte > '~' ? '?' : byte);
    return fail(parser);
}

/* A word that stands where a number must: most often a forgotten `$`. */
static void refuse_word(struct parser *parser, enum static_kind kind, uint32_t first)
{
    if (kind != STATIC_WORD || parser->failed)
        return;
    const struct term *word = &parser->terms[first];
    script_error(parser->scenario, word->at,
                 "a word can only be compared with == and != ('$%.*s' is the variable)",
                 TEXT_ARGS(script_shown(word->text)));
    parser->failed = true;
}

static enum static_kind parse_unary(struct parser *parser)
{
    skip_blanks(parser);
    const char *at = parser->at;
    char byte = peek(parser);
    if (byte != '-' && byte != '~' && byte != '!' && byte != '+')
        return parse_primary(parser);
    parser->at++;
    if (!enter(parser))
        return STATIC_UNKNOWN;
    uint32_t first = parser->count;
    refuse_word(parser, parse_unary(parser), first);
    parser->nesting--;
    if (byte != '+')
        emit(parser, byte == '-' ? TERM_NEGATE : byte == '~' ? TERM_INVERT : TERM_NOT, at);
    return STATIC_NUMBER;
}

static const struct binary_operator *find_operator(struct parser *parser)
{
    skip_blanks(parser);
    struct text rest = {parser->at, (size_t)(parser->end - parser->at)};
    for (size_t i = 0; i < ARRAY_COUNT(binary_operators); i++) {
        if (text_starts(rest, binary_operators[i].text))
            return &binary_operators[i];
    }
    return NULL;
}

static enum static_kind parse_binary(struct parser *parser, unsigned precedence)
{
    uint32_t left_first = parser->count;
    enum static_kind left = parse_unary(parser);
    const struct binary_operator *binary = find_operator(parser);
    while (!parser->failed && binary != NULL && binary->precedence >= precedence) {
        const char *at = parser->at;
        parser->at += strlen(binary->text);
        bool compares = binary->kind == TERM_EQUAL || binary->kind == TERM_NOT_EQUAL;
        bool jumps = binary->kind == TERM_AND_JUMP || binary->kind == TERM_OR_JUMP;
        if (!compares)
            refuse_word(parser, left, left_first);
        struct term *jump = jumps ? emit(parser, binary->kind, at) : NULL;
        uint32_t right_first = parser->count;
        enum static_kind right = parse_binary(parser, binary->precedence + 1);
        if (!compares)
            refuse_word(parser, right, right_first);
        emit(parser, jumps ? TERM_TRUTH : binary->kind, at);
        if (jump != NULL)
            jump->target = parser->count;
        left = STATIC_NUMBER;
        binary = find_operator(parser);
    }
    return left;
}

static enum static_kind parse_conditional(struct parser *parser)
{
    uint32_t first = parser->count;
    enum static_kind kind = parse_binary(parser, 1);
    skip_blanks(parser);
    if (parser->failed || peek(parser) != '?')
        return kind;
    refuse_word(parser, kind, first);
    const char *at = parser->at++;
    if (!enter(parser))
        return STATIC_UNKNOWN;
    struct term *to_else = emit(parser, TERM_JUMP_FALSE, at);
    enum static_kind then_kind = parse_conditional(parser);
    if (parser->failed)
        return STATIC_UNKNOWN;
    skip_blanks(parser);
    if (peek(parser) != ':') {
        script_error(parser->scenario, at, "missing ':' for this '?'");
        return fail(parser);
    }
    parser->at++;
    struct term *to_end = emit(parser, TERM_JUMP, at);
    to_else->target = parser->count;
    parser->stack--; /* only one of the arms leaves its value */
    enum static_kind else_kind = parse_conditional(parser);
    to_end->target = parser->count;
    parser->nesting--;
    return then_kind == STATIC_NUMBER && else_kind == STATIC_NUMBER ? STATIC_NUMBER
                                                                    : STATIC_UNKNOWN;
}

struct expression *expression_parse(struct scenario *scenario, struct arena *arena,
                                    struct text text, enum static_kind *kind, bool *out_of_memory)
{
    /* Terms are built on top of the arena at their greatest number, then the rest is given back. */
    struct expression *expression = arena_alloc(arena, sizeof(*expression));
    size_t most = text.size < TERMS_MAX ? text.size + 2 : TERMS_MAX;
    struct parser parser = {.scenario = scenario, .at = text.data, .end = text.data + text.size};
    parser.terms = arena_alloc(arena, most * sizeof(struct term));
    if (expression == NULL || parser.terms == NULL) {
        *out_of_memory = true;
        return NULL;
    }
    *kind = parse_conditional(&parser);
    skip_blanks(&parser);
    if (!parser.failed && parser.at < parser.end) {
        char byte = *parser.at;
        script_error(scenario, parser.at, "unexpected '%c' in the expression",
                     byte < ' ' || byte > '~' ? '?' : byte);
        parser.failed = true;
    }
    if (parser.failed)
        return NULL;
    arena_release(arena, arena_mark(arena) - (most - parser.count) * sizeof(struct term));
    expression->terms = parser.terms;
    expression->count = parser.count;
    expression->text = text_trim(text);
    return expression;
}
