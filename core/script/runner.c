/* The runner: scenarios, their combinations, and what is reported of each. */
#include "core/script/runner.h"

#include "core/fmt.h"
#include "core/log.h"
#include "core/mm/mm.h"
#include "core/panic.h"
#include "core/script/diagnostics.h"
#include "core/script/runner_internal.h"

#define LIMIT_SECONDS 60
/* A CPU that does not look at the limit for so long more hangs. */
#define HANG_SECONDS 5
/* Clean-up, audit and report of a combination take no longer on any machine. */
#define AFTERMATH_SECONDS 600
#define LIMIT_SECONDS_MAX 1000000
#define REASON_MAX 200

/* For panics: what is running, with which parameters. */
static const struct run *current_run;
static struct text current_params;

static void describe_scenario(void)
{
    if (current_run == NULL)
        return;
    const struct program *program = current_run->program;
    const struct op *op = runner_parallel_run(current_run)->current;
    char place[128] = "";
    if (op != NULL && op->command != NULL)
        run_format_place(program, op->command->at, place, sizeof(place));
    bool known = place[0] != '\0';
    log_panic_line("scenario %.*s%s%.*s at %s%s%s", TEXT_ARGS(program->scenario->name),
                   current_params.size > 0 ? " " : "", TEXT_ARGS(current_params), place,
                   known ? ": " : "its clean-up", known ? op->command->spec->name : "");
}

/* --- one combination ---------------------------------------------------------------------------------------- */

struct combination {
    struct runner *runner;
    struct sweep *sweep;
    struct program program;
    struct run run;
    struct compiler compiler;
    struct text params;
    int64_t limit_seconds;
};

static void read_counters(uint64_t counters[COUNTER_COUNT])
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        counters[i] = counter_read((enum counter)i);
}

static void report_blocks(const struct combination *combination,
                          const uint64_t before[COUNTER_COUNT], const uint64_t after[COUNTER_COUNT])
{
    const struct run *run = &combination->run;
    const struct boot_params *params = combination->runner->args->params;
    uint32_t count = combination->program.script->metric_count;
    report_timings(run->metrics, count, combination->runner->arena);
    if (params->samples)
        report_samples(run->metrics, count);
    if (params->hist)
        report_histogram(run->metrics, count);
    report_counters(before, after);
}

/* Is the machine as it was before the combination? */
static bool check_aftermath(const struct combination *combination, uint64_t free_before)
{
    bool sound = true;
    uint64_t free_after = mm_free_bytes();
    if (free_after != free_before) {
        sound = false;
        report_diagnostic("memory is not as it was before: %lu bytes were free, now %lu are",
                          (unsigned long)free_before, (unsigned long)free_after);
    }
    struct audit_report report;
    if (combination->runner->args->params->check != CHECK_OFF && !mm_audit(&report)) {
        sound = false;
        report_diagnostic("the audit found: %s", report.text);
    }
    return sound;
}

/* Why a `parallel` skips its combination. */
static const char *lacks_cpus(const struct runner *runner, int64_t wanted)
{
    static char text[REASON_MAX];
    fmt_print(text, sizeof(text), "needs cpus>=%ld, this machine has %u", (long)wanted,
              runner->facts.cpu_count);
    return text;
}

/* Runs the compiled program and reports all but the result. */
static void execute(struct combination *combination, enum verdict *verdict, const char **reason)
{
    struct run *run = &combination->run;
    uint64_t before[COUNTER_COUNT];
    uint64_t after[COUNTER_COUNT];
    mm_set_seed(run->facts->seed);
    uint64_t free_before = mm_free_bytes();
    read_counters(before);
    memcpy(run->mark, before, sizeof(before));
    machine_watchdog((unsigned)combination->limit_seconds + HANG_SECONDS);
    run->deadline =
        machine_ticks() + (uint64_t)combination->limit_seconds * run->facts->ticks_per_second;
    current_params = combination->params;
    current_run = run;
    runner_execute(run);
    read_counters(after);

    machine_watchdog(AFTERMATH_SECONDS);
    run->current = NULL;
    bool skipped = run->stop.kind == STOP_SKIP;
    if (skipped) {
        *verdict = VERDICT_SKIP;
        *reason = lacks_cpus(combination->runner, run->stop.number);
    } else if (run->stop.kind != STOP_NONE) {
        *verdict = VERDICT_FAIL;
        *reason = run->stop.kind == STOP_TIMEOUT ? "TIMEOUT" : NULL;
        run_report_stop(run);
    }
    if (!runner_clean_up(run)) {
        *verdict = VERDICT_FAIL;
        report_diagnostic("what was alive could not be dropped in order");
    }
    if (!check_aftermath(combination, free_before))
        *verdict = VERDICT_FAIL;
    current_run = NULL;
    if (skipped)
        return;
    runner_parallel_merge(run);
    report_blocks(combination, before, after);
}

