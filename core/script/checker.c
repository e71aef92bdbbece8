/* Checks the meaning of a parsed scenario: the walk. */
#include "core/script/checker.h"

#include "core/script/diagnostics.h"

/* The log grows by so many entries; a multiple of the arena's alignment, so that it stays one piece. */
#define LOG_STEP 64
_Static_assert(LOG_STEP * sizeof(struct change) % 16 == 0, "the log grows in one piece");

/* --- lives of names ------------------------------------------------------------------------------------- */

static void set_life(struct checker *checker, uint32_t cell, enum life life)
{
    if (checker->log_count == checker->log_room) {
        /* Nothing else allocates during the walk: the new piece is behind the old. */
        struct change *piece = arena_alloc(checker->arena, LOG_STEP * sizeof(*piece));
        if (piece == NULL) {
            checker->out_of_memory = true;
            return;
        }
        if (checker->log_room == 0)
            checker->log = piece;
        checker->log_room += LOG_STEP;
    }
    checker->log[checker->log_count++] =
        (struct change){.cell = cell, .before = checker->lives[cell]};
    checker->lives[cell] = (uint8_t)life;
}

static void set_lives_of_regions(struct checker *checker, uint32_t space, enum life life)
{
    for (uint32_t i = 1; i <= checker->script->region_count; i++) {
        uint32_t cell = checker_cell(checker, space, i);
        if (checker->owners[cell] != 0)
            set_life(checker, cell, life);
    }
}

/* The depth of the scope that a made thing belongs to. */
static uint32_t own(struct checker *checker, uint32_t cell)
{
    if (checker->owners[cell] == 0)
        checker->owners[cell] = (uint8_t)(checker->depth + 1);
    return checker->owners[cell] - 1u;
}

static void make(struct checker *checker, struct argument *argument, uint32_t cell, enum life life)
{
    bool alive = checker->lives[cell] == LIFE_ALIVE || checker->lives[cell] == LIFE_OBJECT;
    const char *what = argument->region_name.size > 0        ? "region"
                       : checker->lives[cell] == LIFE_OBJECT ? "object"
                                                             : "space";
    if (alive && checker->deferring == 0)
        script_error(checker->scenario, argument->at, "%s '%.*s' is alive already (EEXIST)", what,
                     TEXT_ARGS(script_shown(argument->text)));
    argument->owner = own(checker, cell);
    set_life(checker, cell, life);
}

static void make_thing(struct checker *checker, struct argument *argument, enum life life)
{
    if (argument->thing != NO_SLOT)
        make(checker, argument, checker_cell(checker, argument->thing, 0), life);
}

static void make_region(struct checker *checker, struct argument *argument)
{
    bool known = checker_use_thing(checker, KIND_SPACE, argument);
    if (known && argument->region != NO_SLOT)
        make(checker, argument, checker_cell(checker, argument->thing, argument->region + 1),
             LIFE_ALIVE);
}

/* The child has its parent's region names; they belong to the child's scope. */
static void make_child(struct checker *checker, const struct argument *parent,
                       const struct argument *child)
{
    if (parent->thing == NO_SLOT || child->thing == NO_SLOT)
        return;
    for (uint32_t i = 1; i <= checker->script->region_count; i++) {
        uint32_t from = checker_cell(checker, parent->thing, i);
        uint32_t to = checker_cell(checker, child->thing, i);
        if (checker->owners[from] == 0)
            continue;
        if (checker->owners[to] == 0)
            checker->owners[to] = (uint8_t)(child->owner + 1);
        set_life(checker, to, checker->lives[from]);
    }
}

/* The names that `exec` leaves belong to the space: they live as long as that. */
static void exec(struct checker *checker, const struct argument *argument)
{
    if (argument->thing == NO_SLOT)
        return;
    set_lives_of_regions(checker, argument->thing, LIFE_DEAD);
    uint8_t owner = checker->owners[checker_cell(checker, argument->thing, 0)];
    struct text rest = TEXT(EXEC_REGIONS);
    while (rest.size > 0) {
        uint32_t region = checker_find_region(checker, text_cut(&rest, ' '));
        if (region == NO_SLOT)
            continue; /* more names than there may be: an error is recorded */
        uint32_t cell = checker_cell(checker, argument->thing, region + 1);
        checker->owners[cell] = owner;
        set_life(checker, cell, LIFE_ALIVE);
    }
}

