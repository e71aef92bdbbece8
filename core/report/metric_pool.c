/* Pieces of samples for CPUs that record at once. */
#include "core/report/metric_pool.h"

#include "core/check.h"
#include "core/report/histogram.h"

_Static_assert(METRIC_SAMPLES_MAX % METRIC_PIECE_SAMPLES == 0, "pieces fill a metric");

result_t metric_pool_init(struct metric_pool *pool, struct arena *arena, unsigned cpu_count)
{
    uint32_t piece_count = METRIC_SAMPLES_MAX / METRIC_PIECE_SAMPLES + cpu_count;
    size_t bytes = (size_t)piece_count * METRIC_PIECE_SAMPLES * sizeof(uint64_t);
    *pool = (struct metric_pool){
        .samples = arena_alloc_pages(arena, bytes),
        .piece_cpus = arena_alloc(arena, piece_count),
        .piece_count = piece_count,
        .parts = arena_alloc(arena, cpu_count * sizeof(struct metric *)),
        .part_count = cpu_count,
    };
    return pool->samples && pool->piece_cpus && pool->parts ? OK : ENOMEM;
}

result_t metric_pool_add(struct metric_pool *pool, struct arena *arena, unsigned cpu,
                         struct metric *part)
{
    ASSERT(cpu < pool->part_count);
    struct histogram *histogram = arena_alloc(arena, sizeof(*histogram));
    if (histogram == NULL)
        return ENOMEM;

    *part = (struct metric){.min_milli = UINT64_MAX, .histogram = histogram, .pool = pool};
    pool->parts[cpu] = part;
    return OK;
}

void metric_pool_keep(struct metric *part, uint64_t milli, unsigned cpu)
{
    struct metric_pool *pool = part->pool;
    if (part->piece_left == 0) {
        uint32_t piece = __atomic_load_n(&pool->taken, __ATOMIC_RELAXED);
        if (piece < pool->piece_count)
            piece = __atomic_fetch_add(&pool->taken, 1, __ATOMIC_RELAXED);
        if (piece >= pool->piece_count)
            return;
        pool->piece_cpus[piece] = (uint8_t)cpu;
        part->samples = &pool->samples[(size_t)piece * METRIC_PIECE_SAMPLES];
        part->piece_left = METRIC_PIECE_SAMPLES;
    }
    *part->samples++ = milli;
    part->piece_left--;
}

static void merge_piece(const struct metric_pool *pool, uint32_t piece, struct metric *metric)
{
    const uint64_t *first = &pool->samples[(size_t)piece * METRIC_PIECE_SAMPLES];
    const uint64_t *end = first + METRIC_PIECE_SAMPLES;
    uint8_t cpu = pool->piece_cpus[piece];
    const struct metric *part = pool->parts[cpu];
    /* All of a CPU's pieces but its last are full. */
    if (part->samples > first && part->samples < end)
        end = part->samples;
    for (; first < end && metric->count < METRIC_SAMPLES_MAX; first++) {
        metric->samples[metric->count] = *first;
        metric->sample_cpus[metric->count++] = cpu;
    }
}

static void merge_figures(const struct metric *part, struct metric *metric)
{
    if (part->min_milli < metric->min_milli)
        metric->min_milli = part->min_milli;
    if (part->max_milli > metric->max_milli)
        metric->max_milli = part->max_milli;
    metric->sum_milli += part->sum_milli;
    metric->sum_squares += part->sum_squares;
    for (size_t i = 0; i < ARRAY_COUNT(metric->cpu_mask); i++)
        metric->cpu_mask[i] |= part->cpu_mask[i];
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        metric->histogram->counts[i] += part->histogram->counts[i];
}

void metric_pool_merge(const struct metric_pool *pool, struct metric *metric)
{
    uint64_t total = metric->count;
    uint32_t taken = pool->taken < pool->piece_count ? pool->taken : pool->piece_count;
    for (unsigned i = 0; i < pool->part_count; i++) {
        if (pool->parts[i] == NULL)
            continue;
        total += pool->parts[i]->count;
        merge_figures(pool->parts[i], metric);
    }
    for (uint32_t i = 0; i < taken; i++)
        merge_piece(pool, i, metric);
    metric->count = total;
}