static bool compute_limit(struct combination *combination, const char **why)
{
    const struct expression *expression = combination->program.script->limit_seconds;
    struct value value;
    combination->limit_seconds = LIMIT_SECONDS;
    if (expression == NULL)
        return true;
    if (!compile_constant(&combination->compiler, expression, &value, why))
        return false;
    combination->limit_seconds = value.number;
    *why = "limit time= is 1 to 1000000 seconds";
    return value.word == WORD_NONE && value.number >= 1 && value.number <= LIMIT_SECONDS_MAX;
}

/* Sets *verdict to other than VERDICT_PASS, with *reason, when the combination does not run. */
static void prepare(struct combination *combination, enum verdict *verdict, const char **reason)
{
    static char text[REASON_MAX];
    const char *why = "";
    bool met;
    *verdict = VERDICT_FAIL;
    *reason = NULL;
    result_t result =
        runner_check_needs(combination->runner, &combination->compiler, &met, text, sizeof(text));
    if (result != OK) {
        report_diagnostic("%s: %s", combination->program.scenario->file_name, text);
    } else if (!met) {
        *verdict = VERDICT_SKIP;
        *reason = text;
    } else if (!compute_limit(combination, &why)) {
        report_diagnostic("%s: limit: %s", combination->program.scenario->file_name, why);
    } else if (runner_prepare(combination->runner, &combination->compiler) != OK) {
        report_diagnostic("the harness has not enough memory for this scenario's commands, names "
                          "and metrics");
    } else if (combination->compiler.wanted_cpus > combination->runner->facts.cpu_count) {
        *verdict = VERDICT_SKIP;
        *reason = lacks_cpus(combination->runner, combination->compiler.wanted_cpus);
    } else {
        *verdict = VERDICT_PASS;
    }
}

static void run_combination(struct combination *combination, size_t index)
{
    struct runner *runner = combination->runner;
    size_t mark = arena_mark(runner->arena);
    enum verdict verdict = VERDICT_FAIL;
    const char *reason = NULL;
    const char *why = "the harness has not enough memory for it";
    combination->run = (struct run){.program = &combination->program, .facts = &runner->facts};
    combination->compiler = (struct compiler){
        .program = &combination->program, .run = &combination->run, .arena = runner->arena};
    combination->program.op_count = 0;
    combination->program.loop_count = 0;
    result_t result = runner_sweep_compute(combination->sweep, index, &combination->compiler, &why);
    if (result == OK)
        combination->params =
            runner_sweep_text(combination->sweep, &combination->program, runner->arena);
    else
        combination->params = TEXT("");

    report_combination_begin(combination->params);
    if (result != OK)
        report_diagnostic("a parameter has no value: %s", why);
    else
        prepare(combination, &verdict, &reason);
    if (verdict == VERDICT_PASS)
        execute(combination, &verdict, &reason);
    report_combination_end(verdict, reason);
    arena_release(runner->arena, mark);
}

/* --- one scenario ---------------------------------------------------------------------------------------------- */

static void refuse(const struct scenario *scenario, const char *why)
{
    report_diagnostic("%s: %s", scenario->file_name, why);
    report_scenario_refused(scenario->name, VERDICT_FAIL, NULL);
}

static void refuse_broken(const struct scenario *scenario)
{
    for (size_t i = 0; i < scenario->error_count; i++) {
        char text[1024];
        scenario_format_error(scenario, i, text, sizeof(text));
        report_diagnostic("%s", text);
    }
    report_bad_input();
    report_scenario_refused(scenario->name, VERDICT_FAIL, NULL);
}

static void run_sweep(struct runner *runner, const struct scenario *scenario)
{
    struct sweep *sweep = arena_alloc(runner->arena, sizeof(*sweep));
    struct combination *combination = arena_alloc(runner->arena, sizeof(*combination));
    const char *why = "the harness has not enough memory for it";
    if (sweep == NULL || combination == NULL ||
        runner_sweep_init(runner, scenario, sweep, &why) != OK) {
        refuse(scenario, why);
        return;
    }
    combination->runner = runner;
    combination->sweep = sweep;
    combination->program.scenario = scenario;
    combination->program.script = scenario->script;
    if (!compile_words(&combination->program, scenario, runner->arena)) {
        refuse(scenario, why);
        return;
    }
    report_scenario_begin(scenario->name, sweep->combination_count);
    for (size_t i = 0; i < sweep->combination_count; i++)
        run_combination(combination, i);
    report_scenario_end();
}