static void drop(struct checker *checker, const struct argument *argument)
{
    if (argument->region_name.size != 0) {
        if (checker_use_region(checker, argument))
            set_life(checker, checker_cell(checker, argument->thing, argument->region + 1),
                     LIFE_DEAD);
        return;
    }
    if (!checker_use_thing(checker, KIND_EITHER, argument))
        return;
    set_life(checker, checker_cell(checker, argument->thing, 0), LIFE_DEAD);
    set_lives_of_regions(checker, argument->thing, LIFE_DEAD);
}

/* What an earlier round may have dropped or made: known cells that a command in the loop changes. */
static void doubt(struct checker *checker, const struct command *command)
{
    for (size_t i = 0; i < command->spec->argument_count; i++) {
        enum argument_type type = command->spec->arguments[i].type;
        const struct argument *argument = &command->arguments[i];
        bool changes = type == TYPE_SPACE_NEW || type == TYPE_OBJECT_NEW ||
                       type == TYPE_REGION_NEW || type == TYPE_THING ||
                       (type == TYPE_SPACE && command->spec->id == COMMAND_EXEC);
        if (!changes || argument->thing == NO_SLOT)
            continue;
        bool whole = argument->region_name.size == 0;
        if (!whole && argument->region == NO_SLOT)
            continue;
        uint32_t cell = checker_cell(checker, argument->thing, whole ? 0 : argument->region + 1);
        if (checker->owners[cell] != 0 && type != TYPE_SPACE)
            set_life(checker, cell, LIFE_MAYBE);
        if (whole)
            set_lives_of_regions(checker, argument->thing, LIFE_MAYBE);
    }
}

static void doubt_loop(struct checker *checker, const struct command *opener)
{
    for (const struct command *command = opener->next; command != NULL; command = command->next) {
        if (command->opener == opener)
            return;
        doubt(checker, command);
    }
}

/* --- blocks ------------------------------------------------------------------------------------------- */

static bool is_deferring(const struct command *command)
{
    return command->spec->id == COMMAND_TRY || command->spec->id == COMMAND_EXPECT_ERROR;
}

static void open_block(struct checker *checker, struct command *command)
{
    unsigned flags = command->spec->flags;
    checker->blocks[checker->block_count++] =
        (struct open_block){.opener = command,
                            .log_start = checker->log_count,
                            .parallel_depth = checker->parallel_depth};
    if (flags & LOOP)
        doubt_loop(checker, command);
    if (flags & SCOPE)
        checker->depth++;
    if (checker->depth > checker->script->depth_max)
        checker->script->depth_max = checker->depth;
    if (command->spec->id == COMMAND_PARALLEL)
        checker->parallel_depth = checker->depth;
    checker->in_time += command->spec->id == COMMAND_TIME;
    checker->deferring += is_deferring(command);
}

/* Between the blocks of `if`: notes what the first one did, and takes it back. */
static void turn_to_else(struct checker *checker)
{
    struct open_block *block = &checker->blocks[checker->block_count - 1];
    for (uint32_t i = block->log_start; i < checker->log_count; i++)
        checker->log[i].after = checker->lives[checker->log[i].cell];
    for (uint32_t i = checker->log_count; i > block->log_start; i--)
        checker->lives[checker->log[i - 1].cell] = checker->log[i - 1].before;
    block->has_else = true;
    block->else_start = checker->log_count;
}

/* After `if`: what both ways agree in stays certain. */
static void merge_if(struct checker *checker, const struct open_block *block)
{
    uint32_t end = checker->log_count;
    uint32_t second = block->has_else ? block->else_start : end;
    checker->merge++;
    for (uint32_t i = block->log_start; i < second; i++) {
        const struct change *change = &checker->log[i];
        if (checker->seen[change->cell] == checker->merge)
            continue;
        checker->seen[change->cell] = checker->merge;
        uint8_t other = block->has_else ? change->after : change->before;
        if (other != checker->lives[change->cell])
            set_life(checker, change->cell, LIFE_MAYBE);
    }
    for (uint32_t i = second; i < end; i++) {
        const struct change *change = &checker->log[i];
        if (checker->seen[change->cell] == checker->merge)
            continue;
        checker->seen[change->cell] = checker->merge;
        if (change->before != checker->lives[change->cell])
            set_life(checker, change->cell, LIFE_MAYBE);
    }
}

