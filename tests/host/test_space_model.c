/* Random operations on several spaces against a plain model, over windows of several sizes: see
 * space_model.h. */
#include "mm_testing.h"

#include "core/random.h"
#include "space_model.h"

static struct random source;

static uint64_t draw_number(uint64_t bound)
{
    return random_below(&source, bound);
}

/* What the model has allocated is no leak when it never came to its end. */
int __lsan_is_turned_off(void);
static bool ended_early;

int __lsan_is_turned_off(void)
{
    return ended_early;
}

static void differs(const char *text)
{
    ended_early = true;
    fail_msg("window of %llu pages, %s", (unsigned long long)model.config.page_count, text);
}

/* From this step on everything is compared after each: PAGELAB_COMPARE finds the step that went wrong. */
static uint64_t first_compared(void)
{
    const char *given = getenv("PAGELAB_COMPARE");
    return given ? strtoull(given, NULL, 0) : UINT64_MAX;
}

static void run_model(uint64_t seed, struct space_model_config config, uint64_t steps,
                      uint64_t compare)
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

static const struct window {
    struct space_model_config config;
    uint64_t steps;
    uint64_t compare; /* steps between */
} windows[] = {
    /* Everything meets everything. */
    {{.spaces = 4,
      .page_count = 48,
      .base = GIB - 13 * PAGE_SIZE,
      .inject = true,
      .pressure = true},
     500000,
     500},
    /* Whole tables move, and are forked, as one. */
    {{.spaces = 5, .page_count = 2560, .base = 4 * MIB, .pressure = true}, 180000, 2500},
    /* Tables that are used in part, wholly and not at all, across 1 GiB, with odd ends. */
    {{.spaces = 6,
      .page_count = 3072,
      .base = GIB - (1536 + 37) * PAGE_SIZE,
      .inject = true,
      .pressure = true},
     340000,
     2500},
};

struct reclaimed {
    uint64_t purged, clean, dirty, failed;
};

static struct reclaimed reclaimed(void)
{
    return (struct reclaimed){
        counter_read(COUNTER_RECLAIM_PURGED), counter_read(COUNTER_RECLAIM_CLEAN),
        counter_read(COUNTER_RECLAIM_DIRTY), counter_read(COUNTER_RECLAIM_FAILED)};
}

/* A model that reclaims nothing would prove nothing of it. */
static void test_spaces_against_a_model(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (size_t i = 0; i < ARRAY_COUNT(windows); i++) {
        struct reclaimed before = reclaimed();
        run_model(seed + i, windows[i].config, windows[i].steps, windows[i].compare);
        struct reclaimed now = reclaimed();
        print_message(
            "reclaimed: %lu purged, %lu clean, %lu dirty; %lu times in vain\n",
            (unsigned long)(now.purged - before.purged), (unsigned long)(now.clean - before.clean),
            (unsigned long)(now.dirty - before.dirty), (unsigned long)(now.failed - before.failed));
        assert_true(now.purged > before.purged && now.clean > before.clean &&
                    now.dirty > before.dirty && now.failed > before.failed);
    }
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
        cmocka_unit_test(test_spaces_against_a_model),
    };
    return cmocka_run_group_tests_name("space_model", tests, start, NULL);
}
