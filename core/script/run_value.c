/* Values at run time: variables, expressions, operands. */
#include "core/mm/framebuffer.h"
#include "core/mm/mm.h"
#include "core/mm/object.h"
#include "core/script/expression.h"
#include "core/script/run.h"

static bool stop_with(struct run *run, result_t error, const char *at, const char *detail)
{
    run->stop = (struct stop){.kind = STOP_ERROR, .number = (int)error, .at = at, .detail = detail};
    return false;
}

/* --- variables ------------------------------------------------------------------------------------------ */

static struct space *alive_space(struct run *run, uint32_t slot)
{
    struct space *space = run->things[slot].space;
    if (space == NULL)
        (void)stop_with(run, ENOENT, NULL, RUN_NO_SPACE);
    return space;
}

static bool read_space(struct run *run, const struct variable *variable, int64_t *number)
{
    struct space *space = alive_space(run, variable->slot);
    if (space == NULL)
        return false;
    if (variable->kind == VARIABLE_THING_REGIONS)
        *number = (int64_t)space_region_count(space);
    else if (variable->kind == VARIABLE_THING_RESIDENT)
        *number = (int64_t)space_resident_pages(space);
    else if (variable->kind == VARIABLE_SPACE_TABLES)
        *number = (int64_t)space_table_frames(space);
    else if (variable->kind == VARIABLE_SPACE_LOW)
        *number = (int64_t)SPACE_USER_LOW;
    else if (variable->kind == VARIABLE_SPACE_HIGH)
        *number = (int64_t)space_user_high();
    else
        *number = (int64_t)space_digest(space);
    return true;
}

static bool read_crc(struct run *run, struct object *object, const struct variable *variable,
                     int64_t *number)
{
    struct framebuffer *framebuffer = framebuffer_of(object);
    if (framebuffer == NULL)
        return stop_with(run, ENOTSUP, NULL, "only a framebuffer has two faces");
    *number = variable->kind == VARIABLE_OBJECT_DEVICE_CRC ? framebuffer_device_crc(framebuffer)
                                                           : framebuffer_memory_crc(framebuffer);
    return true;
}

static bool read_object(struct run *run, const struct variable *variable, int64_t *number)
{
    const struct thing_slot *slot = &run->things[variable->slot];
    if (slot->object == NULL)
        return stop_with(run, ENOENT, NULL, RUN_NO_OBJECT);
    if (variable->kind == VARIABLE_THING_REGIONS)
        *number = (int64_t)object_region_count(slot->object);
    else if (variable->kind == VARIABLE_THING_RESIDENT)
        *number = (int64_t)slot->object->ops->resident(slot->object);
    else if (variable->kind == VARIABLE_OBJECT_DEVICE_CRC ||
             variable->kind == VARIABLE_OBJECT_MEMORY_CRC)
        return read_crc(run, slot->object, variable, number);
    else if (slot->object_phys.value == PHYS_NONE.value)
        return stop_with(run, ENOTSUP, NULL, "only frames in a row have one address");
    else
        *number = (int64_t)slot->object_phys.value;
    return true;
}

/* What spaces and objects both have. */
static bool read_thing(struct run *run, const struct variable *variable, int64_t *number)
{
    bool is_object = run->things[variable->slot].object != NULL;
    return is_object ? read_object(run, variable, number) : read_space(run, variable, number);
}

static bool read_region(struct run *run, const struct variable *variable, int64_t *number)
{
    struct space *space = alive_space(run, variable->slot);
    if (space == NULL)
        return false;
    const struct region_cell *cell = run_cell(run, variable->slot, variable->region);
    if (!cell->thing.alive)
        return stop_with(run, ENOENT, NULL, RUN_NO_REGION);
    if (variable->kind == VARIABLE_REGION_BASE)
        *number = (int64_t)cell->range.base;
    else if (variable->kind == VARIABLE_REGION_SIZE)
        *number = (int64_t)cell->range.size_bytes;
    else if (variable->kind == VARIABLE_REGION_RESIDENT)
        *number = (int64_t)space_resident_pages_in(space, cell->range);
    else
        *number = (int64_t)space_frame_run(space, cell->range);
    return true;
}

