/* Tables of slots: heights, sharing of leaves, references, failures that leave nothing. */
#include "mm_testing.h"

#include "core/mm/frames.h"
#include "core/mm/slots.h"

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 64 * MIB});
    return 0;
}

static struct leaf *own(struct slot_table *table, uint64_t slot, struct leaf **before)
{
    struct leaf *leaf;
    assert_int_equal(slot_table_own_leaf(table, slot, NULL, &leaf, before), OK);
    assert_ptr_equal(slot_table_leaf(table, slot), leaf);
    assert_false(leaf_is_shared(leaf));
    return leaf;
}

static result_t share(const struct slot_table *table, struct slot_table *copy)
{
    uint64_t resident;
    result_t result = slot_table_share(table, copy, &resident);
    if (result == OK)
        assert_int_equal(resident, slot_table_resident(table));
    return result;
}

/* A fresh page in the slot, which is the table's alone afterwards. */
static phys_t put(struct slot_table *table, uint64_t slot)
{
    phys_t page;
    struct leaf *before;
    struct leaf *leaf = own(table, slot, &before);
    assert_int_equal(frames_take(FRAME_DATA, &page), OK);
    uint64_t old = slot_put(leaf_frame(leaf), &leaf->slots[slot % LEAF_SLOTS], page);
    if (old != 0 && --slot_frame(old)->references == 0)
        frames_give(slot_phys(old));
    return page;
}

static uint64_t page_at(const struct slot_table *table, uint64_t slot)
{
    struct leaf *leaf = slot_table_leaf(table, slot);
    uint64_t data = leaf ? leaf->slots[slot % LEAF_SLOTS] : 0;
    return data ? slot_phys(data).value : 0;
}

static uint64_t end(struct slot_table *table)
{
    struct frame_batch batch;
    frame_batch_init(&batch);
    uint64_t freed = 0;
    uint64_t dropped = 0;
    uint64_t resident = slot_table_resident(table);
    slot_table_fini(table, &batch, &freed, &dropped);
    frame_batch_end(&batch);
    assert_int_equal(dropped, resident);
    return freed;
}

struct dropped {
    uint64_t freed, dropped;
};

static struct dropped drop(struct slot_table *table, uint64_t first, uint64_t count)
{
    struct dropped result = {0};
    struct frame_batch batch;
    frame_batch_init(&batch);
    slot_table_drop(table, first, count, &batch, &result.freed, &result.dropped);
    frame_batch_end(&batch);
    return result;
}

/* --- heights -------------------------------------------------------------------------------------- */

static const struct {
    uint64_t slots;
    unsigned height, top_count;
} shapes[] = {
    {1, 0, 1},
    {512, 0, 1},
    {513, 1, 2},
    {512 * 512, 1, 512},
    {512 * 512 + 1, 2, 2},
    {512ull * 512 * 512, 2, 512},
    {512ull * 512 * 512 + 1, 3, 2},
    {1ull << 36, 3, 512}, /* 256 TiB of pages */
    {(1ull << 36) + 1, 4, 2},
    {1ull << 44, 4, 256}, /* all that five levels of page tables map */
};

static void count_array(void *context, void *array, bool in_heap)
{
    uint64_t *counts = context;
    (void)array;
    counts[in_heap]++;
}

/* First, last and some slots between, put and found, each found again by stepping over the arrays. */
static void check_shape(uint64_t slots, unsigned height)
{
    uint64_t wanted[] = {0, slots / 3, slots / 2, slots - 1 - slots / 100, slots - 1};
    phys_t pages[ARRAY_COUNT(wanted)];
    uint64_t free_bytes = mm_free_bytes();
    uint64_t counts[2] = {0};
    struct slot_table table;
    slot_table_init(&table, slots);
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++)
        assert_int_equal(page_at(&table, wanted[i]), 0);
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++)
        pages[i] = put(&table, wanted[i]);

    uint64_t found = 0;
    uint64_t index = 0;
    uint64_t count;
    struct leaf **array;
    while ((array = slot_table_next_array(&table, &index, &count)) != NULL) {
        for (uint64_t i = 0; i < count; i++) {
            struct leaf *leaf = array[(index + i) % 512];
            if (!leaf)
                continue;
            found += leaf_frame(leaf)->live;
            assert_ptr_equal(slot_table_leaf(&table, (index + i) * LEAF_SLOTS), leaf);
        }
        index += count;
    }
    assert_int_equal(found, slot_table_resident(&table));
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++)
        assert_true(slots < 10 || page_at(&table, wanted[i]) == pages[i].value);
    slot_table_visit_arrays(&table, count_array, counts);
    assert_true(height == 0 ? counts[0] + counts[1] == 0 : counts[0] + counts[1] >= height);
    assert_int_equal(end(&table), slots < 10 ? 1 : ARRAY_COUNT(wanted));
    assert_int_equal(mm_free_bytes(), free_bytes);
}

