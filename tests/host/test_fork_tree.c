/* Random trees of forks: random writes by all members, discards, deaths in random order; each member
 * must see exactly what it would have had alone. */
#include "mm_testing.h"

#include <string.h>

#define BASE (GIB - 100 * PAGE_SIZE)
#define PAGES 700ull
#define MEMBERS 12
#define TREES 150
#define STEPS 120
#define WORDS 2
#define WORD_STRIDE 4088 /* the first and the last of a page */

enum shape { SHAPE_ANY, SHAPE_DEEP, SHAPE_WIDE, SHAPES };

struct member {
    struct space *space; /* NULL: none */
    unsigned depth;
    uint64_t values[PAGES][WORDS];
    bool gone[PAGES]; /* unmapped */
};

static struct {
    struct random random;
    struct member members[MEMBERS];
    unsigned long tree, step;
    enum shape shape;
    unsigned deepest;
} model;

static uint64_t draw(uint64_t bound)
{
    return random_below(&model.random, bound);
}

static uint64_t address_of(uint64_t page)
{
    return BASE + page * PAGE_SIZE;
}

static struct member *some_member(void)
{
    struct member *member;
    do
        member = &model.members[draw(MEMBERS)];
    while (!member->space);
    return member;
}

static unsigned living(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < MEMBERS; i++)
        count += model.members[i].space != NULL;
    return count;
}

/* The first of a tree: mapped in two pieces, one promised and one not. */
static void plant(void)
{
    struct member *root = &model.members[0];
    struct map_args second =
        map_at(address_of(PAGES / 2), PAGES - PAGES / 2, PROT_READ | PROT_WRITE);
    memset(root, 0, sizeof(*root));
    root->space = new_space();
    second.commit = false;
    map(root->space, map_at(BASE, PAGES / 2, PROT_READ | PROT_WRITE));
    map(root->space, second);
}

/* Who is forked decides the shape: always the newest, always the oldest, or anybody. */
static struct member *parent_of_next(void)
{
    struct member *best = some_member();
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct member *member = &model.members[i];
        if (!member->space)
            continue;
        if (model.shape == SHAPE_DEEP && member->depth > best->depth)
            best = member;
        if (model.shape == SHAPE_WIDE && member->depth < best->depth)
            best = member;
    }
    return best;
}

static void do_fork(void)
{
    struct member *parent = parent_of_next();
    for (unsigned i = 0; i < MEMBERS; i++) {
        struct member *child = &model.members[i];
        if (child->space)
            continue;
        *child = *parent;
        child->space = forked(parent->space);
        child->depth = parent->depth + 1;
        model.deepest = child->depth > model.deepest ? child->depth : model.deepest;
        return;
    }
}

static void write_one(struct member *member, uint64_t page)
{
    uint64_t value = random_next(&model.random);
    uint64_t word = draw(WORDS);
    if (member->gone[page]) {
        assert_int_equal(refused(member->space, MACHINE_WRITE, address_of(page)), FAULT_SEGV);
        return;
    }
    write_value(member->space, address_of(page) + word * WORD_STRIDE, value);
    member->values[page][word] = value;
}

static void do_write(void)
{
    struct member *member = some_member();
    uint64_t first = draw(PAGES);
    uint64_t count = draw(10) ? 1 + draw(5) : 1 + draw(300);
    for (uint64_t page = first; page < first + count && page < PAGES; page++)
        write_one(member, page);
}

static void do_unmap(void)
{
    struct member *member = some_member();
    uint64_t first = draw(PAGES);
    uint64_t count = 1 + draw(draw(4) ? 10 : PAGES - first);
    if (count > PAGES - first)
        count = PAGES - first;
    unmap(member->space, address_of(first), count);
    for (uint64_t page = first; page < first + count; page++)
        member->gone[page] = true;
}

static void check_word(struct member *member, uint64_t page, uint64_t word)
{
    uint64_t found = read_value(member->space, address_of(page) + word * WORD_STRIDE);
    if (found != member->values[page][word])
        fail_msg("member %d, depth %u: page %lu, word %lu: %#llx instead of %#llx",
                 (int)(member - model.members), member->depth, (unsigned long)page,
                 (unsigned long)word, (unsigned long long)found,
                 (unsigned long long)member->values[page][word]);
}

/* What a member sees, by user-mode reads of all pages. */
static void check(struct member *member)
{
    for (uint64_t page = 0; page < PAGES; page++) {
        for (uint64_t word = 0; word < WORDS && !member->gone[page]; word++)
            check_word(member, page, word);
    }
}

static void do_death(void)
{
    struct member *member = some_member();
    check(member);
    space_destroy(member->space);
    member->space = NULL;
    assert_audit();
    if (living() != 0)
        check(some_member());
}

static void do_step(void)
{
    unsigned choice = (unsigned)draw(20);
    if (choice < 4 && living() < MEMBERS)
        do_fork();
    else if (choice < 5 && living() > 1)
        do_death();
    else if (choice < 7)
        do_unmap();
    else if (choice < 9)
        check(some_member());
    else
        do_write();
}

static void grow_and_fell(uint64_t free_bytes)
{
    model.shape = (enum shape)(model.tree % SHAPES);
    plant();
    for (model.step = 0; model.step < STEPS; model.step++)
        do_step();
    assert_audit();
    while (living() != 0)
        do_death();
    assert_int_equal(mm_committed_pages(), 0);
    assert_int_equal(counter_read(COUNTER_COMMIT_RESERVED), 0);
    assert_int_equal(mm_free_bytes(), free_bytes);
}

static void test_random_trees_of_forks(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    model.random.state = test_seed();
    for (model.tree = 0; model.tree < (unsigned long)TREES * test_rounds(); model.tree++)
        grow_and_fell(free_bytes);
    assert_in_range(model.deepest, 8, 1000); /* the deep ones were deep */
}

static int tell_step(void **state)
{
    (void)state;
    print_message("ended at tree %lu, step %lu\n", model.tree, model.step);
    return 0;
}

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 96 * MIB});
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_random_trees_of_forks, tell_step),
    };
    return cmocka_run_group_tests_name("fork_tree", tests, start, NULL);
}
