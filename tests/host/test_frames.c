/* The frame allocator: exhaustion and back, runs in fragmented memory, promises, caches, batches. */
#include "mm_testing.h"

#include <string.h>

#include "core/mm/frames.h"
#include "core/mm/frames_promised.h"
#include "core/random.h"

#define LOW_BYTES (64 * MIB)
#define HIGH_BYTES (64 * MIB) /* above 4 GiB */
#define CPUS 4

static int start(void **state)
{
    (void)state;
    start_mm(&(struct sim_config){
        .memory_bytes = LOW_BYTES + HIGH_BYTES, .low_memory_bytes = LOW_BYTES, .cpu_count = CPUS});
    return 0;
}

/* The stretches of frame numbers where RAM can be: a hole of a million frames is not looked at. */
static const struct stretch {
    uint64_t first, end;
} stretches[] = {
    {0, LOW_BYTES / PAGE_SIZE},
    {4 * GIB / PAGE_SIZE, (4 * GIB + HIGH_BYTES) / PAGE_SIZE},
};

#define FOR_EACH_FRAME(number)                                            \
    for (size_t stretch = 0; stretch < ARRAY_COUNT(stretches); stretch++) \
        for (uint64_t number = stretches[stretch].first; number < stretches[stretch].end; number++)

static uint64_t number_of(phys_t frame)
{
    return frame.value >> PAGE_SHIFT;
}

static phys_t frame_at(uint64_t number)
{
    return phys(number << PAGE_SHIFT);
}

/* Everything free, as entries, bitmap and counts say it; and the summary levels of the bitmap. */
static void check_free(uint64_t promised)
{
    uint64_t in_entries = 0;
    uint64_t in_bitmap = 0;
    frames_drain_caches();
    FOR_EACH_FRAME(number)
    {
        in_entries += frames.entries[number].kind == FRAME_FREE;
        in_bitmap += frames_is_free(number);
    }
    assert_int_equal(in_entries, frames_unpromised() + promised);
    assert_int_equal(in_bitmap, in_entries);

    uint64_t words = (frames.count + 63) / 64;
    for (unsigned level = 1; level < frames.levels; level++) {
        for (uint64_t i = 0; i < words; i++) {
            bool summary = (frames.level[level][i / 64] >> (i % 64)) & 1;
            if (summary != (frames.level[level - 1][i] != 0))
                fail_msg("level %u does not say what word %lu below is", level, (unsigned long)i);
        }
        words = (words + 63) / 64;
    }
    assert_int_equal(words, 1);
}

static phys_t take(enum frame_kind kind)
{
    phys_t frame;
    assert_int_equal(frames_take(kind, &frame), OK);
    return frame;
}

/* Every frame there is; *count of them. */
static phys_t *take_all(uint64_t *count)
{
    uint64_t expected = frames_unpromised();
    phys_t *taken = calloc(expected + 1, sizeof(*taken));
    assert_non_null(taken);
    *count = 0;
    while (*count <= expected && frames_take(FRAME_DATA, &taken[*count]) == OK)
        ++*count;
    assert_int_equal(*count, expected);
    assert_int_equal(frames_unpromised(), 0);
    return taken;
}

static void shuffle(phys_t *list, uint64_t count, struct random *random)
{
    for (uint64_t i = count; i > 1; i--) {
        uint64_t other = random_below(random, i);
        phys_t swapped = list[i - 1];
        list[i - 1] = list[other];
        list[other] = swapped;
    }
}

/* --- single frames ---------------------------------------------------------------------------------- */

static void test_what_firmware_keeps_is_never_free(void **state)
{
    (void)state;
    check_free(0);
    assert_false(frames_is_free(0));
    assert_int_not_equal(frames.entries[0].kind, FRAME_FREE);
    FOR_EACH_FRAME(number)
    {
        assert_true(frames.entries[number].kind != FRAME_FREE || sim_is_ram(frame_at(number)));
    }
    /* Near the low end the simulated firmware keeps what real firmware does. */
    for (uint64_t at = LOW_BYTES - 2 * MIB; at < LOW_BYTES - 2 * MIB + 5 * 64 * KIB;
         at += PAGE_SIZE)
        assert_int_not_equal(frame_of(phys(at))->kind, FRAME_FREE);
    assert_int_not_equal(frame_of(phys(0x8000))->kind, FRAME_FREE); /* the trampoline */
    assert_int_equal(mm_usable_bytes(), mm_free_bytes());
    assert_audit();
}

