/* Names and what they stand for: collecting them, and finding those that expressions and commands use. */
#include "core/script/checker.h"
#include "core/script/diagnostics.h"
#include "core/script/suggest.h"
#include "core/script/variables.h"

/* --- collecting ---------------------------------------------------------------------------------------- */

static uint32_t find_name(const struct text *names, uint32_t count, struct text name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (text_equal(names[i], name))
            return i;
    }
    return NO_SLOT;
}

uint32_t checker_find_space(const struct checker *checker, struct text name)
{
    return find_name(checker->script->space_names, checker->script->space_count, name);
}

uint32_t checker_find_region(const struct checker *checker, struct text name)
{
    return find_name(checker->script->region_names, checker->script->region_count, name);
}

uint32_t checker_find_variable(const struct checker *checker, struct text name)
{
    return find_name(checker->script->variable_names, checker->script->variable_count, name);
}

static uint32_t add_name(struct checker *checker, struct text *names, uint32_t *count,
                         struct text name)
{
    uint32_t slot = find_name(names, *count, name);
    if (slot != NO_SLOT)
        return slot;
    if (checker->name_count == SCRIPT_NAMES_MAX) {
        script_error(checker->scenario, name.data, "more than %d names", SCRIPT_NAMES_MAX);
        return NO_SLOT;
    }
    checker->name_count++;
    names[*count] = name;
    return (*count)++;
}

static void add_metric(struct checker *checker, const struct command *command,
                       struct argument *argument)
{
    struct script *script = checker->script;
    enum metric_kind kind = METRIC_CALL;
    if (command->spec->id == COMMAND_TIME)
        kind = METRIC_TIME;
    else if (command->spec->id == COMMAND_TOUCH)
        kind = METRIC_ACCESS;
    else if (command->spec->id == COMMAND_COUNT)
        kind = METRIC_COUNT;
    uint32_t slot = 0;
    while (slot < script->metric_count && !text_equal(script->metrics[slot].name, argument->text))
        slot++;
    argument->slot = slot;
    if (slot < script->metric_count) {
        if ((script->metrics[slot].kind == METRIC_COUNT) != (kind == METRIC_COUNT))
            script_error(checker->scenario, argument->at,
                         "metric '%.*s' cannot hold both ticks and counts",
                         TEXT_ARGS(script_shown(argument->text)));
        return;
    }
    if (slot == SCRIPT_METRICS_MAX || checker->name_count == SCRIPT_NAMES_MAX) {
        bool metrics = slot == SCRIPT_METRICS_MAX;
        script_error(checker->scenario, argument->at, "more than %d %s",
                     metrics ? SCRIPT_METRICS_MAX : SCRIPT_NAMES_MAX,
                     metrics ? "metrics" : "names");
        return;
    }
    checker->name_count++;
    script->metrics[slot] = (struct metric_name){.name = argument->text, .kind = kind};
    script->metric_count++;
}

static void collect_argument(struct checker *checker, const struct command *command,
                             const struct argument_spec *spec, struct argument *argument)
{
    struct script *script = checker->script;
    if (!argument->given)
        return;
    if (spec->type == TYPE_SPACE_NEW)
        add_name(checker, script->space_names, &script->space_count, argument->space_name);
    else if (spec->type == TYPE_REGION_NEW && !text_is(argument->region_name, "_"))
        add_name(checker, script->region_names, &script->region_count, argument->region_name);
    else if (spec->type == TYPE_VARIABLE)
        argument->slot =
            add_name(checker, script->variable_names, &script->variable_count, argument->text);
    else if (spec->type == TYPE_METRIC)
        add_metric(checker, command, argument);
}

/* Spaces and regions that an argument names get their numbers once all names are known. */
static void number_argument(struct checker *checker, struct argument *argument)
{
    argument->space = checker_find_space(checker, argument->space_name);
    argument->region = checker_find_region(checker, argument->region_name);
}

static void collect_params(struct checker *checker)
{
    for (size_t i = 0; i < checker->scenario->param_count; i++)
        checker->script->params[i].variable =
            checker_find_variable(checker, checker->scenario->params[i].name);
}

