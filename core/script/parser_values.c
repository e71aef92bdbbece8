/* Parses the value of one argument by its type. */
#include "core/fmt.h"
#include "core/script/diagnostics.h"
#include "core/script/number.h"
#include "core/script/parser.h"
#include "core/script/suggest.h"
#include "core/script/variables.h"

#define WORDS_SHOWN_MAX 128

bool parse_is_reserved_variable(struct text name)
{
    return words_index("cpus memory free page seed rep cpu tsc_hz", name) >= 0;
}

static bool check_thing_name(struct parser *parser, struct text name)
{
    if (!parse_check_name(parser, name, "a space or object"))
        return false;
    if (words_index("c d E F inject", name) < 0)
        return true;
    script_error(parser->scenario, name.data,
                 "'%.*s' is taken: things cannot be called "
                 "c, d, E, F or inject",
                 TEXT_ARGS(name));
    return false;
}

static bool check_region_name(struct parser *parser, struct text name)
{
    if (!parse_check_name(parser, name, "a region"))
        return false;
    if (text_is(name, "_") || is_letter(name.data[0]))
        return true;
    script_error(parser->scenario, name.data, "the name of a region starts with a letter");
    return false;
}

/* S, O: in the command that makes it, and wherever it is used. */
static bool parse_thing(struct parser *parser, struct text text, struct argument *argument)
{
    argument->thing_name = text;
    return check_thing_name(parser, text);
}

static bool parse_region(struct parser *parser, struct text text, struct argument *argument)
{
    argument->region_name = text;
    argument->thing_name = text_cut(&argument->region_name, '.');
    if (argument->region_name.size == 0) {
        script_error(parser->scenario, text.data, "a region is named SPACE.REGION, not '%.*s'",
                     TEXT_ARGS(script_shown(text)));
        return false;
    }
    return check_thing_name(parser, argument->thing_name) &&
           check_region_name(parser, argument->region_name);
}

/* The name of an object, or a word that stands for something else. */
static bool parse_object(struct parser *parser, const struct argument_spec *spec, struct text text,
                         struct argument *argument)
{
    bool is_word = spec->words != NULL && words_index(spec->words, text) >= 0;
    return is_word || parse_thing(parser, text, argument);
}

static bool parse_address(struct parser *parser, struct text text, struct argument *argument)
{
    struct text address = text;
    argument->thing_name = text_cut(&address, '@');
    if (!check_thing_name(parser, argument->thing_name))
        return false;
    if (address.size >= 2 && address.data[0] == '{')
        address = (struct text){address.data + 1, address.size - 2};
    enum static_kind kind = STATIC_UNKNOWN;
    argument->expression = parse_expression(parser, address, &kind);
    if (argument->expression != NULL && kind == STATIC_WORD)
        script_error(parser->scenario, address.data, "an address is a number");
    return argument->expression != NULL;
}

static bool has_byte(struct text text, char byte)
{
    size_t size = text.size;
    return text_cut(&text, byte).size != size;
}

/* S.R or S@EXPR; where only one of them is meant, `type` says so. */
static bool parse_range(struct parser *parser, enum argument_type type, struct text text,
                        struct argument *argument)
{
    if (has_byte(text, '@') && type != TYPE_REGION)
        return parse_address(parser, text, argument);
    if (type == TYPE_ADDRESS) {
        script_error(parser->scenario, text.data, "an address is written SPACE@EXPR, not '%.*s'",
                     TEXT_ARGS(script_shown(text)));
        return false;
    }
    if (!parse_region(parser, text, argument))
        return false;
    if (!text_is(argument->region_name, "_"))
        return true;
    script_error(parser->scenario, text.data, "the region '_' has no name to use it by");
    return false;
}

static bool is_prot(struct text text)
{
    if (text_is(text, "none"))
        return true;
    unsigned seen = 0;
    for (size_t i = 0; i < text.size; i++) {
        int right = text.data[i] == 'r' ? 1 : text.data[i] == 'w' ? 2 : text.data[i] == 'x' ? 4 : 0;
        if (right == 0 || (seen & (unsigned)right) != 0)
            return false;
        seen |= (unsigned)right;
    }
    return text.size > 0;
}

/* "a number, any or rest": what the argument takes. */
static const char *describe_words(const struct argument_spec *spec, char *buffer, size_t size)
{
    struct text rest = text_of(spec->words != NULL ? spec->words : "");
    size_t length = fmt_print(buffer, size, "%s", spec->type == TYPE_NUMBER ? "a number" : "");
    while (rest.size > 0 && length < size) {
        struct text word = text_cut(&rest, ' ');
        const char *separator = length == 0 ? "" : rest.size == 0 ? " or " : ", ";
        length += fmt_print(buffer + length, size - length, "%s%.*s", separator, TEXT_ARGS(word));
    }
    return buffer;
}