static void test_exhaustion_and_back(void **state)
{
    (void)state;
    struct random random = {test_seed()};
    uint64_t allocated = counter_read(COUNTER_PAGE_ALLOC);
    uint64_t freed = counter_read(COUNTER_PAGE_FREE);
    uint64_t before = frames_unpromised();
    uint64_t count;
    phys_t *taken = take_all(&count);
    assert_int_equal(counted(COUNTER_PAGE_ALLOC, allocated), count);
    for (uint64_t i = 0; i < count; i++) {
        struct frame *frame = frame_of(taken[i]);
        assert_true(taken[i].value != 0 && sim_is_ram(taken[i]));
        assert_int_equal(frame->kind, FRAME_DATA);
        assert_int_equal(frame->references, 1);
        assert_int_equal(frame->live, 0);
        frame->live = 1; /* a frame given twice would show it */
        frame->references = 0;
    }
    phys_t none;
    assert_int_equal(frames_take(FRAME_DATA, &none), ENOMEM);
    assert_int_equal(frames_take_run(FRAME_DATA, 1, 1, phys(0), &none), ENOMEM);
    assert_int_equal(frames_promise(1), ENOMEM);
    check_free(0);

    shuffle(taken, count, &random);
    for (uint64_t i = 0; i < count; i++)
        frames_give(taken[i]);
    assert_int_equal(frames_unpromised(), before);
    assert_int_equal(counted(COUNTER_PAGE_FREE, freed), count);
    check_free(0);
    assert_audit();
    free(taken);
}

static void give_some(void *argument)
{
    phys_t *list = argument;
    for (unsigned i = 0; i < 100; i++)
        frames_give(list[i]);
}

/* What other CPUs have at hand is found when nothing else is left. */
static void test_caches_of_other_cpus_are_drained(void **state)
{
    (void)state;
    uint64_t count;
    phys_t *taken = take_all(&count);
    phys_t again;
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        machine_cpu_run(cpu, give_some, &taken[cpu * 100]);
    assert_int_equal(frames_unpromised(), (CPUS - 1) * 100);
    assert_int_equal(frames.level[frames.levels - 1][0], 0); /* all are in caches */
    for (unsigned i = 100; i < CPUS * 100; i++)
        assert_int_equal(frames_take(FRAME_DATA, &taken[i]), OK);
    assert_int_equal(frames_take(FRAME_DATA, &again), ENOMEM);

    machine_cpu_run(1, give_some, &taken[100]);
    assert_int_equal(frames_take_run(FRAME_DATA, 1, 1, phys(0), &again), OK);
    frames_give(again);
    check_free(0);
    for (uint64_t i = 0; i < count; i++) {
        if (i < 100 || i >= 200)
            frames_give(taken[i]);
    }
    check_free(0);
    assert_audit();
    free(taken);
}

/* --- promises ------------------------------------------------------------------------------------------ */

