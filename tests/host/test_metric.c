/* Histograms, statistics, metrics: against definitions written the slow way. */
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "core/report/histogram.h"
#include "core/report/metric.h"
#include "core/report/metric_pool.h"
#include "core/report/statistics.h"

static struct random dice = {.state = 42};

/* Any size of number is as likely as any other. */
static uint64_t random_of_any_size(void)
{
    return random_next(&dice) >> random_below(&dice, 64);
}

/* --- histogram -------------------------------------------------------------------------------------- */

static void test_buckets_cover_everything_without_overlap(void **state)
{
    (void)state;
    assert_int_equal(histogram_low(0), 0);
    assert_true(histogram_end(HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        uint64_t low = histogram_low(bucket), end = histogram_end(bucket);
        assert_true(low < end);
        assert_int_equal(histogram_bucket(low), bucket);
        assert_int_equal(histogram_bucket(end - 1), bucket);
        if (bucket != 0)
            assert_true(histogram_end(bucket - 1) == low);
        /* 64 buckets a power of two: relative error below 1.6 %. */
        assert_true(end - 1 - low <= low / 64);
    }
}

static void test_64_buckets_per_power_of_two(void **state)
{
    (void)state;
    for (unsigned power = 6; power < 63; power++)
        assert_int_equal(histogram_bucket(2ull << power) - histogram_bucket(1ull << power), 64);
}

static void test_values_fall_into_their_bucket(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t value = random_of_any_size();
        unsigned bucket = histogram_bucket(value);
        assert_true(histogram_low(bucket) <= value);
        assert_true(value < histogram_end(bucket) || value == UINT64_MAX);
    }
}

/* --- statistics ------------------------------------------------------------------------------------- */

static void test_wide_division(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        wide_t a = (wide_t)random_of_any_size() << 64 | random_of_any_size();
        uint64_t b = random_of_any_size() | 1;
        assert_true(statistics_divide(a, b) == a / b);
    }
    assert_true(statistics_divide(~(wide_t)0, UINT64_MAX) == ~(wide_t)0 / UINT64_MAX);
    assert_true(statistics_divide(~(wide_t)0, 1) == ~(wide_t)0);
}

static void test_square_root(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(statistics_square_root(i), (uint64_t)sqrt((double)i));
    for (int i = 0; i < 20000; i++) {
        wide_t value = (wide_t)random_of_any_size() << 64 | random_next(&dice);
        wide_t root = statistics_square_root(value);
        assert_true(root * root <= value);
        assert_true(root == UINT64_MAX || (root + 1) * (root + 1) > value);
    }
    assert_true(statistics_square_root(~(wide_t)0) == UINT64_MAX);
}

static void test_deviation_of_the_population(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        unsigned count = 1 + (unsigned)random_below(&dice, 50);
        uint64_t offset = random_next(&dice) >> (20 + random_below(&dice, 40));
        uint64_t spread = 1 + (random_next(&dice) >> (30 + random_below(&dice, 33)));
        uint64_t values[50];
        wide_t sum = 0, squares = 0;
        for (unsigned i = 0; i < count; i++) {
            values[i] = offset + random_below(&dice, spread);
            sum += values[i];
            squares += (wide_t)values[i] * values[i];
        }
        /* n^2 * variance, exactly: the sum over all pairs of squared differences. */
        wide_t pairs = 0;
        for (unsigned i = 0; i < count; i++) {
            for (unsigned k = 0; k < i; k++) {
                wide_t difference =
                    values[i] > values[k] ? values[i] - values[k] : values[k] - values[i];
                pairs += difference * difference;
            }
        }
        wide_t root = statistics_deviation(count, sum, squares);
        assert_true(root * root * count * count <= pairs);
        assert_true((root + 1) * (root + 1) * count * count > pairs);
    }
    assert_int_equal(statistics_deviation(1, 5, 25), 0);
    assert_int_equal(statistics_deviation(8, 40, 232), 2); /* 2 4 4 4 5 5 7 9 */
}

