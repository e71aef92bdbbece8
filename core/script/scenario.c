/* A scenario seen from outside: load, show errors, select. */
#include "core/fmt.h"
#include "core/script/checker.h"
#include "core/script/diagnostics.h"
#include "core/script/parser.h"
#include "core/script/script.h"
#include "core/script/suggest.h"

/* Of a line that is longer, a window around the error is shown. */
#define LINE_SHOWN_MAX 160

/* --- loading ---------------------------------------------------------------------------------------------- */

static struct text base_name(const char *file_name)
{
    struct text name = text_of(file_name);
    for (size_t i = name.size; i > 0; i--) {
        if (name.data[i - 1] == '/' || name.data[i - 1] == '\\') {
            name = (struct text){name.data + i, name.size - i};
            break;
        }
    }
    if (name.size > 4 && text_is((struct text){name.data + name.size - 4, 4}, ".scn"))
        name.size -= 4;
    return name;
}

static bool parse_and_check(struct scenario *scenario, struct arena *arena, struct script *script)
{
    struct parser *parser = arena_alloc(arena, sizeof(*parser));
    struct checker *checker = arena_alloc(arena, sizeof(*checker));
    if (parser == NULL || checker == NULL || !parser_run(parser, scenario, arena, script))
        return false;
    return scenario->error_count > 0 || checker_run(checker, scenario, arena, script);
}

result_t scenario_load(struct scenario *scenario, struct arena *arena, const char *file_name,
                       struct text source)
{
    if (source.size == 0)
        source = TEXT("");
    if (text_starts(source, "\xef\xbb\xbf")) /* some editors' mark for UTF-8 */
        source = (struct text){source.data + 3, source.size - 3};
    *scenario =
        (struct scenario){.file_name = file_name, .source = source, .name = base_name(file_name)};
    if (source.size > SCRIPT_FILE_MAX) {
        script_error(scenario, source.data, "the file is larger than 1 MiB");
        return EINVAL;
    }
    size_t mark = arena_mark(arena);
    struct script *script = arena_alloc(arena, sizeof(*script));
    if (script != NULL)
        *script = (struct script){.file_name = file_name, .source = source};
    if (script == NULL || !parse_and_check(scenario, arena, script)) {
        arena_release(arena, mark);
        scenario->error_count = 0;
        script_error(scenario, source.data, "not enough memory to check this file");
        return ENOMEM;
    }
    if (scenario->error_count > 0)
        return EINVAL;
    scenario->script = script;
    return OK;
}

/* --- errors ------------------------------------------------------------------------------------------------- */

static struct text line_of(struct text source, unsigned line)
{
    const char *at = source.data;
    const char *end = source.data + source.size;
    for (unsigned i = 1; i < line && at < end; at++)
        i += *at == '\n';
    return script_line(source, at);
}

/* Copies a part of the line, without what would disturb a terminal; returns the new length. */
static size_t copy_shown(char *to, struct text line, size_t from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char byte = line.data[from + i];
        to[i] = (byte >= 0 && byte < ' ' && byte != '\t') || byte == 0x7f ? '?' : byte;
    }
    return size;
}

/* How many bytes of the line stand before a column. */
static size_t bytes_before(struct text line, unsigned column)
{
    size_t at = 0;
    for (unsigned i = 1; i < column && at < line.size; i++) {
        at++;
        while (at < line.size && ((unsigned char)line.data[at] & 0xc0) == 0x80)
            at++;
    }
    return at;
}

