/* Parameters of a scenario: their values in this run, combinations, and needs that depend on them. */
#include "core/fmt.h"
#include "core/mm/mm.h"
#include "core/script/expression.h"
#include "core/script/runner_internal.h"

#define PARAMS_TEXT_MAX 2048

/* --- values ------------------------------------------------------------------------------------------------- */

static const struct boot_override *find_override(const struct runner *runner,
                                                 const struct scenario *scenario, struct text param)
{
    const struct boot_params *params = runner->args->params;
    for (size_t i = 0; i < params->override_count; i++) {
        const struct boot_override *override = &params->overrides[i];
        if (text_equal(override->scenario, scenario->name) && text_equal(override->param, param))
            return override;
    }
    return NULL;
}

/* The boot parameter's values, parsed as the scenario's would be. */
static result_t parse_override(const struct runner *runner, const struct boot_override *override,
                               struct sweep *sweep, size_t index)
{
    struct scenario *scratch = arena_alloc(runner->arena, sizeof(*scratch));
    if (scratch == NULL)
        return ENOMEM;
    size_t count = 0;
    for (struct text rest = override->values; rest.size > 0; count++) {
        struct text value = text_cut(&rest, ',');
        enum static_kind kind;
        bool out_of_memory = false;
        *scratch = (struct scenario){.file_name = "boot parameter", .source = value};
        if (count == SCRIPT_PARAM_VALUES_MAX)
            return EINVAL;
        sweep->values[index][count] =
            expression_parse(scratch, runner->arena, value, &kind, &out_of_memory);
        if (sweep->values[index][count] == NULL)
            return out_of_memory ? ENOMEM : EINVAL;
    }
    sweep->value_counts[index] = count;
    return OK;
}

static result_t init_param(const struct runner *runner, struct sweep *sweep, size_t index)
{
    const struct scenario *scenario = sweep->scenario;
    const struct script_param *param = &scenario->params[index];
    const struct boot_override *override = find_override(runner, scenario, param->name);
    sweep->values[index] =
        arena_alloc(runner->arena, SCRIPT_PARAM_VALUES_MAX * sizeof(sweep->values[index][0]));
    if (sweep->values[index] == NULL)
        return ENOMEM;
    if (override != NULL)
        return parse_override(runner, override, sweep, index);
    for (size_t i = 0; i < param->value_count; i++)
        sweep->values[index][i] = scenario->script->params[index].values[i];
    sweep->value_counts[index] = param->value_count;
    return OK;
}

static void init_policies(const struct runner *runner, struct sweep *sweep)
{
    for (unsigned i = 0; i < POLICY_COUNT; i++) {
        sweep->policy_counts[i] =
            boot_params_policy(runner->args->params, (enum policy)i, sweep->policies[i]);
        if (sweep->policy_counts[i] > 0)
            sweep->combination_count *= sweep->policy_counts[i];
    }
}

/* The last ones change fastest. Returns what is left of the combination's index. */
static size_t set_policies(struct sweep *sweep, size_t index)
{
    static void (*const setters[POLICY_COUNT])(unsigned value) = {
        [POLICY_MAP_AROUND] = mm_set_map_around,
    };
    for (unsigned i = POLICY_COUNT; i-- > 0;) {
        size_t count = sweep->policy_counts[i];
        if (count == 0)
            continue;
        sweep->policies_now[i] = sweep->policies[i][index % count];
        setters[i](sweep->policies_now[i]);
        index /= count;
    }
    return index;
}

result_t runner_sweep_init(const struct runner *runner, const struct scenario *scenario,
                           struct sweep *sweep, const char **why)
{
    *sweep = (struct sweep){.scenario = scenario, .combination_count = 1};
    *why = "the harness has not enough memory for it";
    sweep->current = arena_alloc(runner->arena, SCRIPT_PARAMS_MAX * sizeof(struct value));
    if (sweep->current == NULL)
        return ENOMEM;
    init_policies(runner, sweep);
    for (size_t i = 0; i < scenario->param_count; i++) {
        result_t result = init_param(runner, sweep, i);
        if (result == EINVAL)
            *why = "a boot parameter gives it a malformed value";
        if (result != OK)
            return result;
        sweep->combination_count *= sweep->value_counts[i];
        if (sweep->combination_count > COMBINATIONS_MAX) {
            *why = "its parameters have more than 65536 combinations";
            return EINVAL;
        }
    }
    return OK;
}