static void test_nearest_rank(void **state)
{
    (void)state;
    static const unsigned permilles[] = {500, 900, 990, 999};
    for (uint64_t count = 1; count <= 3000; count++) {
        for (size_t i = 0; i < ARRAY_COUNT(permilles); i++) {
            /* The smallest rank with rank / count >= q. */
            uint64_t rank = statistics_rank(count, permilles[i]);
            assert_true(rank * 1000 >= permilles[i] * count);
            assert_true((rank - 1) * 1000 < permilles[i] * count);
        }
    }
    assert_true(statistics_rank(UINT64_MAX, 999) > UINT64_MAX / 1000 * 998);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void test_sort(void **state)
{
    (void)state;
    uint64_t ours[500], theirs[500];
    for (size_t count = 0; count < 500; count++) {
        uint64_t bound = 1 + random_of_any_size();
        for (size_t i = 0; i < count; i++)
            ours[i] = theirs[i] = random_next(&dice) % bound;
        statistics_sort(ours, count);
        qsort(theirs, count, sizeof(theirs[0]), compare);
        assert_memory_equal(ours, theirs, count * sizeof(ours[0]));
    }
}

/* --- metric ----------------------------------------------------------------------------------------- */

static char arena_memory[4 << 20];

static struct arena fresh_arena(void)
{
    struct arena arena;
    arena_init(&arena, arena_memory, sizeof(arena_memory));
    return arena;
}

static void test_metric_summary_of_few_samples(void **state)
{
    (void)state;
    struct arena arena = fresh_arena();
    struct metric metric;
    struct metric_summary summary;
    assert_int_equal(metric_init(&metric, &arena, TEXT("m"), UNIT_TICK), OK);
    for (uint64_t value = 100; value >= 1; value--) /* 1..100, descending */
        metric_add(&metric, value, 1, value % 3 == 0 ? 200 : 1);

    size_t mark = arena_mark(&arena);
    metric_summarize(&metric, &arena, &summary);
    assert_int_equal(arena_mark(&arena), mark);
    assert_int_equal(metric.count, 100);
    assert_int_equal(metric.min_milli, 1000);
    assert_int_equal(metric.max_milli, 100000);
    assert_int_equal(summary.p50_milli, 50000);
    assert_int_equal(summary.p90_milli, 90000);
    assert_int_equal(summary.p99_milli, 99000);
    assert_int_equal(summary.p999_milli, 100000);
    assert_int_equal(summary.mean_milli, 50500);
    assert_int_equal(summary.stddev_milli, 28866); /* sqrt((100^2 - 1) / 12) = 28.86607... */
    assert_int_equal(summary.cpu_count, 2);
    assert_true(summary.exact);
    /* In the order of recording, with the CPU that gave each. */
    assert_int_equal(metric.samples[0], 100000);
    assert_int_equal(metric.sample_cpus[0], 1);
    assert_int_equal(metric.sample_cpus[1], 200);
}

static void test_metric_divides_into_thousandths(void **state)
{
    (void)state;
    static const struct {
        uint64_t value, per, milli;
    } cases[] = {
        {7, 1, 7000},
        {1, 3, 333},
        {2, 3, 666}, /* truncated, not rounded */
        {1, 1000, 1},
        {1, 1001, 0},
        {UINT64_MAX, UINT64_MAX, 1000},
        {UINT64_MAX, 1, UINT64_MAX}, /* does not fit */
        {UINT64_MAX - 1, UINT64_MAX, 999},
        {18446744073709551, 1, 18446744073709551000ull},
        {18446744073709552, 1, UINT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct arena arena = fresh_arena();
        struct metric metric;
        assert_int_equal(metric_init(&metric, &arena, TEXT("m"), UNIT_TICK), OK);
        metric_add(&metric, cases[i].value, cases[i].per, 0);
        assert_true(metric.min_milli == cases[i].milli && metric.max_milli == cases[i].milli);
    }
}

static void test_metric_keeps_everything_beyond_the_sample_limit(void **state)
{
    (void)state;
    struct arena arena = fresh_arena();
    struct metric metric;
    struct metric_summary summary;
    assert_int_equal(metric_init(&metric, &arena, TEXT("m"), UNIT_COUNT), OK);
    for (uint64_t i = 0; i < METRIC_SAMPLES_MAX; i++)
        metric_add(&metric, 1000 + i % 10, 1, 0);
    metric_summarize(&metric, &arena, &summary);
    assert_true(summary.exact);

    metric_add(&metric, 5, 1, 0);
    metric_add(&metric, 1000000, 1, 0);
    metric_summarize(&metric, &arena, &summary);
    assert_false(summary.exact);
    assert_int_equal(metric.count, METRIC_SAMPLES_MAX + 2);
    assert_int_equal(metric.min_milli, 5000);
    assert_int_equal(metric.max_milli, 1000000000);
    /* The lower bound of the bucket that holds the true median, 1004. */
    assert_int_equal(summary.p50_milli, histogram_low(histogram_bucket(1004000)));
    assert_true(metric.sum_milli == 6553 * (wide_t)10045000 + 6 * 1000000 + 15000 + 1000005000);
}

static void test_metric_without_scratch_takes_the_histogram(void **state)
{
    (void)state;
    struct arena arena = fresh_arena(), full;
    struct metric metric;
    struct metric_summary summary;
    arena_init(&full, NULL, 0);
    assert_int_equal(metric_init(&metric, &arena, TEXT("m"), UNIT_TICK), OK);
    metric_add(&metric, 1000, 1, 0);
    metric_summarize(&metric, &full, &summary);
    assert_false(summary.exact);
    assert_int_equal(summary.p50_milli, histogram_low(histogram_bucket(1000000)));
}

static void test_metric_reset_forgets(void **state)
{
    (void)state;
    struct arena arena = fresh_arena();
    struct metric metric;
    struct metric_summary summary;
    assert_int_equal(metric_init(&metric, &arena, TEXT("m"), UNIT_TICK), OK);
    metric_add(&metric, 1, 1, 7);
    metric_add(&metric, 1000, 1, 8);
    metric_reset(&metric);
    metric_add(&metric, 10, 1, 9);
    metric_summarize(&metric, &arena, &summary);
    assert_int_equal(metric.count, 1);
    assert_int_equal(metric.min_milli, 10000);
    assert_int_equal(metric.max_milli, 10000);
    assert_int_equal(summary.mean_milli, 10000);
    assert_int_equal(summary.stddev_milli, 0);
    assert_int_equal(summary.cpu_count, 1);
    assert_int_equal(histogram_at_rank(metric.histogram, 1),
                     histogram_low(histogram_bucket(10000)));
}

static void test_metric_init_says_when_memory_is_short(void **state)
{
    (void)state;
    struct arena arena;
    struct metric metric;
    arena_init(&arena, arena_memory, 600000); /* samples fit, the histogram does not */
    assert_int_equal(metric_init(&metric, &arena, TEXT("m"), UNIT_TICK), ENOMEM);
    assert_int_equal(arena_mark(&arena), 0);
}

/* The same samples once into one metric, once into parts of it: everything but their order is equal. */
static void compare_with_parts(uint64_t first_count, const unsigned *counts, unsigned cpu_count)
{
    struct arena arena = fresh_arena();
    struct metric whole, merged, parts[4];
    struct metric_pool pool;
    uint64_t left = 0;
    unsigned added[4] = {0};
    assert_int_equal(metric_init(&whole, &arena, TEXT("m"), UNIT_TICK), OK);
    assert_int_equal(metric_init(&merged, &arena, TEXT("m"), UNIT_TICK), OK);
    assert_int_equal(metric_pool_init(&pool, &arena, cpu_count), OK);
    for (unsigned i = 0; i < cpu_count; i++) {
        assert_int_equal(metric_pool_add(&pool, &arena, i, &parts[i]), OK);
        left += counts[i];
    }
    for (uint64_t i = 0; i < first_count; i++) {
        metric_add(&whole, i, 3, 0);
        metric_add(&merged, i, 3, 0);
    }
    for (; left > 0; left--) {
        unsigned cpu = (unsigned)random_below(&dice, cpu_count);
        while (added[cpu] == counts[cpu])
            cpu = (cpu + 1) % cpu_count;
        added[cpu]++;
        uint64_t value = random_below(&dice, 1000000);
        metric_add(&whole, value, 7, cpu);
        metric_add(&parts[cpu], value, 7, cpu);
    }
    metric_pool_merge(&pool, &merged);
    assert_true(merged.count == whole.count && merged.sum_milli == whole.sum_milli);
    assert_true(merged.min_milli == whole.min_milli && merged.max_milli == whole.max_milli);
    assert_true(merged.sum_squares == whole.sum_squares);
    assert_memory_equal(merged.cpu_mask, whole.cpu_mask, sizeof(whole.cpu_mask));
    assert_memory_equal(merged.histogram, whole.histogram, sizeof(*whole.histogram));
    if (whole.count > METRIC_SAMPLES_MAX)
        return;
    uint64_t per_cpu[4] = {0};
    for (uint64_t i = 0; i < merged.count; i++)
        per_cpu[merged.sample_cpus[i]]++;
    for (unsigned i = 0; i < cpu_count; i++)
        assert_true(per_cpu[i] == counts[i] + (i == 0 ? first_count : 0));
    statistics_sort(whole.samples, whole.count);
    statistics_sort(merged.samples, merged.count);
    assert_memory_equal(merged.samples, whole.samples, whole.count * sizeof(uint64_t));
}

static void test_parts_of_a_metric(void **state)
{
    (void)state;
    compare_with_parts(0, (unsigned[]){1}, 1);
    compare_with_parts(5, (unsigned[]){64, 0, 65, 1000}, 4);
    compare_with_parts(0, (unsigned[]){128, 128}, 2);
    /* Nothing is lost up to the limit, however uneven the shares; and beyond it only samples are. */
    compare_with_parts(0, (unsigned[]){METRIC_SAMPLES_MAX - 3, 1, 1, 1}, 4);
    compare_with_parts(536, (unsigned[]){30000, 20000, 15000}, 3);
    compare_with_parts(0, (unsigned[]){60000, 30000, 100}, 3);
    compare_with_parts(METRIC_SAMPLES_MAX + 1, (unsigned[]){100, 100}, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets_cover_everything_without_overlap),
        cmocka_unit_test(test_64_buckets_per_power_of_two),
        cmocka_unit_test(test_values_fall_into_their_bucket),
        cmocka_unit_test(test_wide_division),
        cmocka_unit_test(test_square_root),
        cmocka_unit_test(test_deviation_of_the_population),
        cmocka_unit_test(test_nearest_rank),
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_metric_summary_of_few_samples),
        cmocka_unit_test(test_metric_divides_into_thousandths),
        cmocka_unit_test(test_metric_keeps_everything_beyond_the_sample_limit),
        cmocka_unit_test(test_metric_without_scratch_takes_the_histogram),
        cmocka_unit_test(test_metric_reset_forgets),
        cmocka_unit_test(test_parts_of_a_metric),
        cmocka_unit_test(test_metric_init_says_when_memory_is_short),
    };
    return cmocka_run_group_tests_name("metric", tests, NULL, NULL);
}