bool checker_collect_names(struct checker *checker)
{
    struct script *script = checker->script;
    script->space_names = arena_alloc(checker->arena, SCRIPT_NAMES_MAX * sizeof(struct text));
    script->region_names = arena_alloc(checker->arena, SCRIPT_NAMES_MAX * sizeof(struct text));
    script->variable_names = arena_alloc(checker->arena, SCRIPT_NAMES_MAX * sizeof(struct text));
    if (!script->space_names || !script->region_names || !script->variable_names)
        return false;
    checker->name_count = (uint32_t)checker->scenario->param_count;
    for (struct command *command = script->first; command != NULL; command = command->next) {
        for (size_t i = 0; i < command->spec->argument_count; i++)
            collect_argument(checker, command, &command->spec->arguments[i],
                             &command->arguments[i]);
        if (command->spec->id == COMMAND_LOOKUP)
            add_name(checker, script->variable_names, &script->variable_count, TEXT("found"));
    }
    for (struct command *command = script->first; command != NULL; command = command->next) {
        for (size_t i = 0; i < command->spec->argument_count; i++)
            number_argument(checker, &command->arguments[i]);
    }
    collect_params(checker);
    return true;
}

/* --- things in use ------------------------------------------------------------------------------------- */

bool checker_use_space(struct checker *checker, struct text name, uint32_t space, const char *at)
{
    const char *problem = NULL;
    if (space == NO_SLOT) {
        struct suggestion suggestion;
        suggestion_init(&suggestion, name);
        for (uint32_t i = 0; i < checker->script->space_count; i++)
            suggestion_offer(&suggestion, checker->script->space_names[i]);
        char near[SUGGEST_TEXT_MAX];
        script_error(checker->scenario, at, "unknown space '%.*s'%s", TEXT_ARGS(script_shown(name)),
                     suggestion_text(&suggestion, near));
        return false;
    }
    uint32_t cell = checker_cell(checker, space, 0);
    if (checker->deferring > 0)
        return true;
    if (checker->owners[cell] == 0)
        problem = "nothing above makes it in this scope";
    else if (checker->lives[cell] == LIFE_DEAD)
        problem = "it is not alive here";
    if (problem != NULL)
        script_error(checker->scenario, at, "no space '%.*s' (ENOENT): %s",
                     TEXT_ARGS(script_shown(name)), problem);
    return problem == NULL;
}

static void refuse_region(struct checker *checker, const struct argument *argument)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, argument->region_name);
    for (uint32_t i = 0; i < checker->script->region_count; i++) {
        if (checker->owners[checker_cell(checker, argument->space, i + 1)] != 0)
            suggestion_offer(&suggestion, checker->script->region_names[i]);
    }
    char near[SUGGEST_TEXT_MAX];
    script_error(checker->scenario, argument->at, "unknown region '%.*s.%.*s'%s",
                 TEXT_ARGS(script_shown(argument->space_name)),
                 TEXT_ARGS(script_shown(argument->region_name)),
                 suggestion_text(&suggestion, near));
}

bool checker_use_region(struct checker *checker, const struct argument *argument)
{
    if (!checker_use_space(checker, argument->space_name, argument->space, argument->at))
        return false;
    uint32_t cell = 0;
    if (argument->region != NO_SLOT)
        cell = checker_cell(checker, argument->space, argument->region + 1);
    bool deferred = checker->deferring > 0 && argument->region != NO_SLOT;
    if (!deferred && (argument->region == NO_SLOT || checker->owners[cell] == 0)) {
        refuse_region(checker, argument);
        return false;
    }
    if (!deferred && checker->lives[cell] == LIFE_DEAD) {
        script_error(checker->scenario, argument->at,
                     "no region '%.*s.%.*s' (ENOENT): it is not alive here",
                     TEXT_ARGS(argument->space_name), TEXT_ARGS(argument->region_name));
        return false;
    }
    return true;
}

/* --- variables in expressions --------------------------------------------------------------------------- */

static void refuse_variable(struct checker *checker, const struct term *term,
                            const struct suggestion *suggestion)
{
    char near[SUGGEST_TEXT_MAX];
    script_error(checker->scenario, term->at, "unknown variable '$%.*s'%s",
                 TEXT_ARGS(script_shown(term->text)), suggestion_text(suggestion, near));
}