/* Is the word one that the argument takes? Records an error if not. */
static bool check_word(struct parser *parser, const struct argument_spec *spec, struct text word)
{
    if (spec->type == TYPE_PROT) {
        if (is_prot(word))
            return true;
        script_error(parser->scenario, word.data,
                     "rights are 'none' or letters of rwx, each once, not '%.*s'",
                     TEXT_ARGS(script_shown(word)));
        return false;
    }
    if (spec->words != NULL && words_index(spec->words, word) >= 0)
        return true;
    struct suggestion suggestion;
    suggestion_init(&suggestion, word);
    if (spec->words != NULL)
        suggestion_offer_words(&suggestion, spec->words);
    char near[SUGGEST_TEXT_MAX];
    char words[WORDS_SHOWN_MAX];
    script_error(parser->scenario, word.data, "%s cannot be '%.*s'%s: it takes %s", spec->name,
                 TEXT_ARGS(script_shown(word)), suggestion_text(&suggestion, near),
                 describe_words(spec, words, sizeof(words)));
    return false;
}

/* NUMBER, CHOICE, PROT: an expression; what is wrong with a single word is found now. */
static bool parse_operand(struct parser *parser, const struct argument_spec *spec, struct text text,
                          struct argument *argument)
{
    enum static_kind kind = STATIC_UNKNOWN;
    argument->expression = parse_expression(parser, text, &kind);
    if (argument->expression == NULL)
        return false;
    const struct term *single = expression_single(argument->expression);
    if (kind == STATIC_WORD)
        return check_word(parser, spec, single->text);
    if (kind == STATIC_NUMBER && spec->type != TYPE_NUMBER) {
        char words[WORDS_SHOWN_MAX] = "none or letters of rwx";
        script_error(parser->scenario, argument->at, "%s takes a word, not a number: %s",
                     spec->name,
                     spec->type == TYPE_PROT ? words : describe_words(spec, words, sizeof(words)));
        return false;
    }
    return true;
}

static bool parse_metric(struct parser *parser, struct text text)
{
    bool valid = text.size > 0 && text.size <= SCRIPT_NAME_MAX;
    for (size_t i = 0; i < text.size; i++)
        valid &= is_word_byte(text.data[i]) || text.data[i] == '.';
    if (!valid)
        script_error(parser->scenario, text.data,
                     "the name of a metric is 1 to %d letters, digits, '_' and '.', not '%.*s' "
                     "(what varies is a parameter)",
                     SCRIPT_NAME_MAX, TEXT_ARGS(script_shown(text)));
    return valid;
}

static bool parse_variable(struct parser *parser, struct text text)
{
    if (!parse_check_name(parser, text, "a variable (without dots and '$')"))
        return false;
    if (!parse_is_reserved_variable(text))
        return true;
    script_error(parser->scenario, text.data, "'%.*s' is always there and cannot be set",
                 TEXT_ARGS(text));
    return false;
}

static bool append_item(struct parser *parser, struct list_item ***tail, struct text text)
{
    struct list_item *item = arena_alloc(parser->arena, sizeof(*item));
    if (item == NULL) {
        parser->out_of_memory = true;
        return false;
    }
    enum static_kind kind = STATIC_UNKNOWN;
    item->value = parse_expression(parser, text, &kind);
    **tail = item;
    *tail = &item->next;
    return item->value != NULL;
}

static bool parse_list(struct parser *parser, const struct word *word, struct argument *argument)
{
    struct list_item **tail = &argument->items;
    struct lexer lexer = {.scenario = parser->scenario,
                          .at = word->text.data,
                          .end = word->text.data + word->text.size};
    size_t count;
    enum lexer_result result = LEXER_END;
    bool valid = true;
    while (valid && (result = lexer_next(&lexer, parser->items, &count)) == LEXER_COMMAND) {
        for (size_t i = 0; valid && i < count; i++)
            valid = append_item(parser, &tail, parser->items[i].text);
    }
    if (valid && result == LEXER_END && argument->items == NULL) {
        script_error(parser->scenario, word->source.data, "a list is {A B C}, not empty");
        valid = false;
    }
    return valid && result == LEXER_END;
}

/* --- quoted texts ------------------------------------------------------------------------------------ */

/* The size of a `$name` or `${name}` at the start of a text. */
static size_t variable_size(struct text text)
{
    size_t at = 1;
    if (at < text.size && text.data[at] == '{') {
        while (at < text.size && text.data[at] != '}')
            at++;
        return at < text.size ? at + 1 : at;
    }
    while (at < text.size) {
        bool joins =
            text.data[at] == '.' && at > 1 && at + 1 < text.size && is_letter(text.data[at + 1]);
        if (!is_word_byte(text.data[at]) && !joins)
            break;
        at++;
    }
    return at;
}

