/* The region tree against a sorted array: random operations, every relation of two ranges, costs. */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"
#include "core/mm/region_tree.h"
#include "core/random.h"
#include "mm_testing.h"

static uint64_t counter_here(enum counter counter)
{
    return cpus[0].counters[counter];
}

/* --- the oracle: nodes in order of addresses ------------------------------------------------------ */

#define ORACLE_MAX 4096

struct oracle {
    struct region_tree tree;
    struct random random;
    uint64_t low;
    uint64_t high;
    uint64_t pages_max; /* of one region */
    size_t limit;       /* of regions */
    size_t count;
    struct entry {
        uint64_t base;
        uint64_t end;
        struct region_node *node;
    } entries[ORACLE_MAX];
    struct region_node nodes[ORACLE_MAX];
    struct region_node *free[ORACLE_MAX]; /* nodes in no tree */
    size_t free_count;
};

static struct oracle *oracle_create(uint64_t pages, uint64_t pages_max, size_t limit)
{
    struct oracle *oracle = calloc(1, sizeof(*oracle));
    assert_non_null(oracle);
    oracle->low = 16 * PAGE_SIZE;
    oracle->high = oracle->low + pages * PAGE_SIZE;
    oracle->pages_max = pages_max;
    oracle->limit = limit;
    oracle->random.state = test_seed();
    region_tree_init(&oracle->tree, oracle->low, oracle->high);
    for (size_t i = 0; i < ORACLE_MAX; i++)
        oracle->free[oracle->free_count++] = &oracle->nodes[i];
    return oracle;
}

static uint64_t draw(struct oracle *oracle, uint64_t bound)
{
    return random_below(&oracle->random, bound);
}

static uint64_t draw_page(struct oracle *oracle)
{
    return oracle->low + draw(oracle, (oracle->high - oracle->low) / PAGE_SIZE) * PAGE_SIZE;
}

static uint64_t draw_size(struct oracle *oracle)
{
    return (1 + draw(oracle, oracle->pages_max)) * PAGE_SIZE;
}

static struct region_node *fresh(struct oracle *oracle)
{
    return oracle->free[--oracle->free_count];
}

static void give_back(struct oracle *oracle, struct region_node *node)
{
    oracle->free[oracle->free_count++] = node;
}

/* Where the hole in front of entry `index` (count: the top hole) starts and ends. */
static uint64_t hole_start(const struct oracle *oracle, size_t index)
{
    return index == 0 ? oracle->low : oracle->entries[index - 1].end;
}

static uint64_t hole_end(const struct oracle *oracle, size_t index)
{
    return index == oracle->count ? oracle->high : oracle->entries[index].base;
}

static void oracle_insert(struct oracle *oracle, size_t index, struct entry entry)
{
    memmove(&oracle->entries[index + 1], &oracle->entries[index],
            (oracle->count - index) * sizeof(entry));
    oracle->entries[index] = entry;
    oracle->count++;
}

static void oracle_remove(struct oracle *oracle, size_t index)
{
    oracle->count--;
    memmove(&oracle->entries[index], &oracle->entries[index + 1],
            (oracle->count - index) * sizeof(struct entry));
}

/* The lowest fit; the index of its hole, SIZE_MAX when there is none. */
static size_t oracle_first_fit(const struct oracle *oracle, uint64_t size, uint64_t align,
                               uint64_t *base)
{
    for (size_t i = 0; i <= oracle->count; i++) {
        *base = (hole_start(oracle, i) + align - 1) / align * align;
        if (*base <= hole_end(oracle, i) && hole_end(oracle, i) - *base >= size)
            return i;
    }
    return SIZE_MAX;
}

