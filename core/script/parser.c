/* Parses a scenario: the walk over blocks and commands. No recursion: blocks under way are a stack. */
#include "core/script/parser.h"

#include "core/script/diagnostics.h"
#include "core/script/suggest.h"

const struct argument *command_argument(const struct command *command, enum argument_id id)
{
    for (size_t i = 0; i < command->spec->argument_count; i++) {
        if (command->spec->arguments[i].id == id)
            return command->arguments[i].given ? &command->arguments[i] : NULL;
    }
    return NULL;
}

struct expression *parse_expression(struct parser *parser, struct text text, enum static_kind *kind)
{
    return expression_parse(parser->scenario, parser->arena, text, kind, &parser->out_of_memory);
}

static void push_frame(struct parser *parser, struct command *opener, struct text block)
{
    if (parser->frame_count == SCRIPT_NESTING_MAX + 1) {
        script_error(parser->scenario, block.data, "blocks are nested deeper than %d",
                     SCRIPT_NESTING_MAX);
        return;
    }
    parser->frames[parser->frame_count++] = (struct parser_frame){
        .lexer = {.scenario = parser->scenario, .at = block.data, .end = block.data + block.size},
        .opener = opener,
    };
}

static struct command *append(struct parser *parser, enum command_id id,
                              const struct command_spec *spec, const char *at)
{
    struct command *command = arena_alloc(parser->arena, sizeof(*command));
    if (spec == NULL)
        spec = command_of(id);
    if (command != NULL && spec->argument_count > 0)
        command->arguments =
            arena_alloc(parser->arena, spec->argument_count * sizeof(struct argument));
    if (command == NULL || (spec->argument_count > 0 && command->arguments == NULL)) {
        parser->out_of_memory = true;
        return NULL;
    }
    command->spec = spec;
    command->at = at;
    *parser->tail = command;
    parser->tail = &command->next;
    return command;
}

static const struct command_spec *refuse_command(struct parser *parser, struct text name)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, name);
    for (size_t i = 0; i < command_table_count; i++) {
        if (command_table[i].id < COMMAND_ELSE)
            suggestion_offer(&suggestion, text_of(command_table[i].name));
    }
    char near[SUGGEST_TEXT_MAX];
    script_error(parser->scenario, name.data, "unknown command '%.*s'%s",
                 TEXT_ARGS(script_shown(name)), suggestion_text(&suggestion, near));
    return NULL;
}

/* `expect fault` and `expect error` are commands of their own; their second word is taken off. */
static const struct command_spec *find_expect(struct parser *parser)
{
    bool fault = parser->word_count > 1 && text_is(parser->words[1].source, "fault");
    bool error = parser->word_count > 1 && text_is(parser->words[1].source, "error");
    if (!fault && !error)
        return command_of(COMMAND_EXPECT);
    parser->word_count--;
    memmove(&parser->words[1], &parser->words[2],
            (parser->word_count - 1) * sizeof(parser->words[0]));
    return command_of(fault ? COMMAND_EXPECT_FAULT : COMMAND_EXPECT_ERROR);
}

/* The row of the command at hand, with an error recorded if it has none or may not stand here. */
static const struct command_spec *find_spec(struct parser *parser)
{
    const struct word *first = &parser->words[0];
    struct text name = first->source;
    if (first->kind != WORD_BARE) {
        script_error(parser->scenario, name.data, "a command is expected here");
        return NULL;
    }
    const struct command_spec *spec =
        text_is(name, "expect") ? find_expect(parser) : command_find(name);
    if (spec == NULL || spec->id == COMMAND_END)
        return refuse_command(parser, name);
    if (spec->id == COMMAND_ELSE) {
        script_error(parser->scenario, name.data,
                     "'else' stands on the line of the '}' that ends the block of 'if'");
        return NULL;
    }
    return spec;
}

