/* Gives the words of a command to the arguments of its row in the table. */
#include "core/script/diagnostics.h"
#include "core/script/number.h"
#include "core/script/parser.h"
#include "core/script/suggest.h"

bool parse_check_name(struct parser *parser, struct text name, const char *what)
{
    bool valid = name.size > 0;
    for (size_t i = 0; i < name.size; i++)
        valid &= is_word_byte(name.data[i]);
    if (!valid) {
        script_error(parser->scenario, name.data,
                     "the name of %s is letters, digits and '_', not '%.*s'", what,
                     TEXT_ARGS(script_shown(name)));
        return false;
    }
    if (name.size > SCRIPT_NAME_MAX) {
        script_error(parser->scenario, name.data, "a name has at most %d bytes", SCRIPT_NAME_MAX);
        return false;
    }
    return true;
}

/* Is the word `key=value`? Then *key is cut off. `==` belongs to an expression. */
static bool is_option(const struct word *word, struct text *key)
{
    struct text source = word->source;
    size_t at = 0;
    while (at < source.size && (is_letter(source.data[at]) || source.data[at] == '-'))
        at++;
    if (word->kind != WORD_BARE || at == 0 || at >= source.size || source.data[at] != '=')
        return false;
    if (at + 1 < source.size && source.data[at + 1] == '=')
        return false;
    *key = (struct text){source.data, at};
    return true;
}

static const struct argument_spec *find_option(const struct command_spec *spec, struct text key)
{
    for (size_t i = 0; i < spec->argument_count; i++) {
        const struct argument_spec *option = &spec->arguments[i];
        if ((option->flags & POSITIONAL) == 0 && text_is(key, option->name))
            return option;
    }
    return NULL;
}

static void refuse_option(struct parser *parser, const struct command_spec *spec, struct text key)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, key);
    for (size_t i = 0; i < spec->argument_count; i++) {
        if ((spec->arguments[i].flags & POSITIONAL) == 0)
            suggestion_offer(&suggestion, text_of(spec->arguments[i].name));
    }
    char near[SUGGEST_TEXT_MAX];
    script_error(parser->scenario, key.data, "unknown option '%.*s' of '%s'%s",
                 TEXT_ARGS(script_shown(key)), spec->name, suggestion_text(&suggestion, near));
}

static void parse_option(struct parser *parser, struct command *command, const struct word *word,
                         struct text key)
{
    const struct command_spec *spec = command->spec;
    const struct argument_spec *option = find_option(spec, key);
    if (option == NULL) {
        refuse_option(parser, spec, key);
        return;
    }
    struct argument *argument = &command->arguments[option - spec->arguments];
    struct word value = *word;
    value.source.data += key.size + 1;
    value.source.size -= key.size + 1;
    value.text = value.source;
    if (value.text.size >= 2 && value.text.data[0] == '{') {
        value.kind = WORD_BRACED;
        value.text = (struct text){value.text.data + 1, value.text.size - 2};
    }
    if (argument->given)
        script_error(parser->scenario, key.data, "option '%s' is given twice", option->name);
    else if (value.source.size == 0)
        script_error(parser->scenario, key.data, "option '%s' has no value", option->name);
    else
        parse_value(parser, spec, option, &value, argument);
}

/* `else {...}`: two words. Returns how many words were taken. */
static size_t parse_else(struct parser *parser, struct argument *argument, size_t at)
{
    const struct word *words = parser->words;
    bool complete = text_is(words[at].source, "else") && at + 1 < parser->word_count &&
                    words[at + 1].kind == WORD_BRACED;
    if (!complete) {
        script_error(parser->scenario, words[at].source.data,
                     "after the block of 'if' only 'else {...}' may follow");
        return parser->word_count - at;
    }
    argument->given = true;
    argument->at = words[at].source.data;
    argument->text = words[at + 1].text;
    return 2;
}

static const struct argument_spec *next_positional(const struct command_spec *spec, size_t *index)
{
    while (*index < spec->argument_count) {
        const struct argument_spec *argument = &spec->arguments[(*index)++];
        if (argument->flags & POSITIONAL)
            return argument;
    }
    return NULL;
}

static void check_required(struct parser *parser, const struct command *command)
{
    const struct command_spec *spec = command->spec;
    for (size_t i = 0; i < spec->argument_count; i++) {
        const struct argument_spec *argument = &spec->arguments[i];
        if ((argument->flags & REQUIRED) == 0 || command->arguments[i].given)
            continue;
        if (argument->flags & POSITIONAL)
            script_error(parser->scenario, command->at, "'%s' lacks its %s (usage: %s)", spec->name,
                         argument->name, spec->usage);
        else
            script_error(parser->scenario, command->at, "'%s' needs the option '%s='", spec->name,
                         argument->name);
        return;
    }
}

static void parse_words(struct parser *parser, struct command *command)
{
    const struct command_spec *spec = command->spec;
    size_t positional = 0;
    for (size_t i = 1; i < parser->word_count;) {
        const struct word *word = &parser->words[i];
        struct text key;
        if (is_option(word, &key)) {
            parse_option(parser, command, word, key);
            i++;
            continue;
        }
        const struct argument_spec *argument = next_positional(spec, &positional);
        if (argument == NULL) {
            script_error(parser->scenario, word->source.data,
                         "unexpected word '%.*s' (usage: %s; blanks need {...})",
                         TEXT_ARGS(script_shown(word->source)), spec->usage);
            return;
        }
        struct argument *target = &command->arguments[argument - spec->arguments];
        if (argument->type == TYPE_ELSE) {
            i += parse_else(parser, target, i);
            continue;
        }
        parse_value(parser, spec, argument, word, target);
        i++;
    }
}

/* `set V EXPR` and `expect EXPR ?"message"?`: all words that are left are one expression. */
static void parse_rest(struct parser *parser, struct command *command, size_t first)
{
    const struct command_spec *spec = command->spec;
    size_t end = parser->word_count;
    bool has_message =
        spec->id == COMMAND_EXPECT && end > first + 1 && parser->words[end - 1].kind == WORD_QUOTED;
    if (has_message) {
        parse_value(parser, spec, &spec->arguments[1], &parser->words[end - 1],
                    &command->arguments[1]);
        end--;
    }
    if (first >= end)
        return;
    struct word rest = parser->words[first];
    if (end > first + 1) {
        const struct text *last = &parser->words[end - 1].source;
        rest.text = rest.source;
        rest.text.size = (size_t)(last->data + last->size - rest.text.data);
        rest.source = rest.text;
    }
    size_t value = spec->id == COMMAND_EXPECT ? 0 : 1;
    parse_value(parser, spec, &spec->arguments[value], &rest, &command->arguments[value]);
}

void parse_arguments(struct parser *parser, struct command *command)
{
    size_t errors = parser->scenario->error_count;
    if (command->spec->id == COMMAND_EXPECT) {
        parse_rest(parser, command, 1);
    } else if (command->spec->id == COMMAND_SET) {
        if (parser->word_count > 1)
            parse_value(parser, command->spec, &command->spec->arguments[0], &parser->words[1],
                        &command->arguments[0]);
        parse_rest(parser, command, 2);
    } else {
        parse_words(parser, command);
    }
    if (parser->scenario->error_count == errors)
        check_required(parser, command);
}
