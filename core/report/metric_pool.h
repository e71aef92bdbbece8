/* Samples of one metric from several CPUs at once: each CPU records into a part of its own; the parts are
 * merged when all have ended.
 *
 *   pool   | 64 samples | 64 samples | 64 samples | ...    each piece belongs to the CPU that took it
 *
 * Concepts: a part is a struct metric whose samples lie in pieces of the pool, taken by one atomic addition
 * when the piece before is full; nothing else is shared. The pool has room for as many samples as a metric
 * keeps, and one piece more for each CPU: whatever each CPU's share, none is lost that would be kept.
 * Locking: metric_add() on a part by its CPU alone; all else while no CPU records. */
#ifndef CORE_REPORT_METRIC_POOL_H
#define CORE_REPORT_METRIC_POOL_H

#include "core/report/metric.h"

#define METRIC_PIECE_SAMPLES 64

struct metric_pool {
    uint64_t *samples;
    uint8_t *piece_cpus; /* who took each piece */
    uint32_t piece_count;
    uint32_t taken; /* atomic; goes on counting when there are none left */
    struct metric **parts;
    unsigned part_count;
};

/* Takes the memory of a pool for `cpu_count` parts from the arena. ENOMEM. */
result_t metric_pool_init(struct metric_pool *pool, struct arena *arena, unsigned cpu_count);
/* Makes *part the one of the CPU, for metric_add(); memory as above (about 30 KiB). ENOMEM. */
result_t metric_pool_add(struct metric_pool *pool, struct arena *arena, unsigned cpu,
                         struct metric *part);
/* Adds what the parts hold to a metric, pieces in the order in which they were taken. Once. */
void metric_pool_merge(const struct metric_pool *pool, struct metric *metric);

/* Keeps a sample of a part; what does not fit is only counted by metric_add(). */
void metric_pool_keep(struct metric *part, uint64_t milli, unsigned cpu);

#endif