/* After a block that may have stopped anywhere, or run any number of times. */
static void doubt_changes(struct checker *checker, const struct open_block *block)
{
    uint32_t end = checker->log_count;
    for (uint32_t i = block->log_start; i < end; i++)
        set_life(checker, checker->log[i].cell, LIFE_MAYBE);
}

static void close_scope(struct checker *checker, const struct open_block *block)
{
    uint32_t end = checker->log_count;
    for (uint32_t i = block->log_start; i < end; i++) {
        uint32_t cell = checker->log[i].cell;
        if (checker->owners[cell] != checker->depth + 1)
            continue;
        checker->owners[cell] = 0;
        checker->lives[cell] = LIFE_DEAD;
    }
    for (uint32_t i = 0; i < checker->script->variable_count; i++) {
        if (checker->variable_owners[i] == checker->depth + 1)
            checker->variable_owners[i] = 0;
    }
    checker->depth--;
}

static void close_block(struct checker *checker)
{
    struct open_block *block = &checker->blocks[checker->block_count - 1];
    const struct command *opener = block->opener;
    if (opener->spec->id == COMMAND_IF)
        merge_if(checker, block);
    else if (is_deferring(opener) || opener->spec->id == COMMAND_EXPECT_FAULT)
        doubt_changes(checker, block);
    if (opener->spec->flags & LOOP)
        doubt_changes(checker, block);
    if (opener->spec->flags & SCOPE)
        close_scope(checker, block);
    checker->in_time -= opener->spec->id == COMMAND_TIME;
    checker->deferring -= is_deferring(opener);
    checker->parallel_depth = block->parallel_depth;
    checker->block_count--;
}

/* --- commands ------------------------------------------------------------------------------------------ */

/* Sets argument->owner; the variable is known from here on. */
static void make_variable(struct checker *checker, struct argument *argument, unsigned depth)
{
    if (argument->slot == NO_SLOT)
        return;
    uint8_t *owner = &checker->variable_owners[argument->slot];
    if (*owner == 0)
        *owner = (uint8_t)(depth + 1);
    argument->owner = *owner - 1u;
}

static void check_expressions(struct checker *checker, struct argument *argument)
{
    size_t params = checker->scenario->param_count;
    if (argument->expression != NULL)
        checker_expression(checker, argument->expression, params);
    for (struct list_item *item = argument->items; item != NULL; item = item->next)
        checker_expression(checker, item->value, params);
    for (struct string_part *part = argument->string; part != NULL; part = part->next) {
        if (part->variable != NULL)
            checker_expression(checker, part->variable, params);
    }
}

static void check_use(struct checker *checker, const struct argument_spec *spec,
                      const struct argument *argument)
{
    if (spec->type == TYPE_SPACE || spec->type == TYPE_ADDRESS ||
        (spec->type == TYPE_RANGE && argument->region_name.size == 0))
        (void)checker_use_thing(checker, KIND_SPACE, argument);
    else if (spec->type == TYPE_OBJECT && argument->thing_name.size != 0)
        (void)checker_use_thing(checker, KIND_OBJECT, argument);
    else if (spec->type == TYPE_RANGE || spec->type == TYPE_REGION)
        (void)checker_use_region(checker, argument);
    else if (spec->type == TYPE_THING)
        drop(checker, argument);
}

/* A bare range has no size of its own; only `touch` has a natural one, a single access. */
static void check_bare_range(struct checker *checker, const struct command *command)
{
    const struct argument *thing = command_argument(command, ARGUMENT_THING);
    bool is_bare = thing != NULL && thing->expression != NULL;
    enum command_id id = command->spec->id;
    if (is_bare && id != COMMAND_TOUCH && id != COMMAND_LOOKUP &&
        command_argument(command, ARGUMENT_SIZE) == NULL)
        script_error(checker->scenario, thing->at, "a bare range '%.*s' needs 'size='",
                     TEXT_ARGS(script_shown(thing->text)));
}

