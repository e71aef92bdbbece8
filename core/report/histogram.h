/* A log-linear histogram of 64-bit values: the whole range, a fixed size, a bounded relative error.
 *
 * Concepts: values below 64 have a bucket each. From there on every power of two is cut into 64
 * buckets of equal width, so that a bucket is never wider than 1/64 of its lower bound (1.6 %):
 *
 *     index   0 .. 63    64 .. 127    128 .. 191   ...   3712 .. 3775
 *     value   0 .. 63    64 .. 127    128 .. 255   ...   2^63 .. 2^64-1
 *     width   1          1            2            ...   2^57
 *
 * Source: the scheme of HdrHistogram (Gil Tene) and of fio's stat.h. */
#ifndef CORE_REPORT_HISTOGRAM_H
#define CORE_REPORT_HISTOGRAM_H

#include "core/types.h"

#define HISTOGRAM_SHIFT 6
#define HISTOGRAM_PER_POWER (1u << HISTOGRAM_SHIFT)
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_SHIFT + 1) * HISTOGRAM_PER_POWER)

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
};

void histogram_reset(struct histogram *histogram);
/* O(1), no allocation. */
void histogram_add(struct histogram *histogram, uint64_t value);

/* The bucket of a value; the lowest value of a bucket, and the first beyond it (of the last bucket its
 * own highest, since there is none beyond). */
unsigned histogram_bucket(uint64_t value);
uint64_t histogram_low(unsigned bucket);
uint64_t histogram_end(unsigned bucket);

/* The lower bound of the bucket that holds the rank-th smallest value; ranks count from 1 and do not
 * go beyond the number of values added. O(buckets). */
uint64_t histogram_at_rank(const struct histogram *histogram, uint64_t rank);

#endif