static bool check_order(struct parser *parser, const struct command_spec *spec, const char *at)
{
    bool is_first = parser->script->command_count == 1;
    if (is_first != (spec->id == COMMAND_SCENARIO)) {
        if (is_first)
            script_error(parser->scenario, at,
                         "the first command of a file is: scenario NAME \"one line\"");
        else
            script_error(parser->scenario, at, "'scenario' stands once, as the first command");
        return false;
    }
    if ((spec->flags & HEAD) == 0) {
        parser->head_ended = true;
    } else if (parser->head_ended) {
        script_error(parser->scenario, at, "'%s' belongs to the head, before other commands",
                     spec->name);
        return false;
    }
    return true;
}

static bool count_command(struct parser *parser, const char *at)
{
    if (parser->script->command_count == SCRIPT_COMMANDS_MAX) {
        script_error(parser->scenario, at, "more than %d commands", SCRIPT_COMMANDS_MAX);
        return false;
    }
    parser->script->command_count++;
    return true;
}

static void parse_limit(struct parser *parser, struct command *command)
{
    const struct argument *seconds = command_argument(command, ARGUMENT_SECONDS);
    if (parser->script->limit_seconds != NULL)
        script_error(parser->scenario, command->at, "'limit' stands only once");
    else if (seconds != NULL)
        parser->script->limit_seconds = seconds->expression;
}

/* Pushes the block of a command, and remembers that of `else`. */
static void open_block(struct parser *parser, struct command *command)
{
    const struct argument *block = command_argument(command, ARGUMENT_BLOCK);
    const struct argument *otherwise = command_argument(command, ARGUMENT_ELSE);
    if (block == NULL)
        return;
    unsigned before = parser->frame_count;
    push_frame(parser, command, block->text);
    if (parser->frame_count > before && otherwise != NULL)
        parser->frames[before].else_block.text = otherwise->text;
}

static void parse_command(struct parser *parser)
{
    const char *at = parser->words[0].source.data;
    const struct command_spec *spec = find_spec(parser);
    if (!count_command(parser, at)) {
        parser->frame_count = 0; /* nothing behind it would count either */
        return;
    }
    if (spec == NULL || !check_order(parser, spec, at))
        return;
    if ((spec->flags & HEAD) && (spec->flags & SPECIAL)) {
        parse_head_command(parser, spec);
        return;
    }
    struct command *command = append(parser, spec->id, spec, at);
    if (command == NULL)
        return;
    /* Broken arguments do not keep the block's own errors from being found. */
    parse_arguments(parser, command);
    if (spec->id == COMMAND_LIMIT)
        parse_limit(parser, command);
    if (spec->flags & BLOCK)
        open_block(parser, command);
}

static void close_block(struct parser *parser)
{
    struct parser_frame *frame = &parser->frames[parser->frame_count - 1];
    struct command *opener = frame->opener;
    struct text otherwise = frame->else_block.text;
    parser->frame_count--;
    if (opener == NULL)
        return;
    bool has_else = otherwise.data != NULL;
    struct command *end =
        append(parser, has_else ? COMMAND_ELSE : COMMAND_END, NULL, frame->lexer.end);
    if (end == NULL)
        return;
    end->opener = opener;
    if (has_else)
        push_frame(parser, opener, otherwise);
}

bool parser_run(struct parser *parser, struct scenario *scenario, struct arena *arena,
                struct script *script)
{
    *parser = (struct parser){.scenario = scenario, .arena = arena, .script = script};
    parser->tail = &script->first;
    push_frame(parser, NULL, scenario->source);
    while (parser->frame_count > 0 && !parser->out_of_memory) {
        struct parser_frame *frame = &parser->frames[parser->frame_count - 1];
        switch (lexer_next(&frame->lexer, parser->words, &parser->word_count)) {
        case LEXER_COMMAND:
            parse_command(parser);
            break;
        case LEXER_END:
            close_block(parser);
            break;
        case LEXER_ERROR:
            break;
        }
    }
    if (script->command_count == 0 && scenario->error_count == 0)
        script_error(scenario, scenario->source.data,
                     "the file is empty; its first command is: scenario NAME \"one line\"");
    return !parser->out_of_memory;
}