static void check_touch(struct checker *checker, const struct command *command)
{
    const struct argument *what = command_argument(command, ARGUMENT_WHAT);
    const struct argument *value = command_argument(command, ARGUMENT_VALUE);
    if (what != NULL && value != NULL && text_is(what->text, "exec"))
        script_error(checker->scenario, value->at, "'touch ... exec' takes no 'value='");
}

static void need_option(struct checker *checker, const struct command *command, enum argument_id id,
                        const char *name)
{
    if (command_argument(command, id) == NULL)
        script_error(checker->scenario, command->at, "'%s' needs the option '%s='",
                     command->spec->name, name);
}

/* Without an object to take it from, the size must be said; an offset is one in an object. */
static void check_map(struct checker *checker, const struct command *command)
{
    const struct argument *object = command_argument(command, ARGUMENT_OBJECT);
    const struct argument *offset = command_argument(command, ARGUMENT_OFFSET);
    if (object != NULL && object->thing_name.size != 0)
        return;
    need_option(checker, command, ARGUMENT_SIZE, "size");
    if (offset != NULL)
        script_error(checker->scenario, offset->at,
                     "'offset=' counts in an object: it needs 'object='");
}

/* The options of each kind of object; `size` goes with all. */
static void check_object(struct checker *checker, const struct command *command)
{
    static const char *const options[] = {
        [OBJECT_ANON] = "commit purgeable", [OBJECT_CONTIGUOUS] = "align below",
        [OBJECT_PHYSICAL] = "at",           [OBJECT_FILE] = "backing offset",
        [OBJECT_FRAMEBUFFER] = "",
    };
    const struct argument *kind = command_argument(command, ARGUMENT_WHAT);
    if (kind->slot != OBJECT_FRAMEBUFFER) /* the screen has a size */
        need_option(checker, command, ARGUMENT_SIZE, "size");
    if (kind->slot == OBJECT_PHYSICAL)
        need_option(checker, command, ARGUMENT_AT, "at");
    for (size_t i = 0; i < command->spec->argument_count; i++) {
        const struct argument_spec *option = &command->spec->arguments[i];
        const struct argument *argument = &command->arguments[i];
        bool special = (option->flags & POSITIONAL) == 0 && option->id != ARGUMENT_SIZE;
        if (special && argument->given &&
            words_index(options[kind->slot], text_of(option->name)) < 0)
            script_error(checker->scenario, argument->at, "'object ... %.*s' takes no '%s='",
                         TEXT_ARGS(kind->text), option->name);
    }
}

static void check_inject(struct checker *checker, const struct command *command)
{
    bool off = text_is(command_argument(command, ARGUMENT_WHAT)->text, "off");
    bool nth = command_argument(command, ARGUMENT_NTH) != NULL;
    bool every = command_argument(command, ARGUMENT_EVERY) != NULL;
    if (off ? nth || every : nth == every)
        script_error(checker->scenario, command->at,
                     off ? "'inject off' takes no option"
                         : "'inject alloc' needs one of 'nth=' and 'every='");
}

static void check_break(struct checker *checker, const struct command *command)
{
    for (unsigned i = checker->block_count; i > 0; i--) {
        const struct command_spec *spec = checker->blocks[i - 1].opener->spec;
        if (spec->flags & LOOP)
            return;
        if (spec->id == COMMAND_PARALLEL)
            break;
    }
    script_error(
        checker->scenario, command->at,
        checker->parallel_depth == 0
            ? "'break' stands inside 'repeat' or 'foreach'"
            : "'break' stands inside 'repeat' or 'foreach', and does not leave 'parallel'");
}

/* Its variable belongs to the scope of its block. */
static bool owns_variable(const struct command *command)
{
    return command->spec->id == COMMAND_FOREACH || command->spec->id == COMMAND_PARALLEL;
}

static void check_making(struct checker *checker, struct command *command)
{
    for (size_t i = 0; i < command->spec->argument_count; i++) {
        struct argument *argument = &command->arguments[i];
        enum argument_type type = command->spec->arguments[i].type;
        if (!argument->given)
            continue;
        if (type == TYPE_SPACE_NEW)
            make_thing(checker, argument, LIFE_ALIVE);
        else if (type == TYPE_OBJECT_NEW)
            make_thing(checker, argument, LIFE_OBJECT);
        else if (type == TYPE_REGION_NEW)
            make_region(checker, argument);
        else if (type == TYPE_VARIABLE)
            make_variable(checker, argument, checker->depth + owns_variable(command));
    }
}

