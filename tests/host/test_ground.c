/* The ground floor: formatting, text, arena, CRC, random numbers. */
#include "testing.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "core/arena.h"
#include "core/crc32.h"
#include "core/fmt.h"
#include "core/random.h"
#include "core/text.h"

/* --- fmt ------------------------------------------------------------------------------------------ */

/* Prints with ours and with libc's, into a buffer of that size; both must agree to the last byte. */
#define ASSERT_LIKE_LIBC(size, ...)                                                     \
    do {                                                                                \
        char ours[64], theirs[64];                                                      \
        memset(ours, '#', sizeof(ours));                                                \
        memset(theirs, '#', sizeof(theirs));                                            \
        volatile size_t room = size; /* nothing is known of it when this is compiled */ \
        size_t our_length = fmt_print(ours, room, __VA_ARGS__);                         \
        int their_length = snprintf(theirs, room, __VA_ARGS__);                         \
        assert_int_equal(our_length, their_length);                                     \
        assert_memory_equal(ours, theirs, sizeof(ours));                                \
    } while (0)

static void test_fmt_agrees_with_libc(void **state)
{
    (void)state;
    static const long long values[] = {0,         1,         -1,          9,         10,
                                       255,       -128,      65536,       INT32_MAX, INT32_MIN,
                                       INT64_MAX, INT64_MIN, 1000000007ll};

    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        long long value = values[i];
        ASSERT_LIKE_LIBC(64, "%d|%5d|%-5d|%05d", (int)value, (int)value, (int)value, (int)value);
        ASSERT_LIKE_LIBC(64, "%lld|%24lld", value, value);
        ASSERT_LIKE_LIBC(64, "%llu|%llx|%llX", (unsigned long long)value, (unsigned long long)value,
                         (unsigned long long)value);
        ASSERT_LIKE_LIBC(64, "%016llx|%-20llx|", (unsigned long long)value,
                         (unsigned long long)value);
        ASSERT_LIKE_LIBC(64, "%0*u|%*u", 7, (unsigned)value, 3, (unsigned)value);
        ASSERT_LIKE_LIBC(64, "%zu|%jd|%lu", (size_t)value, (intmax_t)value, (unsigned long)value);
    }
    ASSERT_LIKE_LIBC(64, "%s|%10s|%-10s|%.2s|%.*s", "abc", "abc", "abc", "abc", 1, "abc");
    ASSERT_LIKE_LIBC(64, "%c%c%%", 'x', 'y');
    ASSERT_LIKE_LIBC(64, "%p", (void *)0x1234abcd);
}

static void test_fmt_never_writes_beyond_its_buffer(void **state)
{
    (void)state;
    for (size_t size = 0; size < 20; size++)
        ASSERT_LIKE_LIBC(size, "%s %d %llx", "hello", -42, 0xdeadbeefull);
    assert_int_equal(fmt_print(NULL, 0, "%s", "four"), 4);
}

/* --- text ------------------------------------------------------------------------------------------- */

static void test_text_comparisons(void **state)
{
    (void)state;
    struct text abc = text_of("abc");
    assert_true(text_equal(abc, TEXT("abc")));
    assert_false(text_equal(abc, TEXT("abd")));
    assert_false(text_equal(abc, TEXT("ab")));
    assert_true(text_is(abc, "abc"));
    assert_false(text_is(abc, "abcd"));
    assert_true(text_starts(abc, "ab"));
    assert_true(text_starts(abc, ""));
    assert_false(text_starts(abc, "abcd"));
    assert_int_equal(text_compare(abc, TEXT("abc")), 0);
    assert_true(text_compare(abc, TEXT("abd")) < 0);
    assert_true(text_compare(abc, TEXT("ab")) > 0);
    assert_true(text_compare(TEXT("\xff"), TEXT("a")) > 0);
}

static void test_text_trim_and_cut(void **state)
{
    (void)state;
    assert_true(text_is(text_trim(TEXT(" \t a b \r\n")), "a b"));
    assert_int_equal(text_trim(TEXT("   ")).size, 0);

    struct text rest = TEXT("a,b,,c");
    assert_true(text_is(text_cut(&rest, ','), "a"));
    assert_true(text_is(text_cut(&rest, ','), "b"));
    assert_int_equal(text_cut(&rest, ',').size, 0);
    assert_true(text_is(text_cut(&rest, ','), "c"));
    assert_int_equal(rest.size, 0);
}

