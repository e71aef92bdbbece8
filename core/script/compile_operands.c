/* Compiles expressions: words get numbers, parameters become constants, what is constant is computed. */
#include "core/script/compiler.h"
#include "core/script/expression.h"

/* --- words ------------------------------------------------------------------------------------------------- */

/* Besides the script's own words those that boot parameters may bring. */
#define WORDS_OF_PARAMS (SCRIPT_PARAMS_MAX * SCRIPT_PARAM_VALUES_MAX)

uint32_t compile_word(struct program *program, struct text word)
{
    for (uint32_t i = 1; i < program->word_count; i++) {
        if (text_equal(program->words[i], word))
            return i;
    }
    program->words[program->word_count] = word;
    return program->word_count++;
}

static uint32_t count_words(const struct expression *expression)
{
    uint32_t count = 0;
    for (uint32_t i = 0; expression != NULL && i < expression->count; i++)
        count += expression->terms[i].kind == TERM_WORD;
    return count;
}

/* How many words the commands have at most. */
static uint32_t count_all_words(const struct script *script)
{
    uint32_t count = 0;
    for (const struct command *command = script->first; command != NULL; command = command->next) {
        for (size_t i = 0; i < command->spec->argument_count; i++) {
            const struct argument *argument = &command->arguments[i];
            count += count_words(argument->expression);
            for (const struct list_item *item = argument->items; item; item = item->next)
                count += count_words(item->value);
        }
    }
    return count;
}

bool compile_words(struct program *program, const struct scenario *scenario, struct arena *arena)
{
    uint32_t room = 1 + WORDS_OF_PARAMS + count_all_words(scenario->script);
    program->words = arena_alloc(arena, room * sizeof(struct text));
    program->word_count = 1;
    return program->words != NULL;
}

/* --- folding ------------------------------------------------------------------------------------------------ */

/* Does the variable keep its value over the whole combination? */
static bool is_constant(const struct variable *variable)
{
    switch (variable->kind) {
    case VARIABLE_PARAM:
    case VARIABLE_CPUS:
    case VARIABLE_MEMORY:
    case VARIABLE_PAGE:
    case VARIABLE_SEED:
    case VARIABLE_TSC_HZ:
    case VARIABLE_CONSTANT:
        return true;
    case VARIABLE_REP: /* outside of every `repeat` it is 0 */
        return variable->slot == NO_SLOT;
    case VARIABLE_UNKNOWN:
    case VARIABLE_SLOT:
    case VARIABLE_FREE:
    case VARIABLE_CPU:
    case VARIABLE_COUNTER:
    case VARIABLE_DELTA:
    case VARIABLE_INJECT_FIRED:
    case VARIABLE_THING_REGIONS:
    case VARIABLE_THING_RESIDENT:
    case VARIABLE_OBJECT_PHYS:
    case VARIABLE_OBJECT_DEVICE_CRC:
    case VARIABLE_OBJECT_MEMORY_CRC:
    case VARIABLE_SPACE_TABLES:
    case VARIABLE_SPACE_LOW:
    case VARIABLE_SPACE_HIGH:
    case VARIABLE_SPACE_DIGEST:
    case VARIABLE_REGION_BASE:
    case VARIABLE_REGION_SIZE:
    case VARIABLE_REGION_RESIDENT:
    case VARIABLE_REGION_RUN:
        break;
    }
    return false;
}

static void fold_term(struct compiler *compiler, struct term *term)
{
    if (term->kind == TERM_WORD)
        term->number = compile_word(compiler->program, term->text);
    if (term->kind != TERM_VARIABLE)
        return;
    struct variable *variable = &term->variable;
    bool is_cpu = variable->kind == VARIABLE_SLOT && variable->slot == compiler->cpu_slot;
    if (compiler->for_cpu && (is_cpu || variable->kind == VARIABLE_CPU)) {
        term->kind = TERM_NUMBER;
        term->number = compiler->cpu;
        return;
    }
    if (variable->kind == VARIABLE_REP)
        variable->slot = compiler->loop == NULL
                             ? NO_SLOT
                             : (uint32_t)(compiler->loop - compiler->program->loops);
    struct value value;
    if (!is_constant(variable) || !run_read_variable(compiler->run, variable, &value))
        return;
    term->kind = value.word == WORD_NONE ? TERM_NUMBER : TERM_WORD;
    term->number = value.word == WORD_NONE ? value.number : value.word;
}

static struct code *fold(struct compiler *compiler, const struct expression *expression)
{
    struct code *code = arena_alloc(compiler->arena, sizeof(*code));
    struct term *terms = arena_alloc(compiler->arena, expression->count * sizeof(*terms));
    if (code == NULL || terms == NULL) {
        compiler->out_of_memory = true;
        return NULL;
    }
    memcpy(terms, expression->terms, expression->count * sizeof(*terms));
    *code = (struct code){.source = expression, .count = expression->count, .terms = terms};
    for (uint32_t i = 0; i < code->count; i++)
        fold_term(compiler, &terms[i]);
    return code;
}

static bool has_variables(const struct code *code)
{
    for (uint32_t i = 0; i < code->count; i++) {
        if (code->terms[i].kind == TERM_VARIABLE)
            return true;
    }
    return false;
}

bool compile_is_constant(struct compiler *compiler, const struct expression *expression,
                         int64_t *number)
{
    struct value value;
    const char *why;
    for (uint32_t i = 0; i < expression->count; i++) {
        const struct term *term = &expression->terms[i];
        if (term->kind == TERM_VARIABLE &&
            (term->variable.kind == VARIABLE_REP || !is_constant(&term->variable)))
            return false;
    }
    bool computed = compile_constant(compiler, expression, &value, &why);
    *number = value.number;
    return computed && value.word == WORD_NONE;
}

bool compile_operand(struct compiler *compiler, const struct expression *expression, const char *at,
                     const struct argument_spec *spec, struct operand *operand)
{
    *operand = (struct operand){.spec = spec, .at = at, .given = true};
    operand->code = fold(compiler, expression);
    if (operand->code == NULL)
        return false;
    /* What cannot be computed stays as it is: it fails when, and if, it is reached. */
    if (!has_variables(operand->code) &&
        run_evaluate(compiler->run, operand->code, &operand->value))
        operand->code = NULL;
    compiler->run->stop = (struct stop){.kind = STOP_NONE};
    return true;
}

bool compile_constant(struct compiler *compiler, const struct expression *expression,
                      struct value *value, const char **why)
{
    struct run *run = compiler->run;
    const struct code *code = fold(compiler, expression);
    *why = "not enough memory";
    if (code == NULL)
        return false;
    bool computed = run_evaluate(run, code, value);
    if (!computed)
        *why = run->stop.kind == STOP_ARITHMETIC
                   ? arithmetic_text((enum arithmetic)run->stop.number)
                   : run->stop.detail;
    run->stop = (struct stop){.kind = STOP_NONE};
    return computed;
}