static void test_promised_frames_are_set_aside(void **state)
{
    (void)state;
    uint64_t before = frames_unpromised();
    uint64_t reserved = counter_read(COUNTER_COMMIT_RESERVED);
    uint64_t used = counter_read(COUNTER_COMMIT_USED);
    phys_t promised[50];
    phys_t none;
    uint64_t count;
    assert_int_equal(frames_promise(ARRAY_COUNT(promised)), OK);
    assert_int_equal(mm_committed_pages(), ARRAY_COUNT(promised));
    check_free(ARRAY_COUNT(promised));
    phys_t *taken = take_all(&count);
    assert_int_equal(count, before - ARRAY_COUNT(promised));
    check_free(ARRAY_COUNT(promised));

    for (unsigned i = 0; i < ARRAY_COUNT(promised); i++)
        assert_int_equal(frames_take_promised(&promised[i]), OK);
    assert_int_equal(frames_take(FRAME_DATA, &none), ENOMEM);
    assert_int_equal(counted(COUNTER_COMMIT_RESERVED, reserved), ARRAY_COUNT(promised));
    assert_int_equal(counted(COUNTER_COMMIT_USED, used), ARRAY_COUNT(promised));
    assert_int_equal(mm_committed_pages(), 0);

    for (unsigned i = 0; i < ARRAY_COUNT(promised); i++)
        frames_give(promised[i]);
    assert_int_equal(frames_unpromised(), ARRAY_COUNT(promised));
    assert_int_equal(counted(COUNTER_COMMIT_RESERVED, reserved), 0);
    assert_int_equal(counted(COUNTER_COMMIT_USED, used), 0);
    for (uint64_t i = 0; i < count; i++)
        frames_give(taken[i]);
    free(taken);
    check_free(0);
}

static void test_promises_are_refused_whole(void **state)
{
    (void)state;
    uint64_t before = frames_unpromised();
    assert_int_equal(frames_promise(before + 1), ENOMEM);
    assert_int_equal(frames_promise(UINT64_MAX), ENOMEM);
    assert_int_equal(frames_promise(1ull << 63), ENOMEM);
    assert_int_equal(frames_unpromised(), before);
    assert_int_equal(mm_committed_pages(), 0);
    assert_int_equal(frames_promise(before), OK);
    assert_int_equal(frames_promise(1), ENOMEM);
    assert_int_equal(frames_unpromised(), 0);
    frames_unpromise(before);
    assert_int_equal(frames_unpromised(), before);
    check_free(0);
}

/* --- runs ------------------------------------------------------------------------------------------------ */

/* Is there such a run? By looking at every aligned start. */
static bool run_exists(uint64_t count, uint64_t align, uint64_t end)
{
    for (size_t i = 0; i < ARRAY_COUNT(stretches); i++) {
        uint64_t length = 0; /* of the free run that begins here, going down */
        uint64_t top = stretches[i].end < end ? stretches[i].end : end;
        for (uint64_t number = top; number-- > stretches[i].first;) {
            length = frames_is_free(number) ? length + 1 : 0;
            if (length >= count && number % align == 0)
                return true;
        }
    }
    return false;
}

/* One request against the oracle; memory is afterwards as before. Returns whether it was found. */
static bool try_run(uint64_t count, uint64_t align, phys_t below)
{
    uint64_t end = below.value == 0 ? UINT64_MAX : number_of(below);
    bool exists = count <= frames_unpromised() && run_exists(count, align, end);
    phys_t first;
    result_t result = frames_take_run(FRAME_KERNEL, count, align, below, &first);
    if (result != (exists ? OK : ENOMEM))
        fail_msg("%lu frames aligned to %lu below %#lx: %s, but there is %s", (unsigned long)count,
                 (unsigned long)align, (unsigned long)below.value, result_name(result),
                 exists ? "a run" : "none");
    if (result != OK)
        return false;
    assert_int_equal(number_of(first) % align, 0);
    assert_true(number_of(first) + count <= end);
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(frame_of(first)[i].kind, FRAME_KERNEL);
        assert_int_equal(frame_of(first)[i].references, 1);
        assert_false(frames_is_free(number_of(first) + i));
    }
    frames_give_run(first, count);
    return true;
}