/* The text is checked once more: what was parsed at the start has been forgotten since, to keep the
 * harness's memory for samples. */
static void run_scenario(struct runner *runner, struct scenario *scenario)
{
    size_t mark = arena_mark(runner->arena);
    const char *file_name = scenario->file_name;
    struct text source = scenario->source;
    if (scenario_load(scenario, runner->arena, file_name, source) == OK)
        run_sweep(runner, scenario);
    else
        refuse_broken(scenario);
    scenario->script = NULL;
    arena_release(runner->arena, mark);
}

/* --- the run ---------------------------------------------------------------------------------------------------- */

/* Looks at the heads of all scenarios. False: out of memory. */
static bool load_scenarios(struct runner *runner)
{
    const struct boot_blob *blob = &runner->args->boot->scenarios;
    const struct boot_scenario *files = machine_phys_to_virt(phys(blob->start));
    runner->scenario_count = blob->size_bytes / sizeof(struct boot_scenario);
    runner->scenarios =
        arena_alloc(runner->arena, runner->scenario_count * sizeof(struct scenario));
    if (runner->scenarios == NULL)
        return false;
    for (size_t i = 0; i < runner->scenario_count; i++) {
        size_t mark = arena_mark(runner->arena);
        struct text source = {machine_phys_to_virt(phys(files[i].text.start)),
                              files[i].text.size_bytes};
        /* Whether it has errors is asked again when it runs. */
        (void)scenario_load(&runner->scenarios[i], runner->arena, files[i].file_name, source);
        runner->scenarios[i].script = NULL;
        arena_release(runner->arena, mark);
    }
    return true;
}

static result_t select_scenarios(struct runner *runner, struct boot_params_error *error)
{
    const struct boot_params *params = runner->args->params;
    result_t result = scenario_select(runner->scenarios, runner->scenario_count, params, error);
    if (result == OK)
        result =
            boot_params_check_scenarios(params, runner->scenarios, runner->scenario_count, error);
    return result;
}

/* Memory and figures that all scenarios share. False: out of memory. */
static bool init_runner(struct runner *runner, const struct run_args *args)
{
    const struct boot_params *params = args->params;
    *runner = (struct runner){.args = args, .arena = args->arena};
    runner->facts = (struct run_facts){
        .seed = params->has_seed ? params->seed : machine_random_seed(),
        .cpu_count = machine_cpu_count(),
        .memory_bytes = mm_usable_bytes(),
        .ticks_per_second = machine_ticks_per_second(),
    };
    runner->floor_pages[0] = arena_alloc_pages(runner->arena, PAGE_SIZE);
    runner->floor_pages[1] = arena_alloc_pages(runner->arena, PAGE_SIZE);
    runner->floor_samples = arena_alloc(runner->arena, FLOOR_SAMPLES_MAX * sizeof(ticks_t));
    return runner->floor_pages[0] && runner->floor_pages[1] && runner->floor_samples &&
           load_scenarios(runner);
}

/* Nothing runs, but the run has an end and a status. */
static enum run_status refuse_run(const char *complaint)
{
    report_run_begin(0);
    log_error("%s", complaint);
    report_bad_input();
    return report_run_end();
}

static void run_selected(struct runner *runner, size_t selected)
{
    size_t number = 0;
    for (size_t i = 0; i < runner->scenario_count; i++) {
        struct scenario *scenario = &runner->scenarios[i];
        if (!scenario->selected)
            continue;
        number++;
        log_progress("scenario %zu of %zu: %.*s", number, selected, TEXT_ARGS(scenario->name));
        run_scenario(runner, scenario);
    }
}

enum run_status runner_run(const struct run_args *args)
{
    static struct runner runner;
    struct boot_params_error error;
    size_t selected = 0;
    if (!init_runner(&runner, args))
        panic("the harness has not enough memory to look at the scenarios");
    if (select_scenarios(&runner, &error) != OK)
        return refuse_run(error.text);
    for (size_t i = 0; i < runner.scenario_count; i++)
        selected += runner.scenarios[i].selected;

    panic_describe_scenario = describe_scenario;
    report_run_begin(selected);
    if (runner_calibrate(&runner) != OK)
        panic("the harness has not enough memory for its own measurements");
    runner_report_meta(&runner);
    run_selected(&runner, selected);
    machine_watchdog(0);
    return report_run_end();
}
