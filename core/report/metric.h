/* Samples of one metric in one combination: exact minimum, maximum, sum; the first 65,536 samples; a
 * log-linear histogram of all of them.
 *
 * Concepts: values are kept in thousandths of the unit ("milli"), truncated, because `per=` divides.
 * The histogram has 64 buckets per power of two (relative error below 1.6 %).
 * Locking: none; a metric belongs to the CPU that records into it. */
#ifndef CORE_REPORT_METRIC_H
#define CORE_REPORT_METRIC_H

#include "core/arena.h"
#include "core/result.h"
#include "core/text.h"

#define METRIC_SAMPLES_MAX 65536

enum metric_unit { UNIT_TICK, UNIT_COUNT };

struct histogram;
struct metric_pool;

struct metric {
    struct text name;
    enum metric_unit unit;
    uint64_t overhead_ticks; /* of an empty measurement of this kind; 0 for counts */
    uint64_t count;
    uint64_t min_milli;
    uint64_t max_milli;
    unsigned __int128 sum_milli;
    unsigned __int128 sum_squares; /* of milli */
    uint64_t *samples;    /* the first min(count, METRIC_SAMPLES_MAX), in order of recording */
    uint8_t *sample_cpus; /* which CPU gave each of them */
    struct histogram *histogram;
    uint64_t cpu_mask[4];     /* CPUs that gave samples */
    struct metric_pool *pool; /* of a part of a metric (metric_pool.h); NULL: this is a whole one */
    unsigned piece_left;      /* of a part: room from samples on */
};

/* Takes all memory that recording will ever need from the arena (about 0.6 MiB); ENOMEM. */
result_t metric_init(struct metric *metric, struct arena *arena, struct text name,
                     enum metric_unit unit);
/* Forgets all samples. O(1) in samples (clears the histogram). */
void metric_reset(struct metric *metric);
/* Records value/per. per is not 0. Allocates nothing. O(1). */
void metric_add(struct metric *metric, uint64_t value, uint64_t per, unsigned cpu);

struct metric_summary {
    uint64_t p50_milli, p90_milli, p99_milli, p999_milli;
    uint64_t mean_milli, stddev_milli;
    unsigned cpu_count;
    bool exact; /* percentiles by nearest rank from all samples; else bucket lower bounds */
};
/* count must not be 0. Sorts a copy in the arena (released again); O(n log n). If the arena has no
 * room for the copy the percentiles come from the histogram. */
void metric_summarize(const struct metric *metric, struct arena *scratch,
                      struct metric_summary *summary);

#endif
