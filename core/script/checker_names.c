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

uint32_t checker_find_thing(const struct checker *checker, struct text name)
{
    return find_name(checker->script->thing_names, checker->script->thing_count, name);
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

static enum metric_kind metric_kind_of(enum command_id id)
{
    return id == COMMAND_TIME       ? METRIC_TIME
           : id == COMMAND_TOUCH    ? METRIC_ACCESS
           : id == COMMAND_COUNT    ? METRIC_COUNT
           : id == COMMAND_PARALLEL ? METRIC_SKEW
                                    : METRIC_CALL;
}

static void add_metric(struct checker *checker, const struct command *command,
                       struct argument *argument)
{
    struct script *script = checker->script;
    enum metric_kind kind = metric_kind_of(command->spec->id);
    uint32_t slot = 0;
    while (slot < script->metric_count && !text_equal(script->metrics[slot].name, argument->text))
        slot++;
    argument->slot = slot;
    if (kind != METRIC_SKEW && text_is(argument->text, SKEW_METRIC))
        script_error(checker->scenario, argument->at,
                     "metric '" SKEW_METRIC "' is taken: 'parallel' fills it");
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
    if (spec->type == TYPE_SPACE_NEW || spec->type == TYPE_OBJECT_NEW)
        add_name(checker, script->thing_names, &script->thing_count, argument->thing_name);
    else if (spec->type == TYPE_REGION_NEW && !text_is(argument->region_name, "_"))
        add_name(checker, script->region_names, &script->region_count, argument->region_name);
    else if (spec->type == TYPE_VARIABLE)
        argument->slot =
            add_name(checker, script->variable_names, &script->variable_count, argument->text);
    else if (spec->type == TYPE_METRIC)
        add_metric(checker, command, argument);
}

/* Things and regions that an argument names get their numbers once all names are known. */
static void number_argument(struct checker *checker, struct argument *argument)
{
    argument->thing = checker_find_thing(checker, argument->thing_name);
    argument->region = checker_find_region(checker, argument->region_name);
}

/* Names that a command makes without being told them. */
static void collect_implied(struct checker *checker, const struct command *command)
{
    struct script *script = checker->script;
    enum command_id id = command->spec->id;
    struct text regions = TEXT(EXEC_REGIONS);
    if (command_result(id) != NULL)
        add_name(checker, script->variable_names, &script->variable_count,
                 text_of(command_result(id)));
    while (id == COMMAND_EXEC && regions.size > 0)
        add_name(checker, script->region_names, &script->region_count, text_cut(&regions, ' '));
    if (id == COMMAND_PARALLEL) {
        struct argument skew = {.at = command->at, .text = TEXT(SKEW_METRIC)};
        add_metric(checker, command, &skew);
        script->skew_metric = skew.slot;
    }
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
    script->thing_names = arena_alloc(checker->arena, SCRIPT_NAMES_MAX * sizeof(struct text));
    script->region_names = arena_alloc(checker->arena, SCRIPT_NAMES_MAX * sizeof(struct text));
    script->variable_names = arena_alloc(checker->arena, SCRIPT_NAMES_MAX * sizeof(struct text));
    if (!script->thing_names || !script->region_names || !script->variable_names)
        return false;
    checker->name_count = (uint32_t)checker->scenario->param_count;
    script->skew_metric = NO_SLOT;
    for (struct command *command = script->first; command != NULL; command = command->next) {
        for (size_t i = 0; i < command->spec->argument_count; i++)
            collect_argument(checker, command, &command->spec->arguments[i],
                             &command->arguments[i]);
        collect_implied(checker, command);
    }
    for (struct command *command = script->first; command != NULL; command = command->next) {
        for (size_t i = 0; i < command->spec->argument_count; i++)
            number_argument(checker, &command->arguments[i]);
    }
    collect_params(checker);
    return true;
}

/* --- things in use ------------------------------------------------------------------------------------- */

static const char *kind_name(enum thing_kind kind)
{
    return kind == KIND_SPACE ? "space" : kind == KIND_OBJECT ? "object" : "space or object";
}

static void refuse_thing(struct checker *checker, enum thing_kind kind,
                         const struct argument *argument)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, argument->thing_name);
    for (uint32_t i = 0; i < checker->script->thing_count; i++)
        suggestion_offer(&suggestion, checker->script->thing_names[i]);
    char near[SUGGEST_TEXT_MAX];
    script_error(checker->scenario, argument->at, "unknown %s '%.*s'%s", kind_name(kind),
                 TEXT_ARGS(script_shown(argument->thing_name)), suggestion_text(&suggestion, near));
}

