/* The one report of a run: verdicts on top of KTAP, measurements on top of CSV. */
#include "core/report/report.h"

#include "core/check.h"
#include "core/display.h"
#include "core/fmt.h"
#include "core/log.h"
#include "core/record.h"
#include "core/report/csv.h"
#include "core/report/histogram.h"
#include "core/report/ktap.h"

#define REASON_MAX 256
#define DIAGNOSTIC_MAX 2048

enum phase { PHASE_BEFORE, PHASE_RUN, PHASE_SCENARIO, PHASE_COMBINATION, PHASE_DONE };

/* What has been said so far. Counts are of what has ended. */
static struct report {
    enum phase phase;
    bool bad_input;
    size_t passed, failed, skipped; /* scenarios */

    struct text scenario;
    size_t combination_count;
    size_t combinations_ended;
    size_t combinations_failed;
    size_t combinations_skipped;
    struct text params;
    char reason[REASON_MAX]; /* of the first skip or failure of the scenario; may be empty */
} report;

static bool is_nested(void)
{
    return report.combination_count > 1;
}

/* Where lines about what is under way stand: combinations of a sweep are one level down. */
static unsigned level(void)
{
    return report.phase == PHASE_COMBINATION && is_nested() ? 1 : 0;
}

static enum run_status run_status(void)
{
    if (report.bad_input)
        return STATUS_BAD_INPUT;
    return report.failed != 0 ? STATUS_FAILED : STATUS_PASSED;
}

static const char *directive_of(enum verdict verdict)
{
    return verdict == VERDICT_SKIP ? "SKIP" : NULL;
}

/* --- scenarios and combinations --------------------------------------------------------------------- */

static void print_result(unsigned at_level, size_t number, struct text name, enum verdict verdict,
                         const char *reason)
{
    const struct ktap_result result = {
        .level = at_level,
        .ok = verdict != VERDICT_FAIL,
        .number = number,
        .name = name,
        .directive = verdict == VERDICT_FAIL && reason[0] != '\0' ? reason : directive_of(verdict),
        .reason = verdict == VERDICT_SKIP ? reason : NULL,
    };
    ktap_result(&result);
}

static void count_scenario(enum verdict verdict)
{
    switch (verdict) {
    case VERDICT_PASS:
        report.passed++;
        break;
    case VERDICT_FAIL:
        report.failed++;
        break;
    case VERDICT_SKIP:
        report.skipped++;
        break;
    }
}

static enum verdict scenario_verdict(void)
{
    if (report.combinations_failed != 0)
        return VERDICT_FAIL;
    return report.combinations_skipped == report.combination_count ? VERDICT_SKIP : VERDICT_PASS;
}

/* Prints the scenario's line and counts it. A sweep's line has no reason of its own but for a skip. */
static void scenario_result(enum verdict verdict)
{
    size_t number = report.passed + report.failed + report.skipped + 1;
    bool has_reason = verdict == VERDICT_SKIP || (verdict == VERDICT_FAIL && !is_nested());

    print_result(0, number, report.scenario, verdict, has_reason ? report.reason : "");
    display_scenario_end(verdict, has_reason ? report.reason : NULL);
    count_scenario(verdict);
    report.phase = PHASE_RUN;
}

void report_scenario_begin(struct text name, size_t combination_count)
{
    ASSERT(report.phase == PHASE_RUN && combination_count != 0);
    report.scenario = name;
    report.combination_count = combination_count;
    report.combinations_ended = 0;
    report.combinations_failed = 0;
    report.combinations_skipped = 0;
    report.reason[0] = '\0';
    report.phase = PHASE_SCENARIO;
    display_scenario_begin(name, combination_count);
    if (is_nested())
        ktap_plan(1, combination_count);
}

void report_combination_begin(struct text params)
{
    ASSERT(report.phase == PHASE_SCENARIO);
    ASSERT(report.combinations_ended < report.combination_count);
    report.params = params;
    report.phase = PHASE_COMBINATION;
    display_combination_begin(params);
}

static void combination_result(enum verdict verdict, const char *reason)
{
    report.combinations_ended++;
    report.combinations_failed += verdict == VERDICT_FAIL;
    report.combinations_skipped += verdict == VERDICT_SKIP;
    if (is_nested())
        print_result(1, report.combinations_ended, report.params, verdict, reason);
    report.phase = PHASE_SCENARIO;
}

void report_combination_end(enum verdict verdict, const char *reason)
{
    ASSERT(report.phase == PHASE_COMBINATION);
    if (reason == NULL)
        reason = "";
    if (report.reason[0] == '\0')
        fmt_print(report.reason, sizeof(report.reason), "%s", reason);
    combination_result(verdict, reason);
}

void report_scenario_end(void)
{
    ASSERT(report.phase == PHASE_SCENARIO);
    ASSERT(report.combinations_ended == report.combination_count);
    scenario_result(scenario_verdict());
}

void report_scenario_refused(struct text name, enum verdict verdict, const char *reason)
{
    report_scenario_begin(name, 1);
    report_combination_begin(TEXT(""));
    report_combination_end(verdict, reason);
    report_scenario_end();
}