result_t runner_sweep_compute(struct sweep *sweep, size_t index, struct compiler *compiler,
                              const char **why)
{
    size_t digits[SCRIPT_PARAMS_MAX];
    size_t count = sweep->scenario->param_count;
    index = set_policies(sweep, index);
    for (size_t i = count; i > 0; i--) {
        digits[i - 1] = index % sweep->value_counts[i - 1];
        index /= sweep->value_counts[i - 1];
    }
    compiler->program->params = sweep->current;
    for (size_t i = 0; i < count; i++) {
        if (!compile_constant(compiler, sweep->values[i][digits[i]], &sweep->current[i], why))
            return compiler->out_of_memory ? ENOMEM : EINVAL;
    }
    return OK;
}

struct text runner_sweep_text(const struct sweep *sweep, const struct program *program,
                              struct arena *arena)
{
    char text[PARAMS_TEXT_MAX];
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sweep->scenario->param_count && length < sizeof(text); i++) {
        const struct value *value = &sweep->current[i];
        struct text name = sweep->scenario->params[i].name;
        char *at = text + length;
        size_t left = sizeof(text) - length;
        const char *blank = i > 0 ? " " : "";
        if (value->word != WORD_NONE)
            length += fmt_print(at, left, "%s%.*s=%.*s", blank, TEXT_ARGS(name),
                                TEXT_ARGS(program->words[value->word]));
        else
            length +=
                fmt_print(at, left, "%s%.*s=%ld", blank, TEXT_ARGS(name), (long)value->number);
    }
    for (unsigned i = 0; i < POLICY_COUNT && length < sizeof(text); i++) {
        if (sweep->policy_counts[i] > 0)
            length += fmt_print(text + length, sizeof(text) - length, "%spolicy.%s=%u",
                                length > 0 ? " " : "", policy_name((enum policy)i),
                                sweep->policies_now[i]);
    }
    if (length >= sizeof(text))
        length = sizeof(text) - 1;
    const char *copy = arena_copy(arena, text, length);
    return (struct text){copy != NULL ? copy : "", copy != NULL ? length : 0};
}

/* --- needs ------------------------------------------------------------------------------------------------------ */

static bool has_amount(const struct runner *runner, const struct need *need, int64_t amount,
                       char *reason, size_t size)
{
    bool of_cpus = need->kind == NEED_CPUS;
    uint64_t have = of_cpus ? runner->facts.cpu_count : runner->facts.memory_bytes;
    fmt_print(reason, size, "needs %s>=%ld, this machine has %lu", of_cpus ? "cpus" : "memory",
              (long)amount, (unsigned long)have);
    return amount <= 0 || have >= (uint64_t)amount;
}

static bool has_feature(const struct need *need, char *reason, size_t size)
{
    char name[SCRIPT_NAME_MAX + 1];
    fmt_print(name, sizeof(name), "%.*s", TEXT_ARGS(need->feature));
    int has = machine_feature(name);
    fmt_print(reason, size, "needs feature:%s, which %s", name,
              has < 0 ? "is not known" : "this CPU does not have");
    return has > 0;
}

static bool has_framebuffer(const struct runner *runner)
{
    uint32_t format = runner->args->boot->framebuffer.format;
    return format != PIXEL_NONE && format != PIXEL_BLT_ONLY;
}

result_t runner_check_needs(const struct runner *runner, struct compiler *compiler, bool *met,
                            char *reason, size_t size)
{
    const struct script *script = compiler->program->script;
    *met = true;
    for (size_t i = 0; i < script->need_count && *met; i++) {
        const struct need *need = &script->needs[i];
        struct value amount = {.number = 0};
        const char *why;
        if (need->amount != NULL && !compile_constant(compiler, need->amount, &amount, &why)) {
            fmt_print(reason, size, "%.*s: %s", TEXT_ARGS(need->text), why);
            return EINVAL;
        }
        switch (need->kind) {
        case NEED_CPUS:
        case NEED_MEMORY:
            *met = has_amount(runner, need, amount.number, reason, size);
            break;
        case NEED_FEATURE:
            *met = has_feature(need, reason, size);
            break;
        case NEED_FRAMEBUFFER:
            fmt_print(reason, size, "needs framebuffer, this machine has none");
            *met = has_framebuffer(runner);
            break;
        case NEED_DISK:
            fmt_print(reason, size, "needs disk, this machine has none");
            *met = machine_disk() != NULL;
            break;
        }
    }
    return OK;
}
