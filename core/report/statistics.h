/* The arithmetic behind a summary: exact, in integers, without 128-bit division from a compiler's
 * library (which the core does not link). */
#ifndef CORE_REPORT_STATISTICS_H
#define CORE_REPORT_STATISTICS_H

#include "core/types.h"

typedef unsigned __int128 wide_t;

/* a / b, truncated; b is not 0. */
wide_t statistics_divide(wide_t a, uint64_t b);
/* The largest integer whose square is at most `value`. */
uint64_t statistics_square_root(wide_t value);
/* Of the population, truncated, from its size (not 0), sum and sum of squares, which must not have
 * overflowed. */
uint64_t statistics_deviation(uint64_t count, wide_t sum, wide_t sum_squares);

/* The rank of a quantile given in thousandths, by the nearest-rank method: ceil(q * n), from 1. */
uint64_t statistics_rank(uint64_t count, unsigned permille);
/* Ascending, in place, O(n log n) in the worst case. */
void statistics_sort(uint64_t *values, size_t count);

#endif
