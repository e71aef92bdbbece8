/* Log-linear histogram: see histogram.h for the layout of its buckets. */
#include "core/report/histogram.h"

#include "core/check.h"
#include "core/text.h"

_Static_assert(HISTOGRAM_BUCKETS == 3776, "the table in histogram.h says so");

void histogram_reset(struct histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[histogram_bucket(value)]++;
}

unsigned histogram_bucket(uint64_t value)
{
    if (value < HISTOGRAM_PER_POWER)
        return (unsigned)value;

    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_SHIFT;
    return shift * HISTOGRAM_PER_POWER + (unsigned)(value >> shift);
}

uint64_t histogram_low(unsigned bucket)
{
    ASSERT(bucket < HISTOGRAM_BUCKETS);
    if (bucket < HISTOGRAM_PER_POWER)
        return bucket;

    unsigned shift = bucket / HISTOGRAM_PER_POWER - 1;
    return (uint64_t)(bucket - shift * HISTOGRAM_PER_POWER) << shift;
}

uint64_t histogram_end(unsigned bucket)
{
    return bucket + 1 == HISTOGRAM_BUCKETS ? UINT64_MAX : histogram_low(bucket + 1);
}

uint64_t histogram_at_rank(const struct histogram *histogram, uint64_t rank)
{
    uint64_t seen = 0;

    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (seen >= rank && rank != 0)
            return histogram_low(bucket);
    }
    panic("histogram: rank %llu of %llu values", (unsigned long long)rank,
          (unsigned long long)seen);
}