bool run_read_variable(struct run *run, const struct variable *variable, struct value *value)
{
    const struct run_facts *facts = run->facts;
    *value = (struct value){.number = variable->number};
    switch (variable->kind) {
    case VARIABLE_SLOT:
        *value = run->variables[variable->slot].value;
        return value->word != WORD_UNSET ||
               stop_with(run, ENOENT, NULL, "the variable has no value yet");
    case VARIABLE_PARAM:
        *value = run->program->params[variable->slot];
        return true;
    case VARIABLE_CPUS:
        value->number = facts->cpu_count;
        return true;
    case VARIABLE_MEMORY:
        value->number = (int64_t)facts->memory_bytes;
        return true;
    case VARIABLE_FREE:
        value->number = (int64_t)mm_free_bytes();
        return true;
    case VARIABLE_PAGE:
        value->number = (int64_t)PAGE_SIZE;
        return true;
    case VARIABLE_SEED:
        value->number = (int64_t)facts->seed;
        return true;
    case VARIABLE_REP:
        value->number = variable->slot == NO_SLOT ? 0 : run->program->loops[variable->slot].rep;
        return true;
    case VARIABLE_CPU:
        value->number = machine_cpu()->index;
        return true;
    case VARIABLE_TSC_HZ:
        value->number = (int64_t)facts->ticks_per_second;
        return true;
    case VARIABLE_CONSTANT:
    case VARIABLE_UNKNOWN:
        return true;
    case VARIABLE_COUNTER:
        value->number = (int64_t)counter_read((enum counter)variable->slot);
        return true;
    case VARIABLE_DELTA:
        value->number =
            (int64_t)(counter_read((enum counter)variable->slot) - run->mark[variable->slot]);
        return true;
    case VARIABLE_INJECT_FIRED:
        value->number = mm_inject_fired();
        return true;
    case VARIABLE_THING_REGIONS:
    case VARIABLE_THING_RESIDENT:
        return read_thing(run, variable, &value->number);
    case VARIABLE_OBJECT_PHYS:
    case VARIABLE_OBJECT_DEVICE_CRC:
    case VARIABLE_OBJECT_MEMORY_CRC:
        return read_object(run, variable, &value->number);
    case VARIABLE_SPACE_TABLES:
    case VARIABLE_SPACE_LOW:
    case VARIABLE_SPACE_HIGH:
    case VARIABLE_SPACE_DIGEST:
        return read_space(run, variable, &value->number);
    case VARIABLE_REGION_BASE:
    case VARIABLE_REGION_SIZE:
    case VARIABLE_REGION_RESIDENT:
    case VARIABLE_REGION_RUN:
        return read_region(run, variable, &value->number);
    }
    return true;
}

/* --- expressions ------------------------------------------------------------------------------------------ */

struct evaluation {
    struct value stack[EXPRESSION_STACK_MAX];
    unsigned depth;
    uint32_t next; /* term */
};

static bool is_true(const struct value *value)
{
    return value->number != 0;
}

/* The jumps of && || ?:, see enum term_kind. */
static bool jump(struct run *run, struct evaluation *evaluation, const struct term *term)
{
    struct value *top = &evaluation->stack[evaluation->depth - 1];
    bool jumps = true;
    if (term->kind != TERM_JUMP && top->word != WORD_NONE)
        return stop_with(run, EINVAL, term->at, "a condition is a number, not a word");
    if (term->kind == TERM_JUMP_FALSE) {
        jumps = !is_true(top);
        evaluation->depth--;
    } else if (term->kind == TERM_AND_JUMP || term->kind == TERM_OR_JUMP) {
        jumps = is_true(top) == (term->kind == TERM_OR_JUMP);
        top->number = is_true(top);
        evaluation->depth -= !jumps;
    }
    if (jumps)
        evaluation->next = term->target;
    return true;
}

