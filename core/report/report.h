/* The report of a run: KTAP, CSV blocks and the last line, exactly as results/README.md says.
 *
 * Concepts: the runner tells what happens, in this order:
 *   report_run_begin, report_meta...,
 *   for each scenario: report_scenario_begin,
 *     for each combination: report_combination_begin, report_diagnostic..., blocks,
 *                           report_combination_end,
 *     report_scenario_end,
 *   report_run_end.
 * There is one report; it keeps what it needs to finish after a panic in any state. Calls out of order
 * are programmer errors.
 * Locking: for one CPU; lines go out through core/log.h. */
#ifndef CORE_REPORT_REPORT_H
#define CORE_REPORT_REPORT_H

#include "core/arena.h"
#include "core/counters.h"
#include "core/report/metric.h"
#include "core/text.h"
#include "core/verdict.h"

enum run_status {
    STATUS_PASSED = 0,
    STATUS_FAILED = 1,
    STATUS_PANIC = 2,
    STATUS_BAD_INPUT = 3,
};

/* Optional and first: a panic from here on ends in a proper last line. */
void report_init(void);
/* Prints the KTAP version line and the plan; arms panic_finish_report. */
void report_run_begin(size_t scenario_count);

/* The `meta` block: begin, rows, end. Values are quoted where RFC 4180 wants it. */
void report_meta_begin(void);
void report_meta(const char *key, const char *value);
void report_meta_end(void);

/* combination_count 1 with has_params false: no nested level. Prints the nested version line and plan
 * when there are parameters that sweep, i.e. combination_count > 1. */
void report_scenario_begin(struct text name, size_t combination_count);
/* params: as in the CSV column; must live until report_combination_end(). */
void report_combination_begin(struct text params);
/* A `#` line before the result, with the right indentation. Multi-line text becomes several lines. */
void report_diagnostic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The blocks of the combination under way. Metrics without samples have no row; a block without rows
 * is left out. `scratch` is for sorting. */
void report_timings(const struct metric *metrics, size_t count, struct arena *scratch);
void report_samples(const struct metric *metrics, size_t count);
/* Only buckets with values; low and high are a half-open range. */
void report_histogram(const struct metric *metrics, size_t count);
/* before: values of all counters at the combination's first command; only those that moved. */
void report_counters(const uint64_t before[COUNTER_COUNT], const uint64_t after[COUNTER_COUNT]);

/* reason: of a skip, or the directive of a failure ("TIMEOUT"), or NULL; copied. Prints the nested
 * result line when the scenario has a nested level. */
void report_combination_end(enum verdict verdict, const char *reason);
/* Prints the scenario's result line: failed if any combination failed, skipped if all were. Also
 * counts it. */
void report_scenario_end(void);
/* A scenario that cannot run at all, in one call: begin and end. Diagnostics must have been printed. */
void report_scenario_refused(struct text name, enum verdict verdict, const char *reason);

/* The run is not to be called passed whatever its scenarios say: bad boot parameter or file. */
void report_bad_input(void);
/* Prints `@pagelab done ...` and returns the status: 2, 3, 1, 0 in this precedence. */
enum run_status report_run_end(void);

#endif