static void test_every_height(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
        struct slot_table table;
        slot_table_init(&table, shapes[i].slots);
        assert_int_equal(table.height, shapes[i].height);
        assert_int_equal(table.top_count, shapes[i].top_count);
        check_shape(shapes[i].slots, shapes[i].height);
    }
    assert_audit();
}

/* Growing through every shape keeps what is there; failing to grow keeps the table. */
static void test_growing(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct slot_table table;
    phys_t pages[ARRAY_COUNT(shapes)];
    slot_table_init(&table, shapes[0].slots);
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
        uint64_t before = mm_free_bytes();
        for (unsigned nth = 1;; nth++) {
            mm_inject((struct mm_inject){.nth = nth});
            result_t result = slot_table_grow(&table, shapes[i].slots);
            bool fired = mm_inject_fired();
            mm_inject((struct mm_inject){0});
            assert_int_equal(result, fired ? ENOMEM : OK);
            if (!fired)
                break;
            assert_int_equal(mm_free_bytes(), before);
            assert_int_equal(page_at(&table, shapes[i - 1].slots - 1), pages[i - 1].value);
        }
        assert_int_equal(table.height, shapes[i].height);
        assert_int_equal(table.top_count, shapes[i].top_count);
        pages[i] = put(&table, shapes[i].slots - 1);
        for (size_t j = 0; j <= i; j++)
            assert_int_equal(page_at(&table, shapes[j].slots - 1), pages[j].value);
    }
    assert_int_equal(end(&table), ARRAY_COUNT(shapes));
    assert_int_equal(mm_free_bytes(), free_bytes);
}

/* --- sharing ---------------------------------------------------------------------------------------- */

static void test_sharing_and_copying_leaves(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct slot_table parent, child;
    struct leaf *before;
    slot_table_init(&parent, 2000);
    phys_t first = put(&parent, 3);
    phys_t second = put(&parent, 4);
    phys_t third = put(&parent, 1000);
    uint64_t taken = counter_read(COUNTER_PAGE_ALLOC);
    assert_int_equal(share(&parent, &child), OK);
    assert_in_range(counted(COUNTER_PAGE_ALLOC, taken), 0, 1); /* a slab for the array, no more */

    struct leaf *leaf = slot_table_leaf(&parent, 3);
    assert_ptr_equal(slot_table_leaf(&child, 3), leaf);
    assert_int_equal(leaf_frame(leaf)->references, 2);
    assert_int_equal(frame_of(first)->references, 1);
    assert_false(leaf_is_exclusive(leaf));
    assert_int_equal(slot_table_resident(&child), 3);

    struct leaf *copy = own(&child, 3, &before);
    assert_ptr_equal(before, leaf);
    assert_int_equal(leaf_frame(leaf)->references, 1);
    assert_int_equal(leaf_frame(copy)->live, 2);
    assert_int_equal(frame_of(first)->references, 2);
    assert_int_equal(frame_of(third)->references, 1);
    assert_false(leaf_is_exclusive(leaf) || leaf_is_exclusive(copy));
    assert_ptr_equal(own(&child, 4, &before), copy);
    assert_null(before);

    phys_t page = put(&child, 3);
    assert_int_equal(page_at(&child, 3), page.value);
    assert_int_equal(page_at(&parent, 3), first.value);
    assert_int_equal(frame_of(first)->references, 1);
    page = put(&child, 4);
    assert_int_equal(frame_of(second)->references, 1);
    assert_true(leaf_is_exclusive(leaf) && leaf_is_exclusive(copy));
    page = put(&child, 4); /* the one before goes with its last reference */
    assert_int_equal(slot_table_resident(&child), 3);

    assert_int_equal(end(&parent), 2);
    assert_int_equal(page_at(&child, 1000), third.value);
    assert_int_equal(end(&child), 3);
    assert_int_equal(mm_free_bytes(), free_bytes);
}

