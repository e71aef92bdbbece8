/* Recording samples and summarizing them. */
#include "core/report/metric.h"

#include "core/check.h"
#include "core/cpu.h"
#include "core/report/histogram.h"
#include "core/report/metric_pool.h"
#include "core/report/statistics.h"

_Static_assert(CPU_MAX <= 256, "a sample's CPU is kept in a byte, a metric's CPUs in 256 bits");

result_t metric_init(struct metric *metric, struct arena *arena, struct text name,
                     enum metric_unit unit)
{
    size_t mark = arena_mark(arena);
    uint64_t *samples = arena_alloc_pages(arena, METRIC_SAMPLES_MAX * sizeof(*samples));
    uint8_t *sample_cpus = arena_alloc_pages(arena, METRIC_SAMPLES_MAX);
    struct histogram *histogram = arena_alloc(arena, sizeof(*histogram));
    if (samples == NULL || sample_cpus == NULL || histogram == NULL) {
        arena_release(arena, mark);
        return ENOMEM;
    }

    *metric = (struct metric){
        .name = name,
        .unit = unit,
        .min_milli = UINT64_MAX,
        .samples = samples,
        .sample_cpus = sample_cpus,
        .histogram = histogram,
    };
    return OK;
}

void metric_reset(struct metric *metric)
{
    metric->count = 0;
    metric->min_milli = UINT64_MAX;
    metric->max_milli = 0;
    metric->sum_milli = 0;
    metric->sum_squares = 0;
    memset(metric->cpu_mask, 0, sizeof(metric->cpu_mask));
    histogram_reset(metric->histogram);
}

/* value / per in thousandths, truncated; the largest number when it does not fit. */
static uint64_t milli_of(uint64_t value, uint64_t per)
{
    uint64_t whole = value / per;
    uint64_t rest = value % per;
    uint64_t part = per <= UINT64_MAX / 1000
                        ? rest * 1000 / per
                        : (uint64_t)statistics_divide((wide_t)rest * 1000, per);
    uint64_t milli;

    if (__builtin_mul_overflow(whole, 1000, &milli) || __builtin_add_overflow(milli, part, &milli))
        return UINT64_MAX;
    return milli;
}

void metric_add(struct metric *metric, uint64_t value, uint64_t per, unsigned cpu)
{
    ASSERT(per != 0 && cpu < CPU_MAX);
    uint64_t milli = milli_of(value, per);

    if (metric->pool != NULL) {
        metric_pool_keep(metric, milli, cpu);
    } else if (metric->count < METRIC_SAMPLES_MAX) {
        metric->samples[metric->count] = milli;
        metric->sample_cpus[metric->count] = (uint8_t)cpu;
    }
    metric->count++;
    if (milli < metric->min_milli)
        metric->min_milli = milli;
    if (milli > metric->max_milli)
        metric->max_milli = milli;
    metric->sum_milli += milli;
    metric->sum_squares += (wide_t)milli * milli; /* room for 2^32 samples of a minute each */
    metric->cpu_mask[cpu / 64] |= 1ull << cpu % 64;
    histogram_add(metric->histogram, milli);
}

static unsigned cpu_count(const struct metric *metric)
{
    unsigned count = 0;

    for (size_t i = 0; i < ARRAY_COUNT(metric->cpu_mask); i++) {
        for (uint64_t mask = metric->cpu_mask[i]; mask != 0; mask &= mask - 1)
            count++;
    }
    return count;
}

/* A sorted copy of all samples; NULL when not all were kept or the arena has no room. */
static const uint64_t *sorted_samples(const struct metric *metric, struct arena *scratch)
{
    if (metric->count > METRIC_SAMPLES_MAX)
        return NULL;
    uint64_t *sorted = arena_alloc_pages(scratch, metric->count * sizeof(*sorted));
    if (sorted == NULL)
        return NULL;

    memcpy(sorted, metric->samples, metric->count * sizeof(*sorted));
    statistics_sort(sorted, metric->count);
    return sorted;
}

void metric_summarize(const struct metric *metric, struct arena *scratch,
                      struct metric_summary *summary)
{
    ASSERT(metric->count != 0);
    size_t mark = arena_mark(scratch);
    const uint64_t *sorted = sorted_samples(metric, scratch);
    static const unsigned permilles[] = {500, 900, 990, 999};
    uint64_t values[ARRAY_COUNT(permilles)];

    for (size_t i = 0; i < ARRAY_COUNT(permilles); i++) {
        uint64_t rank = statistics_rank(metric->count, permilles[i]);
        values[i] = sorted ? sorted[rank - 1] : histogram_at_rank(metric->histogram, rank);
    }
    arena_release(scratch, mark);

    *summary = (struct metric_summary){
        .p50_milli = values[0],
        .p90_milli = values[1],
        .p99_milli = values[2],
        .p999_milli = values[3],
        .mean_milli = (uint64_t)statistics_divide(metric->sum_milli, metric->count),
        .stddev_milli = statistics_deviation(metric->count, metric->sum_milli, metric->sum_squares),
        .cpu_count = cpu_count(metric),
        .exact = sorted != NULL,
    };
}