void report_diagnostic(const char *format, ...)
{
    static char text[DIAGNOSTIC_MAX];
    va_list arguments;

    va_start(arguments, format);
    size_t length = fmt_vprint(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (length > sizeof(text) - 1)
        length = sizeof(text) - 1;
    ktap_comment(level(), (struct text){text, length});
    struct text rest = {text, length};
    while (rest.size != 0)
        display_diagnostic(text_cut(&rest, '\n'));
}

/* --- start and end ------------------------------------------------------------------------------------ */

static void print_done(enum run_status status)
{
    report.phase = PHASE_DONE;
    log_line("@pagelab done passed=%zu failed=%zu skipped=%zu status=%d", report.passed,
             report.failed, report.skipped, (int)status);
    record_end(status);
    display_run_end(status);
}

/* The machine is broken: nothing here locks (the log no longer does), allocates, or trusts the state to
 * be between two calls. */
static void finish_after_panic(void)
{
    if (report.phase == PHASE_DONE)
        return;
    if (report.phase == PHASE_COMBINATION)
        combination_result(VERDICT_FAIL, "");
    if (report.phase == PHASE_SCENARIO) {
        report.reason[0] = '\0';
        scenario_result(VERDICT_FAIL);
    }
    print_done(STATUS_PANIC);
}

void report_init(void)
{
    panic_finish_report = finish_after_panic;
}

void report_run_begin(size_t scenario_count)
{
    ASSERT(report.phase == PHASE_BEFORE);
    report_init();
    report.phase = PHASE_RUN;
    ktap_plan(0, scenario_count);
    display_run_begin(scenario_count);
}

void report_bad_input(void)
{
    report.bad_input = true;
}

enum run_status report_run_end(void)
{
    ASSERT(report.phase == PHASE_RUN);
    enum run_status status = run_status();
    print_done(status);
    return status;
}

/* --- blocks -------------------------------------------------------------------------------------------- */

void report_meta_begin(void)
{
    csv_begin("meta", "key,value");
}

void report_meta(const char *key, const char *value)
{
    csv_text(text_of(key));
    csv_text(text_of(value));
    csv_row_end();
}

void report_meta_end(void)
{
    csv_end();
}

/* The first columns of every block but meta. */
static void row_begin(struct text subject)
{
    ASSERT(report.phase == PHASE_COMBINATION);
    csv_text(report.scenario);
    csv_text(report.params);
    csv_text(subject);
}

static bool any_samples(const struct metric *metrics, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (metrics[i].count != 0)
            return true;
    }
    return false;
}

static void timing_row(const struct metric *metric, struct arena *scratch)
{
    struct metric_summary summary;

    metric_summarize(metric, scratch, &summary);
    row_begin(metric->name);
    csv_text(metric->unit == UNIT_TICK ? TEXT("tick") : TEXT("count"));
    csv_unsigned(summary.cpu_count);
    csv_unsigned(metric->count);
    csv_milli(metric->min_milli);
    csv_milli(summary.p50_milli);
    csv_milli(summary.p90_milli);
    csv_milli(summary.p99_milli);
    csv_milli(summary.p999_milli);
    csv_milli(metric->max_milli);
    csv_milli(summary.mean_milli);
    csv_milli(summary.stddev_milli);
    csv_unsigned(metric->overhead_ticks);
    csv_unsigned(summary.exact);
    csv_row_end();
}

void report_timings(const struct metric *metrics, size_t count, struct arena *scratch)
{
    if (!any_samples(metrics, count))
        return;
    csv_begin("timings", "scenario,params,metric,unit,cpus,n,min,p50,p90,p99,p999,max,mean,stddev,"
                         "overhead,exact");
    for (size_t i = 0; i < count; i++) {
        if (metrics[i].count != 0)
            timing_row(&metrics[i], scratch);
    }
    csv_end();
}

static void sample_rows(const struct metric *metric)
{
    uint64_t kept = metric->count < METRIC_SAMPLES_MAX ? metric->count : METRIC_SAMPLES_MAX;

    for (uint64_t i = 0; i < kept; i++) {
        row_begin(metric->name);
        csv_unsigned(metric->sample_cpus[i]);
        csv_unsigned(i);
        csv_milli(metric->samples[i]);
        csv_row_end();
    }
}

void report_samples(const struct metric *metrics, size_t count)
{
    if (!any_samples(metrics, count))
        return;
    csv_begin("samples", "scenario,params,metric,cpu,index,value");
    for (size_t i = 0; i < count; i++)
        sample_rows(&metrics[i]);
    csv_end();
}

static void histogram_rows(const struct metric *metric)
{
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        uint64_t values = metric->histogram->counts[bucket];
        if (values == 0)
            continue;
        row_begin(metric->name);
        csv_milli(histogram_low(bucket));
        csv_milli(histogram_end(bucket));
        csv_unsigned(values);
        csv_row_end();
    }
}

void report_histogram(const struct metric *metrics, size_t count)
{
    if (!any_samples(metrics, count))
        return;
    csv_begin("histogram", "scenario,params,metric,low,high,count");
    for (size_t i = 0; i < count; i++)
        histogram_rows(&metrics[i]);
    csv_end();
}

void report_counters(const uint64_t before[COUNTER_COUNT], const uint64_t after[COUNTER_COUNT])
{
    if (memcmp(before, after, COUNTER_COUNT * sizeof(before[0])) == 0)
        return;
    csv_begin("counters", "scenario,params,counter,value");
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        if (after[i] == before[i])
            continue;
        row_begin(text_of(counter_name((enum counter)i)));
        csv_signed((int64_t)(after[i] - before[i]));
        csv_row_end();
    }
    csv_end();
}