/* Everything is taken, then one frame in `of` stays taken and the others, in clumps, are given back. */
static void try_runs_in_fragments(uint64_t of, uint64_t longest, struct random *random)
{
    uint64_t count;
    phys_t *taken = take_all(&count);
    uint64_t kept = 0;
    unsigned found = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (random_below(random, of) == 0)
            taken[kept++] = taken[i];
        else
            frames_give(taken[i]);
    }
    frames_drain_caches();
    for (int i = 0; i < 300; i++) {
        static const uint64_t limits[] = {0, 4 * GIB, 16 * MIB, 33 * MIB + 5 * PAGE_SIZE, MIB};
        found += try_run(1 + random_below(random, longest), 1ull << random_below(random, 7),
                         phys(limits[random_below(random, ARRAY_COUNT(limits))]));
    }
    assert_in_range(found, 20, 300);
    check_free(0);
    for (uint64_t i = 0; i < kept; i++)
        frames_give(taken[i]);
    free(taken);
}

static void test_runs_are_found_in_fragmented_memory(void **state)
{
    (void)state;
    struct random random = {test_seed()};
    try_runs_in_fragments(2, 12, &random);
    try_runs_in_fragments(20, 100, &random);
    try_runs_in_fragments(300, 1500, &random);
    assert_audit();
}

/* A run that ends where a word of the bitmap does, with nothing free behind it, and its neighbours. */
static void test_runs_at_the_edges_of_words(void **state)
{
    (void)state;
    uint64_t count;
    phys_t *taken = take_all(&count);
    uint64_t base = 32 * MIB / PAGE_SIZE;
    for (uint64_t first = base; first < base + 66; first++) {
        for (uint64_t length = 1; length < 200; length += length < 4 ? 1 : 31) {
            frames_give_run(frame_at(first), length);
            assert_true(try_run(length, 1, phys(0)));
            assert_false(try_run(length + 1, 1, phys(0)));
            assert_false(try_run(length, 1, frame_at(first + length - 1)));
            phys_t again;
            assert_int_equal(frames_take_run(FRAME_DATA, length, 1, phys(0), &again), OK);
        }
    }
    for (uint64_t i = 0; i < count; i++)
        frames_give(taken[i]);
    check_free(0);
    free(taken);
}

static void test_runs_of_nothing_and_of_too_much(void **state)
{
    (void)state;
    phys_t none;
    uint64_t before = frames_unpromised();
    assert_int_equal(frames_take_run(FRAME_KERNEL, 0, 1, phys(0), &none), EINVAL);
    assert_int_equal(frames_take_run(FRAME_KERNEL, UINT64_MAX, 1, phys(0), &none), ENOMEM);
    assert_int_equal(frames_take_run(FRAME_KERNEL, 1, 1, phys(PAGE_SIZE), &none), ENOMEM);
    assert_int_equal(frames_take_run(FRAME_KERNEL, 1, 1ull << 40, phys(0), &none), ENOMEM);
    assert_int_equal(frames_promise(before - 3), OK);
    assert_int_equal(frames_take_run(FRAME_KERNEL, 4, 1, phys(0), &none), ENOMEM);
    assert_true(try_run(3, 1, phys(0)));
    frames_unpromise(before - 3);
    assert_int_equal(frames_unpromised(), before);
}

/* --- batches ---------------------------------------------------------------------------------------------- */

static void test_batches_free_what_they_were_given(void **state)
{
    (void)state;
    struct random random = {test_seed()};
    uint64_t freed = counter_read(COUNTER_PAGE_FREE);
    uint64_t before = frames_unpromised();
    uint64_t count;
    assert_int_equal(frames_promise(10), OK);
    phys_t *taken = take_all(&count);
    taken = realloc(taken, (count + 10) * sizeof(*taken));
    assert_non_null(taken);
    for (int i = 0; i < 10; i++)
        assert_int_equal(frames_take_promised(&taken[count++]), OK);
    shuffle(taken, count, &random);

    struct frame_batch batch;
    frame_batch_init(&batch);
    for (uint64_t i = 0; i < count; i++)
        frame_batch_add(&batch, frame_of(taken[i]));
    frame_batch_end(&batch);
    assert_int_equal(counted(COUNTER_PAGE_FREE, freed), count);
    assert_int_equal(frames_unpromised(), before);
    assert_int_equal(counter_read(COUNTER_COMMIT_RESERVED), 0);
    assert_int_equal(counter_read(COUNTER_COMMIT_USED), 0);
    frame_batch_end(&batch);
    assert_int_equal(frames_unpromised(), before);
    check_free(0);
    assert_audit();
    free(taken);
}