size_t scenario_format_error(const struct scenario *scenario, size_t index, char *buffer,
                             size_t size)
{
    const struct script_error *error = &scenario->errors[index];
    struct text line = line_of(scenario->source, error->line);
    size_t before = bytes_before(line, error->column);
    size_t from =
        before > LINE_SHOWN_MAX / 2 && line.size > LINE_SHOWN_MAX ? before - LINE_SHOWN_MAX / 2 : 0;
    size_t length = line.size - from < LINE_SHOWN_MAX ? line.size - from : LINE_SHOWN_MAX;

    char shown[LINE_SHOWN_MAX];
    char blanks[LINE_SHOWN_MAX];
    size_t shown_size = copy_shown(shown, line, from, length);
    size_t blank_size = 0;
    for (size_t i = from; i < before; i++) {
        char byte = line.data[i];
        if (((unsigned char)byte & 0xc0) != 0x80)
            blanks[blank_size++] = byte == '\t' ? '\t' : ' ';
    }
    return fmt_print(buffer, size, "%s:%u:%u: error: %s\n%.*s\n%.*s^\n", scenario->file_name,
                     error->line, error->column, error->message, (int)shown_size, shown,
                     (int)blank_size, blanks);
}

/* --- selecting ------------------------------------------------------------------------------------------------ */

static bool has_tag(const struct scenario *scenario, struct text tag)
{
    for (size_t i = 0; i < scenario->tag_count; i++) {
        if (text_equal(scenario->tags[i], tag))
            return true;
    }
    return false;
}

static bool item_matches(const struct scenario *scenario, struct text item)
{
    if (text_is(item, "all"))
        return true;
    if (text_starts(item, "tag:"))
        return has_tag(scenario, (struct text){item.data + 4, item.size - 4});
    return text_equal(scenario->name, item);
}

static void refuse_item(const struct scenario *scenarios, size_t count, const char *parameter,
                        struct text item, struct boot_params_error *error)
{
    bool is_tag = text_starts(item, "tag:");
    struct suggestion suggestion;
    suggestion_init(&suggestion, is_tag ? (struct text){item.data + 4, item.size - 4} : item);
    for (size_t i = 0; i < count; i++) {
        if (!is_tag)
            suggestion_offer(&suggestion, scenarios[i].name);
        for (size_t k = 0; is_tag && k < scenarios[i].tag_count; k++)
            suggestion_offer(&suggestion, scenarios[i].tags[k]);
    }
    fmt_print(error->text, sizeof(error->text), "%s=: no scenario %s '%.*s' (nearest: '%s%.*s')",
              parameter, is_tag ? "has the tag" : "is called",
              TEXT_ARGS(script_shown(suggestion.wanted)), is_tag ? "tag:" : "",
              TEXT_ARGS(suggestion.nearest));
}

/* Sets `selected` to `value` in all that a list names. */
static result_t apply_list(struct scenario *scenarios, size_t count, const char *parameter,
                           struct text list, bool value, struct boot_params_error *error)
{
    while (list.size > 0) {
        struct text item = text_cut(&list, ',');
        bool matched = text_is(item, "all");
        for (size_t i = 0; i < count; i++) {
            if (!item_matches(&scenarios[i], item))
                continue;
            scenarios[i].selected = value;
            matched = true;
        }
        if (!matched) {
            refuse_item(scenarios, count, parameter, item, error);
            return EINVAL;
        }
    }
    return OK;
}

result_t scenario_select(struct scenario *scenarios, size_t count, const struct boot_params *params,
                         struct boot_params_error *error)
{
    struct text run = params->run.size > 0 ? params->run : TEXT("all");
    error->text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        scenarios[i].selected = false;
    result_t result = apply_list(scenarios, count, "run", run, true, error);
    if (result != OK)
        return result;
    return apply_list(scenarios, count, "skip", params->skip, false, error);
}

/* --- parameters of scenarios at boot ----------------------------------------------------------------------------- */

static const struct scenario *find_scenario(const struct scenario *scenarios, size_t count,
                                            struct text name, struct suggestion *suggestion)
{
    suggestion_init(suggestion, name);
    for (size_t i = 0; i < count; i++) {
        suggestion_offer(suggestion, scenarios[i].name);
        if (text_equal(scenarios[i].name, name))
            return &scenarios[i];
    }
    return NULL;
}