bool checker_use_thing(struct checker *checker, enum thing_kind kind,
                       const struct argument *argument)
{
    const char *problem = NULL;
    if (argument->thing == NO_SLOT) {
        refuse_thing(checker, kind, argument);
        return false;
    }
    uint32_t cell = checker_cell(checker, argument->thing, 0);
    uint8_t life = checker->lives[cell];
    if (checker->deferring > 0)
        return true;
    if (checker->owners[cell] == 0)
        problem = "nothing above makes it in this scope";
    else if (life == LIFE_DEAD)
        problem = "it is not alive here";
    else if (kind == KIND_SPACE && life == LIFE_OBJECT)
        problem = "it is an object";
    else if (kind == KIND_OBJECT && life == LIFE_ALIVE)
        problem = "it is a space";
    if (problem != NULL)
        script_error(checker->scenario, argument->at, "no %s '%.*s' (ENOENT): %s", kind_name(kind),
                     TEXT_ARGS(script_shown(argument->thing_name)), problem);
    return problem == NULL;
}

static void refuse_region(struct checker *checker, const struct argument *argument)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, argument->region_name);
    for (uint32_t i = 0; i < checker->script->region_count; i++) {
        if (checker->owners[checker_cell(checker, argument->thing, i + 1)] != 0)
            suggestion_offer(&suggestion, checker->script->region_names[i]);
    }
    char near[SUGGEST_TEXT_MAX];
    script_error(checker->scenario, argument->at, "unknown region '%.*s.%.*s'%s",
                 TEXT_ARGS(script_shown(argument->thing_name)),
                 TEXT_ARGS(script_shown(argument->region_name)),
                 suggestion_text(&suggestion, near));
}

bool checker_use_region(struct checker *checker, const struct argument *argument)
{
    if (!checker_use_thing(checker, KIND_SPACE, argument))
        return false;
    uint32_t cell = 0;
    if (argument->region != NO_SLOT)
        cell = checker_cell(checker, argument->thing, argument->region + 1);
    bool deferred = checker->deferring > 0 && argument->region != NO_SLOT;
    if (!deferred && (argument->region == NO_SLOT || checker->owners[cell] == 0)) {
        refuse_region(checker, argument);
        return false;
    }
    if (!deferred && checker->lives[cell] == LIFE_DEAD) {
        script_error(checker->scenario, argument->at,
                     "no region '%.*s.%.*s' (ENOENT): it is not alive here",
                     TEXT_ARGS(argument->thing_name), TEXT_ARGS(argument->region_name));
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

/* `$S.attribute`, `$O.attribute`. */
static bool find_of_thing(struct checker *checker, const struct argument *named,
                          struct text attribute, struct term *term)
{
    if (!checker_use_thing(checker, KIND_EITHER, named))
        return true;
    uint8_t life = checker->lives[checker_cell(checker, named->thing, 0)];
    struct suggestion suggestion;
    suggestion_init(&suggestion, attribute);
    enum variable_kind *kind = &term->variable.kind;
    bool found = (life != LIFE_OBJECT && variable_find_of_space(attribute, kind)) ||
                 (life != LIFE_ALIVE && variable_find_of_object(attribute, kind));
    if (life != LIFE_OBJECT)
        variable_suggest_of_space(&suggestion);
    if (life != LIFE_ALIVE)
        variable_suggest_of_object(&suggestion);
    if (!found)
        refuse_variable(checker, term, &suggestion);
    return found;
}

/* `$S.R.attribute`. */
static bool find_of_region(struct checker *checker, const struct argument *named,
                           struct text attribute, struct term *term)
{
    if (!checker_use_region(checker, named))
        return true;
    struct suggestion suggestion;
    suggestion_init(&suggestion, attribute);
    variable_suggest_of_region(&suggestion);
    bool found = variable_find_of_region(attribute, &term->variable.kind);
    if (!found)
        refuse_variable(checker, term, &suggestion);
    return found;
}

static void resolve_of_thing(struct checker *checker, struct term *term, struct text thing,
                             struct text rest)
{
    struct argument named = {.thing_name = thing, .at = term->at, .region = NO_SLOT};
    named.thing = checker_find_thing(checker, thing);
    struct text attribute = rest;
    struct text first = text_cut(&attribute, '.');
    bool found;
    if (attribute.size == 0) {
        found = find_of_thing(checker, &named, first, term);
    } else {
        named.region_name = first;
        named.region = checker_find_region(checker, first);
        found = find_of_region(checker, &named, attribute, term);
    }
    term->variable.slot = named.thing;
    term->variable.region = named.region;
    if (found && term->variable.kind == VARIABLE_SPACE_DIGEST && checker->in_time > 0)
        script_error(checker->scenario, term->at,
                     "'$%.*s' reads every byte of the space and cannot stand inside 'time'",
                     TEXT_ARGS(term->text));
}

/* `$inject.fired` is the only one. */
static void resolve_of_inject(struct checker *checker, struct term *term, struct text attribute)
{
    struct suggestion suggestion;
    suggestion_init(&suggestion, attribute);
    suggestion_offer(&suggestion, TEXT("fired"));
    term->variable.kind = VARIABLE_INJECT_FIRED;
    if (!text_is(attribute, "fired"))
        refuse_variable(checker, term, &suggestion);
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
        resolve_of_inject(checker, term, rest);
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