/* The index of the first entry whose end is above the address. */
static size_t oracle_from(const struct oracle *oracle, uint64_t address)
{
    size_t low = 0;
    size_t high = oracle->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (oracle->entries[middle].end > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* What placing the range specifically must answer. */
static result_t oracle_is_free(const struct oracle *oracle, uint64_t base, uint64_t size)
{
    if (base < oracle->low || base + size > oracle->high)
        return ERANGE;
    size_t next = oracle_from(oracle, base);
    return next < oracle->count && oracle->entries[next].base < base + size ? EEXIST : OK;
}

/* --- random operations ------------------------------------------------------------------------------- */

static void do_place_anywhere(struct oracle *oracle)
{
    struct region_node *node = fresh(oracle);
    uint64_t size = draw_size(oracle);
    uint64_t align = PAGE_SIZE << (draw(oracle, 2) ? 0 : draw(oracle, 5));
    uint64_t base;
    size_t index = oracle_first_fit(oracle, size, align, &base);
    result_t result = region_tree_place_anywhere(&oracle->tree, node, size, align);
    assert_int_equal(result, index == SIZE_MAX ? ENOMEM : OK);
    if (result != OK) {
        give_back(oracle, node);
        return;
    }
    assert_int_equal(node->base, base);
    assert_int_equal(node->end, base + size);
    oracle_insert(oracle, index, (struct entry){base, base + size, node});
}

static void do_place_specifically(struct oracle *oracle)
{
    struct region_node *node = fresh(oracle);
    uint64_t size = draw_size(oracle);
    uint64_t base = draw_page(oracle) + 8 * PAGE_SIZE - draw(oracle, 16) * PAGE_SIZE;
    result_t expected = oracle_is_free(oracle, base, size);
    assert_int_equal(region_tree_is_free(&oracle->tree, base, size), expected == OK);
    assert_int_equal(region_tree_place_specifically(&oracle->tree, node, base, size), expected);
    if (expected != OK) {
        give_back(oracle, node);
        return;
    }
    assert_int_equal(node->base, base);
    assert_int_equal(node->end, base + size);
    oracle_insert(oracle, oracle_from(oracle, base), (struct entry){base, base + size, node});
}

static void do_place_last(struct oracle *oracle)
{
    uint64_t start = hole_start(oracle, oracle->count);
    uint64_t pages = (oracle->high - start) / PAGE_SIZE;
    if (pages == 0)
        return;
    uint64_t base = start + draw(oracle, pages) * PAGE_SIZE;
    uint64_t end = base + (1 + draw(oracle, (oracle->high - base) / PAGE_SIZE)) * PAGE_SIZE;
    struct region_node *node = fresh(oracle);
    region_tree_place_last(&oracle->tree, node, base, end);
    oracle_insert(oracle, oracle->count, (struct entry){base, end, node});
}

static void do_remove(struct oracle *oracle)
{
    if (oracle->count == 0)
        return;
    size_t index = draw(oracle, oracle->count);
    region_tree_remove(&oracle->tree, oracle->entries[index].node);
    give_back(oracle, oracle->entries[index].node);
    oracle_remove(oracle, index);
}

static void do_set_end(struct oracle *oracle)
{
    if (oracle->count == 0)
        return;
    size_t index = draw(oracle, oracle->count);
    struct entry *entry = &oracle->entries[index];
    uint64_t pages = (hole_end(oracle, index + 1) - entry->base) / PAGE_SIZE;
    entry->end = entry->base + (1 + draw(oracle, pages)) * PAGE_SIZE;
    region_tree_set_end(&oracle->tree, entry->node, entry->end);
}

static void do_set_base(struct oracle *oracle)
{
    if (oracle->count == 0)
        return;
    struct entry *entry = &oracle->entries[draw(oracle, oracle->count)];
    entry->base += draw(oracle, (entry->end - entry->base) / PAGE_SIZE) * PAGE_SIZE;
    region_tree_set_base(&oracle->tree, entry->node, entry->base);
}

static uint64_t draw_inside(struct oracle *oracle, uint64_t base, uint64_t end)
{
    return base + (1 + draw(oracle, (end - base) / PAGE_SIZE - 1)) * PAGE_SIZE;
}

static void do_carve(struct oracle *oracle)
{
    if (oracle->count == 0)
        return;
    size_t index = draw(oracle, oracle->count);
    struct entry *entry = &oracle->entries[index];
    if (entry->end - entry->base < 3 * PAGE_SIZE)
        return;
    uint64_t from = draw_inside(oracle, entry->base, entry->end - PAGE_SIZE);
    struct entry tail = {draw_inside(oracle, from, entry->end), entry->end, fresh(oracle)};
    region_tree_carve(&oracle->tree, entry->node, tail.node, from, tail.base);
    entry->end = from;
    oracle_insert(oracle, index + 1, tail);
}

/* At one end or at both. */
static void do_split(struct oracle *oracle)
{
    if (oracle->count == 0 || oracle->count + 2 > oracle->limit)
        return;
    size_t index = draw(oracle, oracle->count);
    struct entry *entry = &oracle->entries[index];
    struct entry front = {.base = entry->base, .end = entry->base};
    struct entry tail = {.base = entry->end, .end = entry->end};
    if (entry->end - entry->base >= 2 * PAGE_SIZE && draw(oracle, 3) != 0) {
        front.end = draw_inside(oracle, entry->base, entry->end);
        front.node = fresh(oracle);
    }
    if (entry->end - front.end >= 2 * PAGE_SIZE && draw(oracle, 3) != 0) {
        tail.base = draw_inside(oracle, front.end, entry->end);
        tail.node = fresh(oracle);
    }
    region_tree_split(&oracle->tree, entry->node, front.node, front.end, tail.node, tail.base);
    entry->base = front.end;
    entry->end = tail.base;
    if (tail.node)
        oracle_insert(oracle, index + 1, tail);
    if (front.node)
        oracle_insert(oracle, index, front);
}

/* Closes the hole behind an entry. */
static void fill_hole(struct oracle *oracle, size_t index)
{
    struct entry *entry = &oracle->entries[index];
    if (entry->end == entry[1].base)
        return;
    entry->end = entry[1].base;
    region_tree_set_end(&oracle->tree, entry->node, entry->end);
}

/* With the one before, or the one behind, or both. */
static void do_join(struct oracle *oracle)
{
    if (oracle->count < 3)
        return;
    size_t index = 1 + draw(oracle, oracle->count - 2);
    struct entry *entry = &oracle->entries[index];
    bool with_before = draw(oracle, 2) == 0;
    bool with_after = !with_before || draw(oracle, 2) == 0;
    size_t first = with_before ? index - 1 : index;
    size_t last = with_after ? index + 1 : index;
    for (size_t i = first; i < last; i++)
        fill_hole(oracle, i);
    struct region_node *whole =
        region_tree_join(&oracle->tree, entry->node, with_before ? entry[-1].node : NULL,
                         with_after ? entry[1].node : NULL);
    struct entry joined = {oracle->entries[first].base, oracle->entries[last].end, whole};
    for (size_t i = first; i <= last; i++) {
        if (oracle->entries[first].node != whole)
            give_back(oracle, oracle->entries[first].node);
        oracle_remove(oracle, first);
    }
    oracle_insert(oracle, first, joined);
}

static void do_find(struct oracle *oracle)
{
    uint64_t address = draw_page(oracle) + draw(oracle, PAGE_SIZE);
    size_t from = oracle_from(oracle, address);
    struct entry *entry = from < oracle->count ? &oracle->entries[from] : NULL;
    assert_ptr_equal(region_tree_find_from(&oracle->tree, address), entry ? entry->node : NULL);
    assert_ptr_equal(region_tree_find(&oracle->tree, address),
                     entry && entry->base <= address ? entry->node : NULL);
}

static void do_something(struct oracle *oracle)
{
    static void (*const operations[])(struct oracle *) = {
        do_place_anywhere, do_place_anywhere, do_place_anywhere, do_place_specifically,
        do_place_last,     do_carve,          do_split,          do_set_end,
        do_set_base,       do_remove,         do_remove,         do_join,
        do_join,           do_find,
    };
    if (oracle->count + 1 >= oracle->limit)
        do_remove(oracle);
    else
        operations[draw(oracle, ARRAY_COUNT(operations))](oracle);
}

/* Everything that the tree says, against the array. */
static void compare(const struct oracle *oracle)
{
    const char *problem = region_tree_check(&oracle->tree);
    if (problem)
        fail_msg("region_tree_check: %s", problem);
    uint64_t largest = 0;
    uint64_t free_bytes = 0;
    const struct region_node *node = region_tree_first(&oracle->tree);
    for (size_t i = 0; i <= oracle->count; i++) {
        uint64_t hole = hole_end(oracle, i) - hole_start(oracle, i);
        free_bytes += hole;
        if (i == oracle->count)
            break;
        largest = hole > largest ? hole : largest;
        assert_ptr_equal(node, oracle->entries[i].node);
        assert_int_equal(node->base, oracle->entries[i].base);
        assert_int_equal(node->end, oracle->entries[i].end);
        assert_int_equal(node->hole, hole);
        assert_ptr_equal(region_tree_previous(node), i ? oracle->entries[i - 1].node : NULL);
        node = region_tree_next(node);
    }
    assert_null(node);
    assert_int_equal(oracle->tree.count, oracle->count);
    assert_int_equal(oracle->tree.root ? oracle->tree.root->largest : 0, largest);
    assert_int_equal(region_tree_free_bytes(&oracle->tree), free_bytes);
}

static void random_operations(struct oracle *oracle, unsigned count, unsigned compare_every)
{
    uint64_t heap_calls = counter_here(COUNTER_HEAP_ALLOC);
    uint64_t frames_taken = counter_here(COUNTER_PAGE_ALLOC);
    size_t most = 0;
    for (unsigned i = 0; i < count; i++) {
        do_something(oracle);
        most = oracle->count > most ? oracle->count : most;
        if (i % compare_every == 0)
            compare(oracle);
    }
    while (oracle->count != 0)
        do_remove(oracle);
    compare(oracle);
    assert_true(most + 1 >= oracle->limit / 2); /* the tree did grow */
    assert_int_equal(counter_here(COUNTER_HEAP_ALLOC), heap_calls);
    assert_int_equal(counter_here(COUNTER_PAGE_ALLOC), frames_taken);
    free(oracle);
}

static void test_random_operations_on_a_small_tree(void **state)
{
    (void)state;
    random_operations(oracle_create(256, 12, 40), 100000, 1);
}

static void test_random_operations_on_a_large_tree(void **state)
{
    (void)state;
    random_operations(oracle_create(1 << 16, 16, 3000), 100000, 1000);
}

/* --- placing at a given address --------------------------------------------------------------------- */

/* All thirteen relations of a request to the region [20, 30), in pages (Allen, 1983). */
static const struct relation {
    const char *name;
    uint64_t base;
    uint64_t end;
    result_t result;
} relations[] = {
    {"before", 10, 15, OK},
    {"meets", 10, 20, OK},
    {"overlaps", 10, 25, EEXIST},
    {"finished by", 10, 30, EEXIST},
    {"contains", 10, 35, EEXIST},
    {"starts", 20, 25, EEXIST},
    {"equals", 20, 30, EEXIST},
    {"started by", 20, 35, EEXIST},
    {"during", 22, 25, EEXIST},
    {"finishes", 25, 30, EEXIST},
    {"overlapped by", 25, 35, EEXIST},
    {"met by", 30, 35, OK},
    {"after", 32, 35, OK},
};

enum neighbour { NEIGHBOUR_NONE, NEIGHBOUR_FAR, NEIGHBOUR_TOUCHES, NEIGHBOUR_COUNT };

static void add(struct region_tree *tree, struct region_node *node, uint64_t base, uint64_t end)
{
    assert_int_equal(
        region_tree_place_specifically(tree, node, base * PAGE_SIZE, (end - base) * PAGE_SIZE), OK);
}

/* One request, with nothing, something far off, or something that touches it below and above. */
static void try_relation(const struct relation *relation, enum neighbour below,
                         enum neighbour above)
{
    struct region_tree tree;
    struct region_node nodes[4];
    uint64_t below_end = below == NEIGHBOUR_TOUCHES && relation->base <= 20 ? relation->base : 5;
    uint64_t above_base = above == NEIGHBOUR_TOUCHES && relation->end >= 30 ? relation->end : 40;
    region_tree_init(&tree, PAGE_SIZE, 100 * PAGE_SIZE);
    add(&tree, &nodes[0], 20, 30);
    if (below != NEIGHBOUR_NONE)
        add(&tree, &nodes[1], below_end - 2, below_end);
    if (above != NEIGHBOUR_NONE)
        add(&tree, &nodes[2], above_base, above_base + 2);

    uint64_t count = tree.count;
    result_t result = region_tree_place_specifically(&tree, &nodes[3], relation->base * PAGE_SIZE,
                                                     (relation->end - relation->base) * PAGE_SIZE);
    if (result != relation->result)
        fail_msg("a request that is %s a region (neighbours %d, %d): %s, expected %s",
                 relation->name, below, above, result_name(result), result_name(relation->result));
    assert_int_equal(tree.count, count + (result == OK));
    assert_null(region_tree_check(&tree));
}

static void test_every_relation_of_two_ranges(void **state)
{
    (void)state;
    assert_int_equal(ARRAY_COUNT(relations), 13);
    for (size_t i = 0; i < ARRAY_COUNT(relations); i++) {
        for (int below = 0; below < NEIGHBOUR_COUNT; below++) {
            for (int above = 0; above < NEIGHBOUR_COUNT; above++)
                try_relation(&relations[i], (enum neighbour)below, (enum neighbour)above);
        }
    }
}

static void test_requests_outside_or_malformed(void **state)
{
    (void)state;
    static const struct {
        uint64_t base, size;
        result_t result;
    } requests[] = {
        {PAGE_SIZE, 0, EINVAL},
        {PAGE_SIZE + 1, PAGE_SIZE, EINVAL},
        {PAGE_SIZE, PAGE_SIZE - 1, EINVAL},
        {0, PAGE_SIZE, ERANGE},
        {0, 2 * PAGE_SIZE, ERANGE},
        {9 * PAGE_SIZE, 2 * PAGE_SIZE, ERANGE},
        {10 * PAGE_SIZE, PAGE_SIZE, ERANGE},
        {PAGE_SIZE, -PAGE_SIZE, ERANGE},
        {-PAGE_SIZE, PAGE_SIZE, ERANGE},
        {9 * PAGE_SIZE, PAGE_SIZE, OK},
        {PAGE_SIZE, 8 * PAGE_SIZE, OK},
    };
    struct region_tree tree;
    struct region_node nodes[ARRAY_COUNT(requests)];
    region_tree_init(&tree, PAGE_SIZE, 10 * PAGE_SIZE);
    for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
        assert_int_equal(
            region_tree_place_specifically(&tree, &nodes[i], requests[i].base, requests[i].size),
            requests[i].result);
        assert_null(region_tree_check(&tree));
    }
    assert_int_equal(region_tree_free_bytes(&tree), 0);
    assert_int_equal(region_tree_place_anywhere(&tree, &nodes[0], 0, PAGE_SIZE), EINVAL);
    assert_int_equal(region_tree_place_anywhere(&tree, &nodes[0], 100, PAGE_SIZE), EINVAL);
    assert_int_equal(region_tree_place_anywhere(&tree, &nodes[0], PAGE_SIZE, PAGE_SIZE), ENOMEM);
}

/* --- placing anywhere --------------------------------------------------------------------------------- */

static void test_an_exact_fit_is_taken(void **state)
{
    (void)state;
    struct region_tree tree;
    struct region_node nodes[3], fit, aligned, top;
    region_tree_init(&tree, PAGE_SIZE, 100 * PAGE_SIZE);
    add(&tree, &nodes[0], 1, 8);
    add(&tree, &nodes[1], 10, 16); /* behind a hole of 2 */
    add(&tree, &nodes[2], 20, 90); /* behind a hole of 4, aligned to 4 pages */
    assert_int_equal(region_tree_place_anywhere(&tree, &fit, 2 * PAGE_SIZE, PAGE_SIZE), OK);
    assert_int_equal(fit.base, 8 * PAGE_SIZE);
    assert_int_equal(region_tree_place_anywhere(&tree, &aligned, 4 * PAGE_SIZE, 4 * PAGE_SIZE), OK);
    assert_int_equal(aligned.base, 16 * PAGE_SIZE);
    assert_int_equal(region_tree_place_anywhere(&tree, &top, 10 * PAGE_SIZE, PAGE_SIZE), OK);
    assert_int_equal(top.base, 90 * PAGE_SIZE);
    assert_int_equal(region_tree_free_bytes(&tree), 0);
    assert_null(region_tree_check(&tree));
}

static void test_alignment_passes_over_what_is_misaligned(void **state)
{
    (void)state;
    struct region_tree tree;
    struct region_node nodes[3], node;
    region_tree_init(&tree, PAGE_SIZE, 1000 * PAGE_SIZE);
    add(&tree, &nodes[0], 8, 9);   /* holes: [1, 8) ... */
    add(&tree, &nodes[1], 24, 25); /* [9, 24): large enough for 8, but 16 + 8 is its end: fits */
    add(&tree, &nodes[2], 47, 48); /* [25, 47) */
    assert_int_equal(region_tree_place_anywhere(&tree, &node, 8 * PAGE_SIZE, 8 * PAGE_SIZE), OK);
    assert_int_equal(node.base, 16 * PAGE_SIZE);
    region_tree_remove(&tree, &node);
    assert_int_equal(region_tree_place_anywhere(&tree, &node, 9 * PAGE_SIZE, 16 * PAGE_SIZE), OK);
    assert_int_equal(node.base, 32 * PAGE_SIZE);
    region_tree_remove(&tree, &node);
    assert_int_equal(region_tree_place_anywhere(&tree, &node, PAGE_SIZE, 1ull << 63), ENOMEM);
    assert_null(region_tree_check(&tree));
}

/* --- costs ---------------------------------------------------------------------------------------------- */

/* A red-black tree of n nodes is at most 2 log2(n + 1) high. */
static uint64_t height_limit(uint64_t count)
{
    uint64_t limit = 0;
    while (count != 0) {
        limit += 2;
        count >>= 1;
    }
    return limit;
}

#define VISITS_OF(what)                                            \
    ({                                                             \
        uint64_t visits_before = counter_here(COUNTER_TREE_VISIT); \
        what;                                                      \
        counter_here(COUNTER_TREE_VISIT) - visits_before;          \
    })

/* One-page regions with one-page holes between, one hole of two pages, the top taken. */
static struct region_node *build_comb(struct region_tree *tree, uint64_t count)
{
    struct region_node *nodes = calloc(count + 1, sizeof(*nodes));
    uint64_t wide = count * 2 / 3;
    assert_non_null(nodes);
    region_tree_init(tree, 0, (2 * count + 1) * PAGE_SIZE);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t page = 2 * i + 1 + (i >= wide);
        region_tree_place_last(tree, &nodes[i], page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    }
    return nodes;
}

static void check_costs(uint64_t count)
{
    struct region_tree tree;
    struct random random = {test_seed()};
    struct region_node *nodes = build_comb(&tree, count);
    struct region_node *extra = &nodes[count];
    uint64_t limit = height_limit(count);
    assert_null(region_tree_check(&tree));
    for (int i = 0; i < 1000; i++) {
        uint64_t address = random_below(&random, tree.high);
        assert_in_range(VISITS_OF((void)region_tree_find(&tree, address)), 1, limit);
        assert_in_range(VISITS_OF((void)region_tree_find_from(&tree, address)), 1, limit);
    }

    assert_in_range(VISITS_OF(assert_int_equal(
                        region_tree_place_anywhere(&tree, extra, 2 * PAGE_SIZE, PAGE_SIZE), OK)),
                    1, limit);
    assert_int_equal(extra->base, (2 * (count * 2 / 3)) * PAGE_SIZE);
    region_tree_remove(&tree, extra);
    assert_in_range(VISITS_OF(assert_int_equal(
                        region_tree_place_anywhere(&tree, extra, PAGE_SIZE, PAGE_SIZE), OK)),
                    1, limit);
    assert_int_equal(extra->base, 0);
    region_tree_remove(&tree, extra);
    uint64_t last_hole = tree.last->base - PAGE_SIZE;
    assert_in_range(VISITS_OF(assert_int_equal(
                        region_tree_place_specifically(&tree, extra, last_hole, PAGE_SIZE), OK)),
                    1, limit);
    region_tree_remove(&tree, extra);
    assert_in_range(
        VISITS_OF(assert_int_equal(
            region_tree_place_anywhere(&tree, extra, 3 * PAGE_SIZE, PAGE_SIZE), ENOMEM)),
        0, 1);
    assert_null(region_tree_check(&tree));
    free(nodes);
}

static void test_costs_grow_logarithmically(void **state)
{
    (void)state;
    check_costs(10);
    check_costs(1000);
    check_costs(100000);
}

/* Every one-page hole taken in turn, each by one descent, until there is none. */
static void test_filling_one_page_holes(void **state)
{
    (void)state;
    const uint64_t count = 10000;
    struct region_tree tree;
    struct region_node *nodes = build_comb(&tree, count);
    struct region_node *fillers = calloc(count + 2, sizeof(*fillers));
    uint64_t last = 0;
    assert_non_null(fillers);
    for (uint64_t i = 0; i < count + 1; i++) {
        uint64_t visits = VISITS_OF(assert_int_equal(
            region_tree_place_anywhere(&tree, &fillers[i], PAGE_SIZE, PAGE_SIZE), OK));
        assert_in_range(visits, 0, height_limit(2 * count));
        assert_true(i == 0 || fillers[i].base > last);
        last = fillers[i].base;
    }
    assert_int_equal(region_tree_free_bytes(&tree), 0);
    assert_int_equal(region_tree_place_anywhere(&tree, &fillers[count + 1], PAGE_SIZE, PAGE_SIZE),
                     ENOMEM);
    assert_null(region_tree_check(&tree));
    free(fillers);
    free(nodes);
}

/* --- the check itself -------------------------------------------------------------------------------- */

static void expect_problem(const struct region_tree *tree, const char *part)
{
    const char *problem = region_tree_check(tree);
    assert_non_null(problem);
    if (!strstr(problem, part))
        fail_msg("region_tree_check says \"%s\", not \"...%s...\"", problem, part);
}

/* Each damage is undone before the next. */
static void test_the_check_finds_damage(void **state)
{
    (void)state;
    struct region_tree tree;
    struct region_node *nodes = build_comb(&tree, 100);
    struct region_node *node = tree.root->left;
    node->hole += PAGE_SIZE;
    expect_problem(&tree, "hole in front");
    node->hole -= PAGE_SIZE;
    node->largest += PAGE_SIZE;
    expect_problem(&tree, "largest hole or the free sum");
    node->largest -= PAGE_SIZE;
    node->free -= PAGE_SIZE;
    expect_problem(&tree, "largest hole or the free sum");
    node->free += PAGE_SIZE;
    node->red = !node->red;
    expect_problem(&tree, "numbers of black regions");
    node->red = !node->red;
    node->end += 2 * PAGE_SIZE;
    expect_problem(&tree, "overlap");
    node->end -= 2 * PAGE_SIZE;
    node->left->parent = tree.root;
    expect_problem(&tree, "");
    node->left->parent = node;
    tree.count++;
    expect_problem(&tree, "number of regions");
    tree.count--;
    tree.last = node;
    expect_problem(&tree, "last");
    tree.last = &nodes[99];
    tree.root->red = true;
    expect_problem(&tree, "root is red");
    tree.root->red = false;
    assert_null(region_tree_check(&tree));
    free(nodes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations_on_a_small_tree),
        cmocka_unit_test(test_random_operations_on_a_large_tree),
        cmocka_unit_test(test_every_relation_of_two_ranges),
        cmocka_unit_test(test_requests_outside_or_malformed),
        cmocka_unit_test(test_an_exact_fit_is_taken),
        cmocka_unit_test(test_alignment_passes_over_what_is_misaligned),
        cmocka_unit_test(test_costs_grow_logarithmically),
        cmocka_unit_test(test_filling_one_page_holes),
        cmocka_unit_test(test_the_check_finds_damage),
    };
    return cmocka_run_group_tests_name("region_tree", tests, NULL, NULL);
}