/* A variable that nobody declares. Inside `parallel` each CPU has one of its own in any case. */
static void make_result(struct checker *checker, struct command *command)
{
    struct text name = text_of(command_result(command->spec->id));
    struct argument result = {.slot = checker_find_variable(checker, name)};
    make_variable(checker, &result, checker->depth);
    command->result_slot = result.slot;
    command->result_owner =
        result.owner < checker->parallel_depth ? checker->parallel_depth : result.owner;
}

static void check_squeeze(struct checker *checker, const struct command *command)
{
    bool off = command_argument(command, ARGUMENT_WHAT) != NULL;
    if (off == (command_argument(command, ARGUMENT_SIZE) != NULL))
        script_error(checker->scenario, command->at,
                     "'squeeze' needs free=SIZE, or 'off' to give the frames back");
}

/* What is special about a command, once its arguments have been looked at. */
static void check_special(struct checker *checker, struct command *command)
{
    enum command_id id = command->spec->id;
    if (id == COMMAND_FORK)
        make_child(checker, &command->arguments[0], &command->arguments[1]);
    else if (id == COMMAND_EXEC)
        exec(checker, &command->arguments[0]);
    else if (id == COMMAND_OBJECT)
        check_object(checker, command);
    else if (id == COMMAND_MAP)
        check_map(checker, command);
    else if (id == COMMAND_INJECT)
        check_inject(checker, command);
    else if (id == COMMAND_BREAK)
        check_break(checker, command);
    else if (id == COMMAND_TOUCH)
        check_touch(checker, command);
    else if (id == COMMAND_SQUEEZE)
        check_squeeze(checker, command);
    if (command_result(id) != NULL)
        make_result(checker, command);
    check_bare_range(checker, command);
}

static void check_command(struct checker *checker, struct command *command)
{
    enum command_id id = command->spec->id;
    command->depth = checker->depth;
    checker_parallel(checker, command);
    for (size_t i = 0; i < command->spec->argument_count; i++) {
        struct argument *argument = &command->arguments[i];
        if (!argument->given)
            continue;
        check_expressions(checker, argument);
        check_use(checker, &command->spec->arguments[i], argument);
    }
    check_making(checker, command);
    check_special(checker, command);
    if (id == COMMAND_ELSE)
        turn_to_else(checker);
    else if (id == COMMAND_END)
        close_block(checker);
    else if (command->spec->flags & BLOCK)
        open_block(checker, command);
}

/* The head's expressions know parameters only, a parameter's values only those before it. */
static void check_head(struct checker *checker)
{
    struct script *script = checker->script;
    for (size_t i = 0; i < checker->scenario->param_count; i++) {
        for (size_t k = 0; k < checker->scenario->params[i].value_count; k++)
            checker_expression(checker, script->params[i].values[k], i);
    }
    for (size_t i = 0; i < script->need_count; i++) {
        if (script->needs[i].amount != NULL)
            checker_expression(checker, script->needs[i].amount, checker->scenario->param_count);
    }
    /* A parameter that the script sets is a variable of the file from the start. */
    for (size_t i = 0; i < checker->scenario->param_count; i++) {
        if (script->params[i].variable != NO_SLOT)
            checker->variable_owners[script->params[i].variable] = 1;
    }
}

bool checker_run(struct checker *checker, struct scenario *scenario, struct arena *arena,
                 struct script *script)
{
    *checker = (struct checker){.scenario = scenario, .arena = arena, .script = script};
    if (!checker_collect_names(checker))
        return false;
    checker->cell_count = script->thing_count * (script->region_count + 1);
    checker->variable_owners = arena_alloc(arena, script->variable_count);
    size_t mark = arena_mark(arena);
    checker->lives = arena_alloc(arena, checker->cell_count);
    checker->owners = arena_alloc(arena, checker->cell_count);
    checker->seen = arena_alloc(arena, checker->cell_count * sizeof(uint32_t));
    if (!checker->variable_owners || !checker->lives || !checker->owners || !checker->seen)
        return false;
    check_head(checker);
    struct command *command = script->first;
    for (; command != NULL && !checker->out_of_memory; command = command->next)
        check_command(checker, command);
    arena_release(arena, mark);
    return !checker->out_of_memory;
}
