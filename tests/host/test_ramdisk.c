/* RAM disks that begin with what the loader has read from the boot volume. */
#include "mm_testing.h"

#include <string.h>

#include "core/mm/file.h"

/* The last page of the image is used in part. */
#define IMAGE_PAGES 70u
#define IMAGE_BYTES (IMAGE_PAGES * PAGE_SIZE - 1000)
#define BASE GIB
#define OTHER (2 * GIB)
#define RW (PROT_READ | PROT_WRITE)

static uint64_t image[IMAGE_PAGES * PAGE_SIZE / 8];
static struct object *file;
static struct space *space;

/* Nothing that PageLab would make itself; zero where the image ends. */
static uint64_t image_word(uint64_t offset)
{
    return offset < IMAGE_BYTES ? ~block_pattern(offset) : 0;
}

static int start(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < ARRAY_COUNT(image); i++)
        image[i] = ~block_pattern(8 * i);
    start_mm(&(struct sim_config){
        .memory_bytes = 64 * MIB, .ramdisk = image, .ramdisk_bytes = IMAGE_BYTES});
    return 0;
}

static void map_disk(uint64_t first_page, uint64_t pages)
{
    assert_int_equal(file_create_on_ramdisk(first_page * PAGE_SIZE, pages, &file), OK);
    object_name(file);
    space = new_space();
    struct map_args args = map_at(BASE, pages, RW);
    args.object = file;
    args.shared = true;
    map(space, args);
}

static void drop_disk(void)
{
    assert_audit();
    space_destroy(space);
    assert_int_equal(object_drop(file), OK);
    assert_audit();
}

/* Every word of the disk from this page on is the image's, or generated content behind it. */
static void assert_initial(uint64_t base, uint64_t first_page, uint64_t pages)
{
    for (uint64_t at = 0; at < pages * PAGE_SIZE; at += 8) {
        uint64_t offset = first_page * PAGE_SIZE + at;
        uint64_t expected =
            offset < IMAGE_PAGES * PAGE_SIZE ? image_word(offset) : block_pattern(offset);
        uint64_t found = read_value(space, base + at);
        if (found != expected)
            fail_msg("byte %#lx of the disk: %#lx instead of %#lx", (unsigned long)offset,
                     (unsigned long)found, (unsigned long)expected);
    }
}

static void test_the_image_and_generated_content_behind_it(void **state)
{
    (void)state;
    static const uint64_t firsts[] = {0, 1, IMAGE_PAGES - 1, IMAGE_PAGES, (1ull << 28) + 3};
    for (size_t i = 0; i < ARRAY_COUNT(firsts); i++) {
        map_disk(firsts[i], 80);
        assert_initial(BASE, firsts[i], 80);
        drop_disk();
    }
}

/* What one disk writes, another does not see, nor a later one. */
static void test_nobody_writes_to_the_image(void **state)
{
    (void)state;
    map_disk(0, IMAGE_PAGES);
    write_pages(space, BASE, IMAGE_PAGES, 5);
    assert_int_equal(space_sync(space, pages_at(BASE, IMAGE_PAGES)), OK);
    assert_true(mm_reclaim(IMAGE_PAGES) >= IMAGE_PAGES);
    for (uint64_t i = 0; i < IMAGE_PAGES; i++) {
        assert_int_equal(read_value(space, BASE + i * PAGE_SIZE), 5 + i);
        assert_int_equal(read_value(space, BASE + i * PAGE_SIZE + 8),
                         image_word(i * PAGE_SIZE + 8));
    }
    drop_disk();
    map_disk(0, IMAGE_PAGES);
    assert_initial(BASE, 0, IMAGE_PAGES);
    drop_disk();
}

static void test_private_copies_of_the_image(void **state)
{
    (void)state;
    map_disk(0, IMAGE_PAGES);
    struct map_args args = map_at(OTHER, IMAGE_PAGES, RW);
    args.object = file;
    map(space, args);
    write_pages(space, OTHER, IMAGE_PAGES, 900);
    assert_initial(BASE, 0, IMAGE_PAGES);
    assert_int_equal(read_value(space, OTHER + PAGE_SIZE + 8), image_word(PAGE_SIZE + 8));
    drop_disk();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_image_and_generated_content_behind_it),
        cmocka_unit_test(test_nobody_writes_to_the_image),
        cmocka_unit_test(test_private_copies_of_the_image),
    };
    return cmocka_run_group_tests_name("ramdisk", tests, start, NULL);
}