/* --- failure on purpose ----------------------------------------------------------------------------------- */

static void test_injected_failures(void **state)
{
    (void)state;
    phys_t a = take(FRAME_DATA);
    phys_t b;
    mm_inject((struct mm_inject){.nth = 2});
    assert_false(mm_inject_fired());
    frames_give(take(FRAME_DATA));
    assert_int_equal(frames_take_uninjected(FRAME_DATA, &b), OK);
    frames_give(b);
    assert_false(mm_inject_fired());
    assert_int_equal(frames_take(FRAME_DATA, &b), ENOMEM);
    assert_true(mm_inject_fired());
    frames_give(take(FRAME_DATA)); /* once is once */

    mm_inject((struct mm_inject){.nth = 3, .every = true});
    assert_false(mm_inject_fired());
    for (int i = 1; i <= 12; i++) {
        result_t result = frames_take(FRAME_DATA, &b);
        assert_int_equal(result, i % 3 == 0 ? ENOMEM : OK);
        if (result == OK)
            frames_give(b);
    }
    mm_inject((struct mm_inject){0});
    for (int i = 0; i < 12; i++)
        frames_give(take(FRAME_DATA));
    assert_true(mm_inject_fired()); /* switching it off does not forget */
    mm_inject((struct mm_inject){.nth = 9});
    assert_false(mm_inject_fired());
    mm_inject((struct mm_inject){0});
    frames_give(a);
    assert_audit();
}

/* --- check level 2 ------------------------------------------------------------------------------------------ */

__attribute__((noinline)) static void take_here(phys_t *page)
{
    assert_int_equal(frames_take(FRAME_DATA, page), OK);
}

__attribute__((noinline)) static void give_here(phys_t page)
{
    frames_give(page);
    assert_int_equal(frame_of(page)->kind, FRAME_FREE);
}

static void assert_site(phys_t page, uintptr_t function)
{
    assert_in_range(frame_of(page)->site - (uint32_t)function, 1, 1000);
}

static void test_frames_know_who_changed_them(void **state)
{
    (void)state;
    phys_t page;
    take_here(&page); /* one that has been free from the start, or not */
    assert_site(page, (uintptr_t)take_here);
    give_here(page);
    assert_site(page, (uintptr_t)give_here);
    take_here(&page);
    assert_site(page, (uintptr_t)take_here);
    give_here(page);
}

static void write_to_free_frames(void *argument)
{
    phys_t page;
    (void)argument;
    take_here(&page);
    give_here(page);
    ((uint64_t *)machine_phys_to_virt(page))[100] = 7;
    take_here(&page);
}

static void test_a_write_to_a_free_frame_is_found(void **state)
{
    (void)state;
    static char said[1 << 16];
    assert_int_equal(sim_in_child(write_to_free_frames, NULL, said, sizeof said), 2);
    assert_non_null(strstr(said, "was written to: offset 0x320 holds 0x7; it was freed at ..."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_firmware_keeps_is_never_free),
        cmocka_unit_test(test_exhaustion_and_back),
        cmocka_unit_test(test_caches_of_other_cpus_are_drained),
        cmocka_unit_test(test_promised_frames_are_set_aside),
        cmocka_unit_test(test_promises_are_refused_whole),
        cmocka_unit_test(test_runs_are_found_in_fragmented_memory),
        cmocka_unit_test(test_runs_at_the_edges_of_words),
        cmocka_unit_test(test_runs_of_nothing_and_of_too_much),
        cmocka_unit_test(test_batches_free_what_they_were_given),
        cmocka_unit_test(test_injected_failures),
        cmocka_unit_test(test_frames_know_who_changed_them),
        cmocka_unit_test(test_a_write_to_a_free_frame_is_found),
    };
    return cmocka_run_group_tests_name("frames", tests, start, NULL);
}
