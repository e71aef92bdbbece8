/* What the files of the runner share. Private to the back half of core/script. */
#ifndef CORE_SCRIPT_RUNNER_INTERNAL_H
#define CORE_SCRIPT_RUNNER_INTERNAL_H

#include "core/script/compiler.h"
#include "core/script/runner.h"

#define COMBINATIONS_MAX 65536

struct runner {
    const struct run_args *args;
    struct arena *arena;
    struct scenario *scenarios;
    size_t scenario_count;
    struct run_facts facts;
    bool exact; /* the clock counts instructions */
    ticks_t *floor_samples;
    void *floor_pages[2];
};

/* --- runner_meta.c ---------------------------------------------------------------------------------- */

void runner_report_meta(const struct runner *runner);

/* --- runner_program.c --------------------------------------------------------------------------------- */

/* Takes the memory of a combination: program, names, metrics. ENOMEM. */
result_t runner_prepare(const struct runner *runner, struct compiler *compiler);
/* Runs the compiled program from its start to its end or stop, on whatever CPUs it wants. */
void runner_execute(struct run *run);
/* Drops what is alive. False: something could not be dropped in order; all of it is gone anyway. */
bool runner_clean_up(struct run *run);
/* For machine_cpu_run(): that CPU loads no script's space any more. */
void runner_leave_space(void *argument);
/* Measures what empty measurements cost. ENOMEM. */
result_t runner_calibrate(struct runner *runner);

/* --- runner_parallel.c --------------------------------------------------------------------------------- */

/* Runs the `parallel` that run->job_op is on its CPUs, this one the first; run->next leads on. */
void runner_parallel(struct run *run);
/* Drops what CPUs that were stopped have left. As runner_clean_up(). */
bool runner_parallel_clean_up(struct run *run);
/* Adds what CPUs have recorded at once to the metrics. */
void runner_parallel_merge(struct run *run);
/* For panics: the run of this CPU. */
const struct run *runner_parallel_run(const struct run *run);

/* --- runner_sweep.c ------------------------------------------------------------------------------------ */

/* The parameters of a scenario and the values they take in this run. */
struct sweep {
    const struct scenario *scenario;
    size_t combination_count;
    size_t value_counts[SCRIPT_PARAMS_MAX];
    const struct expression **values[SCRIPT_PARAMS_MAX];
    struct value *current; /* of the combination at hand */
    /* Policies that the run gives values, swept like further parameters. */
    size_t policy_counts[POLICY_COUNT]; /* 0: not given */
    unsigned policies[POLICY_COUNT][POLICY_VALUES_MAX];
    unsigned policies_now[POLICY_COUNT];
};

/* Fills *sweep from the scenario and the boot parameters. EINVAL, ENOMEM with *why. */
result_t runner_sweep_init(const struct runner *runner, const struct scenario *scenario,
                           struct sweep *sweep, const char **why);
/* Computes the values of combination `index` (the last parameter changes fastest). EINVAL, ENOMEM with
 * *why. */
result_t runner_sweep_compute(struct sweep *sweep, size_t index, struct compiler *compiler,
                              const char **why);
/* "pages=256 mode=lazy"; empty text: out of memory, or no parameters. */
struct text runner_sweep_text(const struct sweep *sweep, const struct program *program,
                              struct arena *arena);
/* Does the machine have what the scenario needs? If not *reason names it. EINVAL: an amount has no
 * value; *reason says why. */
result_t runner_check_needs(const struct runner *runner, struct compiler *compiler, bool *met,
                            char *reason, size_t size);

#endif