static void test_dropping_ranges(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct slot_table table, other;
    struct leaf *before;
    slot_table_init(&table, 512 * 4);
    for (uint64_t slot = 0; slot < 512 * 4; slot++)
        (void)put(&table, slot);
    assert_int_equal(share(&table, &other), OK);
    (void)own(&table, 511, &before);
    (void)own(&table, 512 * 3, &before);

    /* Half a leaf of our own, two shared ones, a slot of our own: nothing is freed yet. */
    struct dropped gone = drop(&table, 256, 256 + 1024 + 1);
    assert_int_equal(gone.dropped, 256 + 1024 + 1);
    assert_int_equal(gone.freed, 0);
    assert_int_equal(slot_table_resident(&table), 2048 - 1281);
    assert_int_equal(leaf_frame(slot_table_leaf(&table, 0))->live, 256);
    assert_null(slot_table_leaf(&table, 512));
    assert_int_equal(leaf_frame(slot_table_leaf(&other, 512))->references, 1);
    for (uint64_t slot = 0; slot < 2048; slot++) {
        assert_true(page_at(&other, slot) != 0);
        assert_int_equal(page_at(&table, slot) != 0, slot < 256 || slot > 1536);
    }

    gone = drop(&other, 300, 1000); /* frames of which these were the last references */
    assert_int_equal(gone.dropped, 1000);
    assert_int_equal(gone.freed, 1000);
    gone = drop(&table, 0, 2048);
    assert_int_equal(gone.dropped, 767);
    assert_int_equal(gone.freed, 0);
    assert_int_equal(slot_table_resident(&table), 0);
    assert_null(slot_table_leaf(&table, 0));
    assert_int_equal(end(&table), 0);
    assert_int_equal(end(&other), 1048);
    assert_int_equal(mm_free_bytes(), free_bytes);
}

/* --- random tables that share ----------------------------------------------------------------------- */

#define TABLES 4
#define SLOTS (512 * 5 + 100)

struct model {
    struct slot_table table;
    bool exists;
    uint64_t pages[SLOTS]; /* the content of each: a serial number, 0: none */
};

static uint64_t *content(uint64_t page)
{
    return machine_phys_to_virt(phys(page));
}

static void check_model(const struct model *model)
{
    uint64_t resident = 0;
    for (uint64_t slot = 0; slot < SLOTS; slot++) {
        uint64_t page = page_at(&model->table, slot);
        assert_int_equal(page ? *content(page) : 0, model->pages[slot]);
        resident += page != 0;
    }
    assert_int_equal(slot_table_resident(&model->table), resident);
}

static void model_put(struct model *model, uint64_t slot, uint64_t serial)
{
    *content(put(&model->table, slot).value) = serial;
    model->pages[slot] = serial;
}

static void model_drop(struct model *model, uint64_t first, uint64_t count)
{
    struct leaf *before;
    uint64_t dropped = 0;
    /* Leaves that are covered in part must be owned. */
    if (first % 512 != 0 && slot_table_leaf(&model->table, first))
        (void)own(&model->table, first, &before);
    if ((first + count) % 512 != 0 && slot_table_leaf(&model->table, first + count - 1))
        (void)own(&model->table, first + count - 1, &before);
    for (uint64_t i = first; i < first + count; i++) {
        dropped += model->pages[i] != 0;
        model->pages[i] = 0;
    }
    struct dropped gone = drop(&model->table, first, count);
    assert_int_equal(gone.dropped, dropped);
    assert_true(gone.freed <= dropped);
}

