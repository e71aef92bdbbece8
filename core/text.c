/* Slices of text and the few helpers on them that parsers want. */
#include "core/text.h"

/* Longer names are never compared by distance; no name of PageLab is longer. */
#define DISTANCE_NAME_MAX 63

struct text text_of(const char *terminated)
{
    return (struct text){terminated, strlen(terminated)};
}

/* An empty slice may have no data at all, which memcmp() must not be given. */
static int compare_bytes(const char *a, const char *b, size_t size)
{
    return size == 0 ? 0 : memcmp(a, b, size);
}

bool text_equal(struct text a, struct text b)
{
    return a.size == b.size && compare_bytes(a.data, b.data, a.size) == 0;
}

bool text_is(struct text a, const char *terminated)
{
    return text_equal(a, text_of(terminated));
}

bool text_starts(struct text a, const char *prefix)
{
    size_t size = strlen(prefix);
    return a.size >= size && compare_bytes(a.data, prefix, size) == 0;
}

int text_compare(struct text a, struct text b)
{
    int order = compare_bytes(a.data, b.data, a.size < b.size ? a.size : b.size);
    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

struct text text_trim(struct text t)
{
    while (t.size > 0 && is_space(t.data[0])) {
        t.data++;
        t.size--;
    }
    while (t.size > 0 && is_space(t.data[t.size - 1]))
        t.size--;
    return t;
}

struct text text_cut(struct text *rest, char separator)
{
    struct text whole = *rest;
    for (size_t i = 0; i < whole.size; i++) {
        if (whole.data[i] == separator) {
            *rest = (struct text){whole.data + i + 1, whole.size - i - 1};
            return (struct text){whole.data, i};
        }
    }
    *rest = (struct text){whole.data + whole.size, 0};
    return whole;
}

static unsigned min(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned text_distance(struct text a, struct text b, unsigned limit)
{
    if (a.size > DISTANCE_NAME_MAX || b.size > DISTANCE_NAME_MAX)
        return text_equal(a, b) ? 0 : limit + 1;

    /* One row of the table: cost[j] is the distance of a's first i bytes to b's first j. */
    unsigned cost[DISTANCE_NAME_MAX + 1];
    for (unsigned j = 0; j <= b.size; j++)
        cost[j] = j;
    for (unsigned i = 0; i < a.size; i++) {
        unsigned diagonal = cost[0];
        cost[0] = i + 1;
        for (unsigned j = 0; j < b.size; j++) {
            unsigned replaced = diagonal + (a.data[i] != b.data[j]);
            diagonal = cost[j + 1];
            cost[j + 1] = min(replaced, min(cost[j], cost[j + 1]) + 1);
        }
    }
    return min(cost[b.size], limit + 1);
}