/* The size of what stands before the next variable. */
static size_t verbatim_size(struct text text)
{
    size_t at = 0;
    while (at < text.size && text.data[at] != '$')
        at += text.data[at] == '\\' && at + 1 < text.size ? 2 : 1;
    return at;
}

static bool parse_string(struct parser *parser, const struct word *word, struct argument *argument)
{
    struct string_part **tail = &argument->string;
    struct text rest = word->text;
    while (rest.size > 0) {
        struct string_part *part = arena_alloc(parser->arena, sizeof(*part));
        if (part == NULL) {
            parser->out_of_memory = true;
            return false;
        }
        *tail = part;
        tail = &part->next;
        bool verbatim = word->kind == WORD_BRACED || rest.data[0] != '$';
        size_t size = word->kind == WORD_BRACED ? rest.size
                      : verbatim                ? verbatim_size(rest)
                                                : variable_size(rest);
        struct text piece = {rest.data, size};
        rest = (struct text){rest.data + size, rest.size - size};
        enum static_kind kind = STATIC_UNKNOWN;
        if (verbatim)
            part->text = word->kind == WORD_BRACED ? piece : parse_unescape(parser, piece);
        else if ((part->variable = parse_expression(parser, piece, &kind)) == NULL)
            return false;
    }
    return true;
}

/* --- all of them --------------------------------------------------------------------------------------- */

static bool parse_block(struct parser *parser, const struct command_spec *command,
                        const struct word *word)
{
    if (word->kind == WORD_BRACED)
        return true;
    script_error(parser->scenario, word->source.data, "the block of '%s' is written {...}",
                 command->name);
    return false;
}

/* The value of `set` may be a word; a condition may not. */
static bool parse_rest(struct parser *parser, enum command_id command, struct text text,
                       struct argument *argument)
{
    enum static_kind kind = STATIC_UNKNOWN;
    argument->expression = parse_expression(parser, text, &kind);
    if (argument->expression == NULL || kind != STATIC_WORD || command == COMMAND_SET)
        return argument->expression != NULL;
    script_error(parser->scenario, argument->expression->terms[0].at,
                 "a condition is a number; '%.*s' is a word ('$%.*s' is the variable)",
                 TEXT_ARGS(argument->expression->text), TEXT_ARGS(argument->expression->text));
    return false;
}

static bool parse_counter(struct parser *parser, struct text text, struct argument *argument)
{
    if (counter_find(text, &argument->slot))
        return true;
    struct suggestion suggestion;
    suggestion_init(&suggestion, text);
    counter_suggest(&suggestion);
    char near[SUGGEST_TEXT_MAX];
    script_error(parser->scenario, text.data, "unknown counter '%.*s'%s",
                 TEXT_ARGS(script_shown(text)), suggestion_text(&suggestion, near));
    return false;
}

void parse_value(struct parser *parser, const struct command_spec *command,
                 const struct argument_spec *spec, const struct word *word,
                 struct argument *argument)
{
    bool valid = true;
    argument->at = word->source.data;
    argument->text = word->text;
    argument->thing = argument->region = NO_SLOT;
    switch (spec->type) {
    case TYPE_SPACE_NEW:
    case TYPE_SPACE:
    case TYPE_OBJECT_NEW:
        valid = parse_thing(parser, word->text, argument);
        break;
    case TYPE_OBJECT:
        valid = parse_object(parser, spec, word->text, argument);
        break;
    case TYPE_REGION_NEW:
        valid = parse_region(parser, word->text, argument);
        break;
    case TYPE_REGION:
    case TYPE_RANGE:
    case TYPE_ADDRESS:
        valid = parse_range(parser, spec->type, word->text, argument);
        break;
    case TYPE_THING:
        valid = has_byte(word->text, '.') ? parse_range(parser, TYPE_RANGE, word->text, argument)
                                          : parse_thing(parser, word->text, argument);
        break;
    case TYPE_NUMBER:
    case TYPE_CHOICE:
    case TYPE_PROT:
        valid = parse_operand(parser, spec, word->text, argument);
        break;
    case TYPE_WORD:
        valid = check_word(parser, spec, word->text);
        if (valid)
            argument->slot = (uint32_t)words_index(spec->words, word->text);
        break;
    case TYPE_METRIC:
        valid = parse_metric(parser, word->text);
        break;
    case TYPE_COUNTER:
        valid = parse_counter(parser, word->text, argument);
        break;
    case TYPE_VARIABLE:
        valid = parse_variable(parser, word->text);
        break;
    case TYPE_EXPRESSION:
    case TYPE_CONDITION:
        valid = parse_rest(parser, command->id, word->text, argument);
        break;
    case TYPE_LIST:
        valid = parse_list(parser, word, argument);
        break;
    case TYPE_STRING:
        valid = parse_string(parser, word, argument);
        break;
    case TYPE_BLOCK:
    case TYPE_ELSE:
        valid = parse_block(parser, command, word);
        break;
    }
    argument->given = valid;
}
