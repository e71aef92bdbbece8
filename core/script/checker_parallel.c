/* Checks what is special inside `parallel`: each CPU has the names that are made inside to itself; those
 * from outside are everybody's, so that nobody may change what they stand for. */
#include "core/script/checker.h"

#include "core/script/diagnostics.h"

/* What a command does to a name that it is given. */
static const char *change_of(const struct command *command, enum argument_type type)
{
    enum command_id id = command->spec->id;
    return id == COMMAND_DROP      ? "dropped"
           : id == COMMAND_RESIZE  ? "resized"
           : id == COMMAND_MOVE    ? "moved"
           : id == COMMAND_EXEC    ? "given other regions"
           : type == TYPE_VARIABLE ? "set"
                                   : "made again";
}

static bool changes_name(const struct command *command, enum argument_type type)
{
    enum command_id id = command->spec->id;
    bool makes = type == TYPE_SPACE_NEW || type == TYPE_OBJECT_NEW || type == TYPE_REGION_NEW ||
                 type == TYPE_VARIABLE;
    return makes || id == COMMAND_DROP || id == COMMAND_EXEC ||
           ((id == COMMAND_RESIZE || id == COMMAND_MOVE) && type == TYPE_REGION);
}

static uint8_t owner_of(const struct checker *checker, enum argument_type type,
                        const struct argument *argument)
{
    if (type == TYPE_VARIABLE)
        return argument->slot == NO_SLOT ? 0 : checker->variable_owners[argument->slot];
    bool is_region = argument->region_name.size != 0;
    if (argument->thing == NO_SLOT || (is_region && argument->region == NO_SLOT))
        return 0;
    return checker
        ->owners[checker_cell(checker, argument->thing, is_region ? argument->region + 1 : 0)];
}

static void check_names(struct checker *checker, const struct command *command)
{
    for (size_t i = 0; i < command->spec->argument_count; i++) {
        enum argument_type type = command->spec->arguments[i].type;
        const struct argument *argument = &command->arguments[i];
        if (!argument->given || !changes_name(command, type) ||
            !checker_is_outside(checker, owner_of(checker, type, argument)))
            continue;
        script_error(checker->scenario, argument->at,
                     "'%.*s' is made outside of 'parallel': inside it can be used, not %s",
                     TEXT_ARGS(script_shown(argument->text)), change_of(command, type));
    }
}

static void check_place(struct checker *checker, const struct command *command)
{
    const char *name = command->spec->name;
    bool inside = checker->parallel_depth != 0;
    enum command_id id = command->spec->id;
    if (id == COMMAND_BARRIER && !inside)
        script_error(checker->scenario, command->at, "'barrier' stands inside 'parallel'");
    if ((command->spec->flags & ALONE) == 0 || !inside)
        return;
    if (id == COMMAND_ON || id == COMMAND_PARALLEL)
        script_error(checker->scenario, command->at,
                     "'%s' cannot stand inside 'parallel': each CPU has its block already", name);
    else
        script_error(checker->scenario, command->at,
                     "'%s' cannot stand inside 'parallel': it is about the whole machine", name);
}

/* The number of a CPU is that CPU's own. */
static void check_cpu_variable(struct checker *checker, const struct command *command)
{
    const struct argument *variable = command_argument(command, ARGUMENT_VARIABLE);
    if (command->spec->id != COMMAND_PARALLEL || variable == NULL || variable->slot == NO_SLOT ||
        checker->variable_owners[variable->slot] == 0)
        return;
    script_error(checker->scenario, variable->at,
                 "variable '%.*s' is made outside of 'parallel': each CPU needs one of its own",
                 TEXT_ARGS(script_shown(variable->text)));
}

void checker_parallel(struct checker *checker, const struct command *command)
{
    check_place(checker, command);
    check_cpu_variable(checker, command);
    if (checker->parallel_depth != 0)
        check_names(checker, command);
}
