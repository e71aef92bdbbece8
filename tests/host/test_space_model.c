/* Random operations on several spaces against a plain model, over windows of several sizes: see
 * space_model.h. */
#include "mm_testing.h"

#include <unistd.h>

#include "core/random.h"
#include "space_model.h"

static struct random source;

static uint64_t draw_number(uint64_t bound)
{
    return random_below(&source, bound);
}

/* Nothing that comes later could be trusted. */
static void differs(const char *text)
{
    print_error("not ok: window of %llu pages, %s\n", (unsigned long long)model.config.page_count,
                text);
    _exit(1);
}

/* From this step on everything is compared after each: PAGELAB_COMPARE finds the step that went wrong. */
static uint64_t first_compared(void)
{
    const char *given = getenv("PAGELAB_COMPARE");
    return given ? strtoull(given, NULL, 0) : UINT64_MAX;
}

static void run(uint64_t seed, struct space_model_config config, uint64_t steps, uint64_t compare)
{
    config.draw = draw_number;
    config.differs = differs;
    source.state = seed;
    uint64_t first = first_compared();
    space_model_start(&config);
    for (uint64_t i = 1; i <= steps * test_rounds(); i++) {
        space_model_step();
        if (i % compare == 0 || i >= first)
            space_model_compare();
    }
    space_model_compare();
    space_model_end();
}

/* Tables that are used in part, wholly and not at all, across 1 GiB, with odd ends. */
static void test_a_large_window(void **state)
{
    (void)state;
    struct space_model_config config = {
        .spaces = 6,
        .page_count = 3072,
        .base = GIB - (1536 + 37) * PAGE_SIZE,
        .inject = true,
    };
    run(test_seed(), config, 400000, 2500);
}

/* Everything meets everything. */
static void test_a_small_window(void **state)
{
    (void)state;
    struct space_model_config config = {
        .spaces = 4,
        .page_count = 48,
        .base = GIB - 13 * PAGE_SIZE,
        .inject = true,
    };
    run(test_seed() + 1, config, 500000, 500);
}

/* Whole tables move, and are forked, as one. */
static void test_a_window_of_whole_tables(void **state)
{
    (void)state;
    struct space_model_config config = {.spaces = 5, .page_count = 2560, .base = 4 * MIB};
    run(test_seed() + 2, config, 200000, 2500);
}

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){.memory_bytes = 384 * MIB});
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_window),
        cmocka_unit_test(test_a_window_of_whole_tables),
        cmocka_unit_test(test_a_large_window),
    };
    return cmocka_run_group_tests_name("space_model", tests, start, NULL);
}
