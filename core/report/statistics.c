/* Integer statistics: division, root, deviation, ranks, sorting. */
#include "core/report/statistics.h"

#include "core/check.h"

wide_t statistics_divide(wide_t a, uint64_t b)
{
    ASSERT(b != 0);
    uint64_t high = (uint64_t)(a >> 64);
    uint64_t low = (uint64_t)a;
    uint64_t quotient_high = high / b;
    uint64_t remainder = high % b;
    uint64_t quotient_low = 0;

    /* Long division of remainder:low, which is below b * 2^64, bit by bit. */
    for (int bit = 63; bit >= 0; bit--) {
        bool carry = remainder >> 63;
        remainder = remainder << 1 | (low >> bit & 1);
        if (carry || remainder >= b) {
            remainder -= b;
            quotient_low |= 1ull << bit;
        }
    }
    return (wide_t)quotient_high << 64 | quotient_low;
}

uint64_t statistics_square_root(wide_t value)
{
    uint64_t root = 0;

    for (int bit = 63; bit >= 0; bit--) {
        uint64_t tried = root | 1ull << bit;
        if ((wide_t)tried * tried <= value)
            root = tried;
    }
    return root;
}

uint64_t statistics_deviation(uint64_t count, wide_t sum, wide_t sum_squares)
{
    /* With m the truncated mean and r what truncating left, sum = n*m + r, the squares around m add up
     * to S2 - m*(sum + r), and around the true mean to r*r/n less. No term exceeds S2. */
    uint64_t mean = (uint64_t)statistics_divide(sum, count);
    uint64_t rest = (uint64_t)(sum - (wide_t)mean * count);
    wide_t around_mean = sum_squares - mean * (sum + rest);
    wide_t excess = statistics_divide((wide_t)rest * rest + (count - 1), count);

    return statistics_square_root(statistics_divide(around_mean - excess, count));
}

uint64_t statistics_rank(uint64_t count, unsigned permille)
{
    /* Split, so that the product cannot overflow. */
    uint64_t whole = count / 1000 * permille;
    uint64_t part = (count % 1000 * permille + 999) / 1000;
    return whole + part;
}

/* Restores the heap below `root`: values[root] may be smaller than its children. */
static void sift_down(uint64_t *values, size_t root, size_t count)
{
    uint64_t moving = values[root];

    for (;;) {
        size_t child = 2 * root + 1;
        if (child >= count)
            break;
        if (child + 1 < count && values[child + 1] > values[child])
            child++;
        if (values[child] <= moving)
            break;
        values[root] = values[child];
        root = child;
    }
    values[root] = moving;
}

void statistics_sort(uint64_t *values, size_t count)
{
    for (size_t i = count / 2; i > 0; i--)
        sift_down(values, i - 1, count);
    for (size_t end = count; end > 1; end--) {
        uint64_t largest = values[0];
        values[0] = values[end - 1];
        values[end - 1] = largest;
        sift_down(values, 0, end - 1);
    }
}
