/* Parses the head of a scenario: scenario, tags, needs, param. */
#include "core/script/diagnostics.h"
#include "core/script/parser.h"
#include "core/script/suggest.h"

static bool is_scenario_name(struct text name)
{
    for (size_t i = 0; i < name.size; i++) {
        char byte = name.data[i];
        if (!(byte >= 'a' && byte <= 'z') && !(byte >= '0' && byte <= '9') && byte != '-')
            return false;
    }
    return name.size > 0 && name.size <= SCRIPT_NAME_MAX;
}

struct text parse_unescape(struct parser *parser, struct text text)
{
    bool escaped = false;
    for (size_t i = 0; i < text.size; i++)
        escaped |= text.data[i] == '\\';
    if (!escaped)
        return text;
    char *copy = arena_copy(parser->arena, text.data, text.size);
    if (copy == NULL) {
        parser->out_of_memory = true;
        return text;
    }
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\\' && i + 1 < text.size)
            i++;
        copy[size++] = text.data[i];
    }
    return (struct text){copy, size};
}

static void parse_scenario(struct parser *parser)
{
    struct scenario *scenario = parser->scenario;
    const struct word *words = parser->words;
    if (parser->word_count != 3 || words[2].kind != WORD_QUOTED) {
        script_error(scenario, words[0].source.data, "usage: scenario NAME \"one line about it\"");
        return;
    }
    struct text name = words[1].source;
    scenario->description = parse_unescape(parser, words[2].text);
    if (!is_scenario_name(name) || text_is(name, "policy"))
        script_error(scenario, name.data,
                     "a scenario's name is 1 to %d of a-z, 0-9 and '-', and not 'policy'",
                     SCRIPT_NAME_MAX);
    else if (!text_equal(name, scenario->name))
        script_error(scenario, name.data,
                     "the name '%.*s' is not the file's name without .scn ('%.*s')",
                     TEXT_ARGS(script_shown(name)), TEXT_ARGS(script_shown(scenario->name)));
}

static bool is_tag(struct text tag)
{
    for (size_t i = 0; i < tag.size; i++) {
        char byte = tag.data[i];
        bool allowed = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
                       byte == '-' || byte == '_';
        if (!allowed)
            return false;
    }
    return tag.size > 0 && tag.size <= SCRIPT_NAME_MAX;
}

static void parse_tags(struct parser *parser)
{
    struct scenario *scenario = parser->scenario;
    if (parser->word_count < 2)
        script_error(scenario, parser->words[0].source.data, "usage: tags WORD ...");
    for (size_t i = 1; i < parser->word_count; i++) {
        struct text tag = parser->words[i].source;
        if (!is_tag(tag)) {
            script_error(scenario, tag.data, "a tag is 1 to %d of a-z, 0-9, '-' and '_'",
                         SCRIPT_NAME_MAX);
            return;
        }
        if (scenario->tag_count == SCRIPT_TAGS_MAX) {
            script_error(scenario, tag.data, "more than %d tags", SCRIPT_TAGS_MAX);
            return;
        }
        scenario->tags[scenario->tag_count++] = tag;
    }
}

/* --- needs ------------------------------------------------------------------------------------------ */

static void parse_need_amount(struct parser *parser, struct need *need, struct text amount)
{
    bool braced = amount.size >= 2 && amount.data[0] == '{';
    if (braced)
        amount = (struct text){amount.data + 1, amount.size - 2};
    enum static_kind kind = STATIC_UNKNOWN;
    need->amount = parse_expression(parser, amount, &kind);
    if (need->amount != NULL && kind == STATIC_WORD)
        script_error(parser->scenario, amount.data, "a number is needed here");
}

static bool parse_need_word(struct parser *parser, struct need *need)
{
    struct text text = need->text;
    if (text_is(text, "framebuffer")) {
        need->kind = NEED_FRAMEBUFFER;
        return true;
    }
    if (text_is(text, "disk")) {
        need->kind = NEED_DISK;
        return true;
    }
    if (text_starts(text, "feature:")) {
        need->kind = NEED_FEATURE;
        need->feature = (struct text){text.data + 8, text.size - 8};
        return parse_check_name(parser, need->feature, "a feature");
    }
    bool cpus = text_starts(text, "cpus>=");
    if (cpus || text_starts(text, "memory>=")) {
        size_t skipped = cpus ? 6 : 8;
        need->kind = cpus ? NEED_CPUS : NEED_MEMORY;
        parse_need_amount(parser, need, (struct text){text.data + skipped, text.size - skipped});
        return need->amount != NULL;
    }
    struct suggestion suggestion;
    struct text rest = text;
    suggestion_init(&suggestion, text_cut(&rest, '>'));
    suggestion_offer_words(&suggestion, "cpus memory framebuffer disk feature");
    char near[SUGGEST_TEXT_MAX];
    script_error(parser->scenario, text.data,
                 "unknown need '%.*s'%s: cpus>=N, memory>=SIZE, framebuffer, disk and "
                 "feature:NAME are known",
                 TEXT_ARGS(script_shown(text)), suggestion_text(&suggestion, near));
    return false;
}