static void model_step(struct model *models, struct random *random, uint64_t serial)
{
    struct model *model = &models[random_below(random, TABLES)];
    struct model *other = &models[random_below(random, TABLES)];
    uint64_t slot = random_below(random, SLOTS);
    if (!model->exists) {
        slot_table_init(&model->table, SLOTS);
        memset(model->pages, 0, sizeof(model->pages));
        model->exists = true;
    } else if (random_below(random, 30) == 0) {
        (void)end(&model->table);
        model->exists = false;
    } else if (random_below(random, 10) == 0 && !other->exists) {
        assert_int_equal(share(&model->table, &other->table), OK);
        memcpy(other->pages, model->pages, sizeof(other->pages));
        other->exists = true;
    } else if (random_below(random, 10) == 0) {
        model_drop(model, slot, 1 + random_below(random, SLOTS - slot));
    } else {
        for (unsigned i = 0; i < 10; i++)
            model_put(model, (slot + i) % SLOTS, serial + i);
    }
    if (model->exists)
        check_model(model);
}

static void test_random_tables_that_share(void **state)
{
    (void)state;
    static struct model models[TABLES];
    struct random random = {test_seed()};
    uint64_t free_bytes = mm_free_bytes();
    for (uint64_t step = 0; step < 10000; step++)
        model_step(models, &random, 1 + step * 10);
    for (unsigned i = 0; i < TABLES; i++) {
        if (models[i].exists) {
            check_model(&models[i]);
            (void)end(&models[i].table);
        }
    }
    assert_int_equal(mm_free_bytes(), free_bytes);
    assert_audit();
}

/* --- failure ------------------------------------------------------------------------------------------- */

static void test_what_fails_leaves_nothing(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
        struct slot_table table, copy;
        struct leaf *leaf, *before;
        slot_table_init(&table, shapes[i].slots);
        for (unsigned nth = 1; nth <= 1 + shapes[i].height; nth++) {
            mm_inject((struct mm_inject){.nth = nth});
            assert_int_equal(slot_table_own_leaf(&table, shapes[i].slots - 1, NULL, &leaf, &before),
                             ENOMEM);
            assert_null(table.top);
            assert_int_equal(mm_free_bytes(), free_bytes);
        }
        mm_inject((struct mm_inject){0});
        (void)put(&table, shapes[i].slots - 1);
        uint64_t with_one = mm_free_bytes();
        for (unsigned nth = 1; nth <= shapes[i].height; nth++) {
            mm_inject((struct mm_inject){.nth = nth});
            assert_int_equal(share(&table, &copy), ENOMEM);
            assert_int_equal(mm_free_bytes(), with_one);
        }
        mm_inject((struct mm_inject){0});
        assert_int_equal(end(&table), 1);
        assert_int_equal(mm_free_bytes(), free_bytes);
    }
}

static void test_a_reserved_copy_cannot_fail(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    struct frame_reserve frames_ahead = {0};
    struct slot_table table, other;
    struct leaf *leaf, *before;
    slot_table_init(&table, 1000);
    (void)put(&table, 1);
    assert_int_equal(share(&table, &other), OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(frame_reserve_add(&frames_ahead), OK);
    mm_inject((struct mm_inject){.nth = 1, .every = true});
    assert_int_equal(frame_reserve_add(&frames_ahead), ENOMEM);
    assert_int_equal(slot_table_own_leaf(&table, 1, &frames_ahead, &leaf, &before), OK);
    mm_inject((struct mm_inject){0});
    assert_non_null(before);
    assert_int_equal(leaf_frame(leaf)->kind, FRAME_LEAF);
    frame_reserve_end(&frames_ahead);
    assert_int_equal(end(&table) + end(&other), 1);
    assert_int_equal(mm_free_bytes(), free_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_height),
        cmocka_unit_test(test_growing),
        cmocka_unit_test(test_sharing_and_copying_leaves),
        cmocka_unit_test(test_dropping_ranges),
        cmocka_unit_test(test_random_tables_that_share),
        cmocka_unit_test(test_what_fails_leaves_nothing),
        cmocka_unit_test(test_a_reserved_copy_cannot_fail),
    };
    return cmocka_run_group_tests_name("slots", tests, start, NULL);
}