bool scenario_words_are_ours(struct text *words, const struct scenario *scenarios, size_t count)
{
    if (boot_params_are_ours(words))
        return true;
    struct text rest = *words;
    for (struct text word = boot_params_cut_word(&rest); word.size > 0;
         word = boot_params_cut_word(&rest)) {
        struct text values = word;
        struct text param = text_cut(&values, '=');
        struct text scenario = text_cut(&param, '.');
        if (param.size == 0 || values.size == 0)
            continue;
        struct suggestion suggestion;
        if (find_scenario(scenarios, count, scenario, &suggestion) != NULL ||
            suggestion.distance <= 2)
            return true;
    }
    return false;
}

static const struct script_param *find_param(const struct scenario *scenario, struct text name,
                                             struct suggestion *suggestion)
{
    suggestion_init(suggestion, name);
    for (size_t i = 0; i < scenario->param_count; i++) {
        suggestion_offer(suggestion, scenario->params[i].name);
        if (text_equal(scenario->params[i].name, name))
            return &scenario->params[i];
    }
    return NULL;
}

/* A constant expression or a word? */
static bool is_value(struct text value)
{
    /* Too large for a stack; used before there is more than one CPU. */
    static char memory[8192] __attribute__((aligned(16)));
    static struct scenario scratch;
    struct arena arena;
    arena_init(&arena, memory, sizeof(memory));
    scratch = (struct scenario){.file_name = "", .source = value};
    enum static_kind kind;
    bool out_of_memory = false;
    const struct expression *expression =
        expression_parse(&scratch, &arena, value, &kind, &out_of_memory);
    for (uint32_t i = 0; expression != NULL && i < expression->count; i++) {
        if (expression->terms[i].kind == TERM_VARIABLE)
            return false;
    }
    return expression != NULL;
}

static result_t check_override(const struct boot_override *override,
                               const struct scenario *scenarios, size_t count,
                               struct boot_params_error *error)
{
    struct suggestion suggestion;
    char near[SUGGEST_TEXT_MAX];
    const struct scenario *scenario =
        find_scenario(scenarios, count, override->scenario, &suggestion);
    if (scenario == NULL) {
        fmt_print(error->text, sizeof(error->text),
                  "bad boot parameter '%.*s': no scenario is called '%.*s'%s",
                  TEXT_ARGS(script_shown(override->word)),
                  TEXT_ARGS(script_shown(override->scenario)), suggestion_text(&suggestion, near));
        return EINVAL;
    }
    if (scenario->error_count > 0) /* its own errors are reported, and it does not run */
        return OK;
    if (find_param(scenario, override->param, &suggestion) == NULL) {
        fmt_print(error->text, sizeof(error->text),
                  "bad boot parameter '%.*s': scenario '%.*s' has no parameter '%.*s'%s",
                  TEXT_ARGS(script_shown(override->word)), TEXT_ARGS(scenario->name),
                  TEXT_ARGS(script_shown(override->param)), suggestion_text(&suggestion, near));
        return EINVAL;
    }
    size_t value_count = 0;
    bool last_is_empty = override->values.data[override->values.size - 1] == ',';
    for (struct text rest = override->values; rest.size > 0; value_count++) {
        struct text value = text_cut(&rest, ',');
        if (value.size > 0 && !last_is_empty && value_count < SCRIPT_PARAM_VALUES_MAX &&
            is_value(value))
            continue;
        fmt_print(error->text, sizeof(error->text),
                  "bad boot parameter '%.*s': '%.*s' is not a value (1 to %d numbers or words, "
                  "separated by commas)",
                  TEXT_ARGS(script_shown(override->word)), TEXT_ARGS(script_shown(value)),
                  SCRIPT_PARAM_VALUES_MAX);
        return EINVAL;
    }
    return OK;
}

result_t boot_params_check_scenarios(const struct boot_params *params,
                                     const struct scenario *scenarios, size_t count,
                                     struct boot_params_error *error)
{
    error->text[0] = '\0';
    for (size_t i = 0; i < params->override_count; i++) {
        result_t result = check_override(&params->overrides[i], scenarios, count, error);
        if (result != OK)
            return result;
    }
    return OK;
}