static void parse_needs(struct parser *parser)
{
    struct script *script = parser->script;
    if (parser->word_count < 2)
        script_error(parser->scenario, parser->words[0].source.data, "usage: needs CONDITION ...");
    for (size_t i = 1; i < parser->word_count; i++) {
        struct text text = parser->words[i].source;
        struct need need = {.at = text.data, .text = text};
        if (script->need_count == SCRIPT_NEEDS_MAX) {
            script_error(parser->scenario, text.data, "more than %d needs", SCRIPT_NEEDS_MAX);
            return;
        }
        if (parse_need_word(parser, &need))
            script->needs[script->need_count++] = need;
    }
}

/* --- param ------------------------------------------------------------------------------------------- */

static bool check_param_name(struct parser *parser, struct text name)
{
    struct scenario *scenario = parser->scenario;
    if (!parse_check_name(parser, name, "a parameter"))
        return false;
    if (parse_is_reserved_variable(name)) {
        script_error(scenario, name.data, "'%.*s' is always there and cannot be a parameter",
                     TEXT_ARGS(name));
        return false;
    }
    for (size_t i = 0; i < scenario->param_count; i++) {
        if (text_equal(scenario->params[i].name, name)) {
            script_error(scenario, name.data, "parameter '%.*s' is there already",
                         TEXT_ARGS(script_shown(name)));
            return false;
        }
    }
    if (scenario->param_count == SCRIPT_PARAMS_MAX) {
        script_error(scenario, name.data, "more than %d parameters", SCRIPT_PARAMS_MAX);
        return false;
    }
    return true;
}

static void parse_param_value(struct parser *parser, struct script_param *param,
                              struct param_values *values, const struct word *word)
{
    if (word->kind == WORD_QUOTED) {
        script_error(parser->scenario, word->source.data,
                     "a quoted text is the help and stands last");
        return;
    }
    if (param->value_count == SCRIPT_PARAM_VALUES_MAX) {
        script_error(parser->scenario, word->source.data, "more than %d values",
                     SCRIPT_PARAM_VALUES_MAX);
        return;
    }
    enum static_kind kind = STATIC_UNKNOWN;
    struct expression *value = parse_expression(parser, word->text, &kind);
    if (value == NULL)
        return;
    param->values[param->value_count] = value->text;
    values->values[param->value_count] = value;
    param->value_count++;
}

static void parse_param(struct parser *parser)
{
    struct scenario *scenario = parser->scenario;
    const struct word *words = parser->words;
    size_t end = parser->word_count;
    bool has_help = end > 2 && words[end - 1].kind == WORD_QUOTED;
    if (has_help)
        end--;
    if (end < 3) {
        script_error(scenario, words[0].source.data, "usage: param NAME VALUE ... ?\"help\"?");
        return;
    }
    if (!check_param_name(parser, words[1].source))
        return;
    struct script_param *param = &scenario->params[scenario->param_count];
    struct param_values *values = &parser->script->params[scenario->param_count];
    *param = (struct script_param){.name = words[1].source};
    *values = (struct param_values){.variable = NO_SLOT, .at = words[1].source.data};
    if (has_help)
        param->help = parse_unescape(parser, words[end].text);
    for (size_t i = 2; i < end; i++)
        parse_param_value(parser, param, values, &words[i]);
    scenario->param_count++;
}

void parse_head_command(struct parser *parser, const struct command_spec *spec)
{
    if (spec->id == COMMAND_SCENARIO)
        parse_scenario(parser);
    else if (spec->id == COMMAND_TAGS)
        parse_tags(parser);
    else if (spec->id == COMMAND_NEEDS)
        parse_needs(parser);
    else
        parse_param(parser);
}