static bool apply(struct run *run, struct evaluation *evaluation, const struct term *term)
{
    bool unary = term->kind == TERM_NEGATE || term->kind == TERM_INVERT || term->kind == TERM_NOT ||
                 term->kind == TERM_TRUTH;
    unsigned operands = unary ? 1 : 2;
    struct value *a = &evaluation->stack[evaluation->depth - operands];
    const struct value *b = &evaluation->stack[evaluation->depth - 1];
    evaluation->depth -= operands - 1;
    if (term->kind == TERM_EQUAL || term->kind == TERM_NOT_EQUAL) {
        bool equal = a->word == b->word && (a->word != WORD_NONE || a->number == b->number);
        *a = (struct value){.number = equal == (term->kind == TERM_EQUAL)};
        return true;
    }
    if (a->word != WORD_NONE || b->word != WORD_NONE)
        return stop_with(run, EINVAL, term->at, "a word can only be compared with == and !=");
    enum arithmetic status = arithmetic_apply(term->kind, a->number, b->number, &a->number);
    if (status == ARITHMETIC_OK)
        return true;
    run->stop = (struct stop){.kind = STOP_ARITHMETIC, .number = (int)status, .at = term->at};
    return false;
}

bool run_evaluate(struct run *run, const struct code *code, struct value *value)
{
    struct evaluation evaluation;
    evaluation.depth = 0;
    evaluation.next = 0;
    while (evaluation.next < code->count) {
        const struct term *term = &code->terms[evaluation.next++];
        if (term->kind <= TERM_VARIABLE) {
            struct value *top = &evaluation.stack[evaluation.depth++];
            *top = (struct value){.number = term->number};
            if (term->kind == TERM_WORD)
                *top = (struct value){.word = (uint32_t)term->number};
            else if (term->kind == TERM_VARIABLE && !run_read_variable(run, &term->variable, top)) {
                run->stop.at = term->at;
                return false;
            }
        } else if (!(term->kind >= TERM_JUMP ? jump(run, &evaluation, term)
                                             : apply(run, &evaluation, term))) {
            return false;
        }
    }
    *value = evaluation.stack[0];
    return true;
}

/* --- operands --------------------------------------------------------------------------------------------- */

bool run_operand_slow(struct run *run, const struct operand *operand, int64_t *number)
{
    struct value value;
    if (!run_value(run, operand, &value))
        return false;
    if (value.word != WORD_NONE)
        return stop_with(run, EINVAL, operand->at, "a number is needed, not a word");
    *number = value.number;
    return true;
}

bool run_choice(struct run *run, const struct operand *operand, unsigned *choice)
{
    struct value value;
    if (!run_value(run, operand, &value))
        return false;
    const struct argument_spec *spec = operand->spec;
    struct text word = run->program->words[value.word];
    int index = value.word == WORD_NONE ? -1 : words_index(spec->words, word);
    if (index < 0)
        return stop_with(run, EINVAL, operand->at, "not one of the words that stand here");
    *choice = (unsigned)index;
    return true;
}

bool run_prot(struct run *run, const struct operand *operand, unsigned *prot)
{
    struct value value;
    if (!run_value(run, operand, &value))
        return false;
    struct text word = run->program->words[value.word];
    *prot = PROT_NONE;
    if (value.word != WORD_NONE && text_is(word, "none"))
        return true;
    bool valid = value.word != WORD_NONE;
    for (size_t i = 0; valid && i < word.size; i++) {
        unsigned right = word.data[i] == 'r'   ? PROT_READ
                         : word.data[i] == 'w' ? PROT_WRITE
                         : word.data[i] == 'x' ? PROT_EXEC
                                               : PROT_NONE;
        valid = right != PROT_NONE && (*prot & right) == 0;
        *prot |= right;
    }
    return valid || stop_with(run, EINVAL, operand->at, "rights are none or letters of rwx");
}