static unsigned distance(const char *a, const char *b, unsigned limit)
{
    return text_distance(text_of(a), text_of(b), limit);
}

static void test_text_distance(void **state)
{
    (void)state;
    assert_int_equal(distance("size", "size", 3), 0);
    assert_int_equal(distance("sizee", "size", 3), 1);
    assert_int_equal(distance("kitten", "sitting", 5), 3);
    assert_int_equal(distance("", "abc", 5), 3);
    assert_int_equal(distance("abc", "", 5), 3);
    assert_int_equal(distance("kitten", "sitting", 1), 2); /* limit + 1: "more" */
    assert_int_equal(distance("a", "completely-different", 2), 3);
}

/* --- arena ------------------------------------------------------------------------------------------ */

static void test_arena_gives_aligned_zeroed_memory_until_it_is_full(void **state)
{
    (void)state;
    static _Alignas(4096) char memory[3 * 4096];
    struct arena arena;
    memset(memory, 0xaa, sizeof(memory));
    arena_init(&arena, memory, sizeof(memory));

    char *first = arena_alloc(&arena, 3);
    char *second = arena_alloc(&arena, 100);
    assert_non_null(first);
    assert_non_null(second);
    assert_int_equal((uintptr_t)second % 16, 0);
    assert_true(second >= first + 3);
    for (int i = 0; i < 100; i++)
        assert_int_equal(second[i], 0);

    size_t mark = arena_mark(&arena);
    char *page = arena_alloc_pages(&arena, 4096);
    assert_non_null(page);
    assert_int_equal((uintptr_t)page % 4096, 0);
    assert_null(arena_alloc_pages(&arena, 8192));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    arena_release(&arena, mark);
    assert_ptr_equal(arena_alloc_pages(&arena, 8192), page);
    assert_null(arena_alloc(&arena, 1));
}

static void test_arena_copy_is_terminated(void **state)
{
    (void)state;
    char memory[64];
    struct arena arena;
    memset(memory, 0xaa, sizeof(memory));
    arena_init(&arena, memory, sizeof(memory));
    assert_string_equal(arena_copy(&arena, "abcdef", 3), "abc");
    assert_null(arena_copy(&arena, memory, sizeof(memory)));
}

/* --- checksums and random numbers ------------------------------------------------------------------ */

static void test_crc32_is_zlibs(void **state)
{
    (void)state;
    assert_int_equal(crc32_update(0, "123456789", 9), 0xcbf43926); /* the check value of the CRC */
    assert_int_equal(crc32_update(0, "", 0), 0);

    struct random random = {.state = 1};
    unsigned char bytes[1000];
    for (int round = 0; round < 200; round++) {
        size_t size = random_below(&random, sizeof(bytes) + 1);
        size_t split = random_below(&random, size + 1);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (unsigned char)random_next(&random);
        uint32_t ours = crc32_update(crc32_update(0, bytes, split), bytes + split, size - split);
        assert_int_equal(ours, crc32(0, bytes, (unsigned)size));
    }
}

static void test_random_is_splitmix64(void **state)
{
    (void)state;
    /* The first outputs for seed 1234567, as published with the algorithm's reference code. */
    struct random random = {.state = 1234567};
    assert_true(random_next(&random) == 6457827717110365317ull);
    assert_true(random_next(&random) == 3203168211198807973ull);
    assert_true(random_next(&random) == 9817491932198370423ull);
}

static void test_random_below_is_uniform(void **state)
{
    (void)state;
    struct random random = {.state = 7};
    unsigned counts[6] = {0};
    for (int i = 0; i < 60000; i++)
        counts[random_below(&random, 6)]++;
    for (int i = 0; i < 6; i++)
        assert_in_range(counts[i], 9600, 10400); /* over four standard deviations */
    assert_int_equal(random_below(&random, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fmt_agrees_with_libc),
        cmocka_unit_test(test_fmt_never_writes_beyond_its_buffer),
        cmocka_unit_test(test_text_comparisons),
        cmocka_unit_test(test_text_trim_and_cut),
        cmocka_unit_test(test_text_distance),
        cmocka_unit_test(test_arena_gives_aligned_zeroed_memory_until_it_is_full),
        cmocka_unit_test(test_arena_copy_is_terminated),
        cmocka_unit_test(test_crc32_is_zlibs),
        cmocka_unit_test(test_random_is_splitmix64),
        cmocka_unit_test(test_random_below_is_uniform),
    };
    return cmocka_run_group_tests_name("ground", tests, NULL, NULL);
}