static void resolve_plain(struct checker *checker, struct term *term, size_t param_limit)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, term->text);
    if (variable_find_global(term->text, &term->variable.kind))
        return;
    variable_suggest_global(&suggestion);
    for (uint32_t i = 0; i < checker->script->variable_count; i++) {
        if (checker->variable_owners[i] == 0)
            continue;
        term->variable = (struct variable){.kind = VARIABLE_SLOT, .slot = i};
        if (text_equal(checker->script->variable_names[i], term->text))
            return;
        suggestion_offer(&suggestion, checker->script->variable_names[i]);
    }
    for (uint32_t i = 0; i < param_limit; i++) {
        term->variable = (struct variable){.kind = VARIABLE_PARAM, .slot = i};
        if (text_equal(checker->scenario->params[i].name, term->text))
            return;
        suggestion_offer(&suggestion, checker->scenario->params[i].name);
    }
    term->variable.kind = VARIABLE_UNKNOWN;
    refuse_variable(checker, term, &suggestion);
}

/* `$E.ENOMEM`, `$F.segv`, `$c.COUNTER`, `$d.COUNTER`. */
static void resolve_constant(struct checker *checker, struct term *term, char group,
                             struct text name)
{
    struct variable *variable = &term->variable;
    struct suggestion suggestion;
    suggestion_init(&suggestion, name);
    variable->kind = VARIABLE_CONSTANT;
    bool found;
    if (group == 'E') {
        found = error_find(name, &variable->number);
        error_suggest(&suggestion);
    } else if (group == 'F') {
        found = fault_find(name, &variable->number);
        fault_suggest(&suggestion);
    } else {
        variable->kind = group == 'c' ? VARIABLE_COUNTER : VARIABLE_DELTA;
        found = counter_find(name, &variable->slot);
        counter_suggest(&suggestion);
    }
    if (!found)
        refuse_variable(checker, term, &suggestion);
}

/* `$S.attribute` and `$S.R.attribute`. */
static void resolve_of_thing(struct checker *checker, struct term *term, struct text space,
                             struct text rest)
{
    struct argument thing = {.space_name = space, .at = term->at};
    thing.space = checker_find_space(checker, space);
    struct text attribute = rest;
    struct text region = text_cut(&attribute, '.');
    struct suggestion suggestion;
    bool found;
    if (attribute.size == 0) {
        attribute = region;
        suggestion_init(&suggestion, attribute);
        if (!checker_use_space(checker, space, thing.space, term->at))
            return;
        found = variable_find_of_space(attribute, &term->variable.kind);
        variable_suggest_of_space(&suggestion);
    } else {
        thing.region_name = region;
        thing.region = checker_find_region(checker, region);
        suggestion_init(&suggestion, attribute);
        if (!checker_use_region(checker, &thing))
            return;
        found = variable_find_of_region(attribute, &term->variable.kind);
        variable_suggest_of_region(&suggestion);
    }
    term->variable.slot = thing.space;
    term->variable.region = thing.region;
    if (!found)
        refuse_variable(checker, term, &suggestion);
    else if (term->variable.kind == VARIABLE_SPACE_DIGEST && checker->in_time > 0)
        script_error(checker->scenario, term->at,
                     "'$%.*s' reads every byte of the space and cannot stand inside 'time'",
                     TEXT_ARGS(term->text));
}

static void resolve(struct checker *checker, struct term *term, size_t param_limit)
{
    struct text rest = term->text;
    struct text first = text_cut(&rest, '.');
    if (rest.size == 0)
        resolve_plain(checker, term, param_limit);
    else if (first.size == 1 && words_index("c d E F", first) >= 0)
        resolve_constant(checker, term, first.data[0], rest);
    else if (text_is(first, "inject"))
        script_error(checker->scenario, term->at, "variable '$%.*s' is not yet supported",
                     TEXT_ARGS(script_shown(term->text)));
    else
        resolve_of_thing(checker, term, first, rest);
}

void checker_expression(struct checker *checker, struct expression *expression, size_t param_limit)
{
    for (uint32_t i = 0; i < expression->count; i++) {
        if (expression->terms[i].kind == TERM_VARIABLE)
            resolve(checker, &expression->terms[i], param_limit);
    }
}
