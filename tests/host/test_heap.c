/* The kernel heap: classes, slabs, trimming, failure, and what check level 2 finds. */
#include "mm_testing.h"

#include <stdio.h>
#include <string.h>

#include "core/mm/frames.h"
#include "core/mm/heap.h"
#include "core/random.h"

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 64 * MIB});
    return 0;
}

static uint64_t slabs(void)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < HEAP_CLASSES; i++)
        count += heap.classes[i].slab_count;
    return count;
}

static void test_every_size_up_to_the_largest(void **state)
{
    (void)state;
    uint64_t free_bytes = mm_free_bytes();
    uint64_t live = heap_live_count();
    for (uint64_t size = 1; size <= HEAP_OBJECT_MAX; size++) {
        char *object = heap_alloc(size);
        assert_non_null(object);
        assert_int_equal((uintptr_t)object % 16, 0);
        memset(object, 0xa5, size);
        assert_int_equal(heap_live_count(), live + 1);
        heap_free(object, size);
    }
    assert_int_equal(heap_live_count(), live);
    assert_int_equal(mm_free_bytes(), free_bytes);
}

/* --- random objects, each full of its own byte ------------------------------------------------------- */

#define OBJECTS_MAX 500

struct piece {
    unsigned char *bytes;
    uint64_t size;
    unsigned char value;
};

static void check_and_free(struct piece *object)
{
    for (uint64_t i = 0; i < object->size; i++)
        assert_int_equal(object->bytes[i], object->value);
    heap_free(object->bytes, object->size);
    object->bytes = NULL;
}

static void fill(struct piece *object, struct random *random)
{
    object->size = 1 + random_below(random, random_below(random, 4) ? 300 : HEAP_OBJECT_MAX);
    object->value = (unsigned char)random_next(random);
    object->bytes = heap_alloc(object->size);
    assert_non_null(object->bytes);
    memset(object->bytes, object->value, object->size);
}

static void test_random_objects_do_not_overlap(void **state)
{
    (void)state;
    static struct piece objects[OBJECTS_MAX];
    struct random random = {test_seed()};
    uint64_t free_bytes = mm_free_bytes();
    uint64_t before = heap_live_count();
    uint64_t live = 0;
    for (int i = 0; i < 50000; i++) {
        struct piece *object = &objects[random_below(&random, OBJECTS_MAX)];
        if (object->bytes) {
            check_and_free(object);
            live--;
        } else {
            fill(object, &random);
            live++;
        }
        assert_int_equal(heap_live_count(), before + live);
        if (i % 5000 == 0)
            heap_trim();
    }
    for (unsigned i = 0; i < OBJECTS_MAX; i++) {
        if (objects[i].bytes)
            check_and_free(&objects[i]);
    }
    assert_int_equal(mm_free_bytes(), free_bytes);
    assert_audit();
}

/* --- slabs --------------------------------------------------------------------------------------------- */

static void test_slabs_hold_what_they_should(void **state)
{
    (void)state;
    heap_trim();
    uint64_t before = slabs();
    void *objects[PAGE_SIZE / 32];
    void *more;
    for (unsigned i = 0; i < ARRAY_COUNT(objects); i++) {
        objects[i] = heap_alloc(32);
        assert_non_null(objects[i]);
    }
    assert_in_range(slabs(), before, before + 1); /* one page holds 128 objects of 32 bytes */
    for (unsigned i = 1; i < ARRAY_COUNT(objects); i++)
        assert_true(objects[i] != objects[0]);
    more = heap_alloc(32);
    heap_free(more, 32);
    for (unsigned i = 0; i < ARRAY_COUNT(objects); i++)
        heap_free(objects[i], 32);
    heap_trim();
    assert_int_equal(slabs(), before);
    assert_audit();
}

static void test_trimming_keeps_what_is_in_use(void **state)
{
    (void)state;
    heap_trim();
    uint64_t before = slabs();
    unsigned char *kept = heap_alloc(1024);
    unsigned char *gone[8];
    assert_non_null(kept);
    memset(kept, 0x5a, 1024);
    for (unsigned i = 0; i < ARRAY_COUNT(gone); i++)
        gone[i] = heap_alloc(1024);
    assert_int_equal(slabs(), before + 3);
    for (unsigned i = 0; i < ARRAY_COUNT(gone); i++)
        heap_free(gone[i], 1024);
    assert_int_equal(slabs(), before + 3); /* empty ones stay at hand */
    heap_trim();
    assert_int_equal(slabs(), before + 1);
    for (unsigned i = 0; i < 1024; i++)
        assert_int_equal(kept[i], 0x5a);
    heap_free(kept, 1024);
    heap_trim();
    assert_int_equal(slabs(), before);
    assert_audit();
}

/* --- failure --------------------------------------------------------------------------------------------- */

static void test_no_frame_no_object(void **state)
{
    (void)state;
    heap_trim();
    uint64_t live = heap_live_count();
    uint64_t promised = frames_unpromised();
    assert_int_equal(frames_promise(promised), OK);
    assert_null(heap_alloc(2048));
    assert_int_equal(heap_live_count(), live);
    frames_unpromise(promised);
    void *object = heap_alloc(2048);
    assert_non_null(object);
    heap_free(object, 2048);

    mm_inject((struct mm_inject){.nth = 1});
    assert_null(heap_alloc(32));
    assert_true(mm_inject_fired());
    mm_inject((struct mm_inject){0});
    assert_int_equal(heap_live_count(), live);
    assert_audit();
}

static void test_calls_are_counted(void **state)
{
    (void)state;
    uint64_t allocated = counter_read(COUNTER_HEAP_ALLOC);
    uint64_t freed = counter_read(COUNTER_HEAP_FREE);
    void *objects[3];
    for (unsigned i = 0; i < 3; i++)
        objects[i] = heap_alloc(100);
    for (unsigned i = 0; i < 3; i++)
        heap_free(objects[i], 100);
    assert_int_equal(counted(COUNTER_HEAP_ALLOC, allocated), 3);
    assert_int_equal(counted(COUNTER_HEAP_FREE, freed), 3);
}

/* --- check level 2 -------------------------------------------------------------------------------------- */

static char said[1 << 16];

/* What the panic says that this ends in. */
static void expect_panic(void (*function)(void *argument), void *argument, const char *what)
{
    assert_int_equal(sim_in_child(function, argument, said, sizeof said), 2);
    if (!strstr(said, what))
        fail_msg("no '%s' in: %s", what, said);
}

static void free_twice(void *argument)
{
    void *objects[] = {heap_alloc(100), heap_alloc(100), heap_alloc(100)};
    (void)argument;
    for (unsigned i = 0; i < ARRAY_COUNT(objects); i++)
        heap_free(objects[i], 100);
    heap_free(objects[0], 100);
}

static void free_something(void *object)
{
    heap_free(object, 100);
}

static void test_what_is_no_object_cannot_be_freed(void **state)
{
    (void)state;
    char *object = heap_alloc(100);
    char *small = heap_alloc(32);
    phys_t page;
    assert_int_equal(frames_take(FRAME_DATA, &page), OK);
    expect_panic(free_twice, NULL, "of 128 bytes is freed twice: at ...");
    expect_panic(free_something, said, "is no heap object: it is not in RAM");
    expect_panic(free_something, sim_memory + page.value,
                 "is no heap object: its frame's kind is data");
    expect_panic(free_something, small, "freed at 0x");
    expect_panic(free_something, small, "as one of 128 bytes, is in a slab of 32 bytes");
    expect_panic(free_something, object + 16, "is inside a heap object of 128 bytes");
    frames_give(page);
    heap_free(small, 32);
    heap_free(object, 100);
}

struct late_write {
    uint64_t size;
    uint64_t offset;
};

static void write_after_free(void *argument)
{
    const struct late_write *late = argument;
    uint64_t *object = heap_alloc(late->size);
    heap_free(object, late->size);
    object[late->offset / 8] ^= 1ull << 40;
    for (int i = 0; i < 200; i++)
        (void)!heap_alloc(late->size);
}

static void test_a_write_to_a_free_object_is_found(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {32, 96, 2048};
    for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
        for (uint64_t offset = 0; offset < sizes[i];
             offset += offset < 32 ? 8 : sizes[i] / 2 - 16) {
            struct late_write late = {sizes[i], offset};
            char what[80];
            snprintf(what, sizeof what, "of %lu bytes was written to: offset %lu holds",
                     (unsigned long)sizes[i], (unsigned long)offset);
            expect_panic(write_after_free, &late, what);
        }
    }
}

static void test_an_object_is_handed_out_full_of_poison(void **state)
{
    (void)state;
    uint64_t *object = heap_alloc(256);
    for (unsigned i = 1; i < 256 / 8; i++)
        assert_int_equal(object[i], object[0]);
    memset(object, 0, 256);
    heap_free(object, 256);
    object = heap_alloc(256);
    assert_int_not_equal(object[0], 0);
    heap_free(object, 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_size_up_to_the_largest),
        cmocka_unit_test(test_random_objects_do_not_overlap),
        cmocka_unit_test(test_slabs_hold_what_they_should),
        cmocka_unit_test(test_trimming_keeps_what_is_in_use),
        cmocka_unit_test(test_no_frame_no_object),
        cmocka_unit_test(test_calls_are_counted),
        cmocka_unit_test(test_what_is_no_object_cannot_be_freed),
        cmocka_unit_test(test_a_write_to_a_free_object_is_found),
        cmocka_unit_test(test_an_object_is_handed_out_full_of_poison),
    };
    return cmocka_run_group_tests_name("heap", tests, start, NULL);
}
